// A source outside the core adds to the native module by declaring a Binding, which the module calls when it loads.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

namespace slotlookup {

using Bind = void (*)(nanobind::module_&);

inline std::vector<Bind>& bindings() {
  static std::vector<Bind> declared;
  return declared;
}

struct Binding {
  explicit Binding(Bind bind) { bindings().push_back(bind); }
};

}  // namespace slotlookup
