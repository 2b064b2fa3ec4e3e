// The names of the members of an enumeration in Python. Each table is next to its enumeration; the module exports them
// all, and a test compares them with slotlookup/vocabulary.py.
#pragma once

namespace slotlookup {

template <class Enum>
struct Named {
  const char* name;
  Enum value;
};

}  // namespace slotlookup
