// How a source outside the core adds to the native module: it declares a Binding, and the module calls it when it loads.
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
