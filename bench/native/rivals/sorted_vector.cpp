// sorted-vector: a std::vector of {start, last, slot} in order of start, searched by std::upper_bound.
// A rival for bench/suites/bench_rivals.py and no strategy: it has no hooks, and its array lies outside the arena.
#include <algorithm>
#include <vector>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class SortedVector {
 public:
  using Node = NoNode;

  SortedVector(const Home&, Probe) {}

  void insert(Slot& slot) {
    entries_.insert(behind(Role::start(slot)), Entry{Role::start(slot), Role::last(slot), &slot});
  }
  void erase(Slot& slot) { entries_.erase(behind(Role::start(slot)) - 1); }
  void replace(Slot& old_slot, Slot& by) { (behind(Role::start(old_slot)) - 1)->slot = &by; }

  Slot* find(std::uint64_t point) {
    const auto found = behind(point);
    if (found == entries_.begin()) return nullptr;
    const Entry& entry = *(found - 1);
    return point <= entry.last ? entry.slot : nullptr;
  }

  void check() const {}
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t start;
    std::uint64_t last;
    Slot* slot;
  };

  typename std::vector<Entry>::iterator behind(std::uint64_t point) {
    return std::upper_bound(entries_.begin(), entries_.end(), point,
                            [](std::uint64_t wanted, const Entry& entry) { return wanted < entry.start; });
  }

  std::vector<Entry> entries_;
};

SLOTLOOKUP_GFN_STRUCTURE("sorted-vector", SortedVector)

}  // namespace
}  // namespace slotlookup
