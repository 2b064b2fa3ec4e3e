// std-map: the library's red-black tree.
#include <map>

#include "map_of_starts.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
using StdMap = MapOfStarts<std::map<std::uint64_t, Slot*>, Role>;

SLOTLOOKUP_GFN_STRUCTURE("std-map", StdMap)

}  // namespace
}  // namespace slotlookup
