// sorted-vector: a std::vector of {start, last, slot} in order of start, searched by std::upper_bound.
// A rival for bench/suites/bench_rivals.py, not a strategy: it has no hooks, and its array is outside the arena.
#include <algorithm>
#include <vector>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class SortedVector {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};

  SortedVector(const Home&, Probe) {}

  void insert(Slot& slot) {
    entries_.insert(at(behind(Role::start(slot))), Entry{Role::start(slot), Role::last(slot), &slot});
  }
  void erase(Slot& slot) { entries_.erase(at(behind(Role::start(slot)) - 1)); }
  void replace(Slot& old_slot, Slot& by) { at(behind(Role::start(old_slot)) - 1)->slot = &by; }

  Slot* find(std::uint64_t point) const {
    const auto found = behind(point);
    if (found == 0) return nullptr;
    const Entry& entry = entries_[found - 1];
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

  std::size_t behind(std::uint64_t point) const {
    const auto found = std::upper_bound(entries_.begin(), entries_.end(), point,
                                        [](std::uint64_t wanted, const Entry& entry) { return wanted < entry.start; });
    return static_cast<std::size_t>(found - entries_.begin());
  }

  auto at(std::size_t place) { return entries_.begin() + static_cast<std::ptrdiff_t>(place); }

  std::vector<Entry> entries_;
};

SLOTLOOKUP_GFN_STRUCTURE("sorted-vector", SortedVector)

}  // namespace
}  // namespace slotlookup
