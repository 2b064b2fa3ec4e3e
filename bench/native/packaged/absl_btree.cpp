// absl-btree: Abseil's B-tree from starts to slots, with the library's allocator, as anybody would write it.
// A rival for bench/suites/bench_rivals.py and no strategy; built only where SLOTLOOKUP_PACKAGED_RIVALS is on.
#include <absl/container/btree_map.h>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class AbslBtree {
 public:
  using Node = NoNode;

  AbslBtree(const Home&, Probe) {}

  void insert(Slot& slot) { slots_.emplace(Role::start(slot), &slot); }
  void erase(Slot& slot) { slots_.erase(Role::start(slot)); }
  void replace(Slot& old_slot, Slot& by) { slots_[Role::start(old_slot)] = &by; }

  Slot* find(std::uint64_t point) {
    auto behind = slots_.upper_bound(point);
    if (behind == slots_.begin()) return nullptr;
    Slot* slot = std::prev(behind)->second;
    return point <= Role::last(*slot) ? slot : nullptr;
  }

  void check() const {}
  std::size_t size() const { return slots_.size(); }

 private:
  absl::btree_map<std::uint64_t, Slot*> slots_;
};

SLOTLOOKUP_GFN_STRUCTURE("absl-btree", AbslBtree)

}  // namespace
}  // namespace slotlookup
