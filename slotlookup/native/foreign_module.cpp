// The Python bindings of foreign.hpp and stack_limit.hpp.
#include "slotlookup/native/foreign_module.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <iterator>
#include <tuple>

#include "slotlookup/native/foreign.hpp"
#include "slotlookup/native/stack_limit.hpp"

namespace nb = nanobind;
using namespace nb::literals;

void bind_foreign(nb::module_& m) {
  nb::exception<slotlookup::ForeignFault>(m, "ForeignFault");
  nb::exception<slotlookup::ForeignDamage>(m, "ForeignDamage");
  m.attr("EMPTY_FOREIGN") = slotlookup::kEmptyForeign;
  m.def(
      "foreign_functions",
      [] {
        return std::vector<std::string>(std::begin(slotlookup::kForeignFunctions),
                                        std::end(slotlookup::kForeignFunctions));
      },
      "The names by which the first word of the shared page is indexed.");
  m.def(
      "load_foreign",
      [](const std::string& name, const std::string& path) {
        const auto library = slotlookup::load_foreign(name, path);
        const nb::bytes title(library.title.data(), library.title.size());
        return std::make_tuple(title, library.gfn, library.hva, library.tells_bytes);
      },
      "name"_a, "path"_a,
      "Load a library and register it as a structure: (title, serves gfn, serves hva, reports bytes). Raises "
      "ForeignFault.");
  m.def("watch_foreign", &slotlookup::watch_foreign, "fd"_a,
        "Write the current call to the page of fd, and end with the parent process.");
  m.def("limit_stack", &slotlookup::limit_stack, "bytes"_a,
        "Limit the stack of the main thread, and report on stderr a crash at its end. Raises RuntimeError.");
  m.def("set_foreign_care", &slotlookup::set_foreign_care, "careful"_a,
        "Whether answers are checked fully instead of timed.");
}
