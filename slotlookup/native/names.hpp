// The names that Python gives to the members of an enumeration. Each table stands beside what it names; the module
// exports them all, and a test compares them with slotlookup/vocabulary.py.
#pragma once

namespace slotlookup {

template <class Enum>
struct Named {
  const char* name;
  Enum value;
};

}  // namespace slotlookup
