// absl-btree: Abseil's B-tree. Built only if SLOTLOOKUP_PACKAGED_RIVALS is on.
#include <absl/container/btree_map.h>

#include "../map_of_starts.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
using AbslBtree = MapOfStarts<absl::btree_map<std::uint64_t, Slot*>, Role>;

SLOTLOOKUP_GFN_STRUCTURE("absl-btree", AbslBtree)

}  // namespace
}  // namespace slotlookup
