// implicit-intervals: a sorted array used as a binary tree; each entry has the largest end of its left subtree.
// See strategies/implicit_intervals.py.
#include <algorithm>

#include "slotlookup/native/registration.hpp"
#include "sorted_ranges.hpp"

namespace slotlookup {
namespace {

struct ImplicitEntry {
  std::uint64_t last;
  std::uint64_t side_last;   // the largest last of the entry and of its left subtree
  std::uint64_t front_last;  // the largest last of the entry and of all before it
  Slot* slot;
};
static_assert(sizeof(ImplicitEntry) == 32, "two entries per line");

// Places are numbered from 1. The level of place p above the leaves is the number of trailing zero bits of p, and its
// left subtree is the 2^level - 1 places before it.
template <class Role, class Probe>
class ImplicitIntervals {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true};

  ImplicitIntervals(const Home& home, Probe probe) : ranges_(home, probe), probe_(probe) {}

  void insert(Slot& slot) { ranges_.insert(slot); }
  void erase(Slot& slot) { ranges_.erase(slot); }
  void replace(Slot& old_slot, Slot& by) { ranges_.replace(old_slot, by); }
  void copy_from(const ImplicitIntervals& other) { ranges_.copy_from(other.ranges_); }

  void settle() {
    const std::size_t from = ranges_.settle();
    for (std::size_t place = from + 1; place <= ranges_.size(); ++place) {
      ImplicitEntry& entry = ranges_[place - 1];
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      std::uint64_t side = entry.last;
      for (std::size_t step = 1; !(place & step); step *= 2) {
        SLOTLOOKUP_TOUCH(&ranges_[place - 1 - step], sizeof(ImplicitEntry));
        if (SLOTLOOKUP_COMPARE(ranges_[place - 1 - step].side_last > side)) side = ranges_[place - 1 - step].side_last;
      }
      entry.side_last = side;
      entry.front_last = entry.last;
      if (place > 1) {
        SLOTLOOKUP_TOUCH(&ranges_[place - 2], sizeof(ImplicitEntry));
        if (SLOTLOOKUP_COMPARE(ranges_[place - 2].front_last > entry.last))
          entry.front_last = ranges_[place - 2].front_last;
      }
    }
  }

  Slot* find(std::uint64_t point) const { return ranges_.find(point); }

  // From the last entry that starts before the end of the range towards the front, skipping subtrees that end too
  // early, until no earlier entry extends into the range.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    std::size_t place = ranges_.begun_by(last);
    if (place == 0) return;
    const ImplicitEntry* const entries = ranges_.entries();
    SLOTLOOKUP_HOP();
    do {
      const ImplicitEntry& entry = entries[place - 1];
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      if (SLOTLOOKUP_COMPARE(entry.last >= start)) {
        SLOTLOOKUP_HOP();
        visit(*entry.slot);
        --place;
      } else if (!SLOTLOOKUP_COMPARE(entry.front_last >= start)) {
        return;
      } else if (SLOTLOOKUP_COMPARE(entry.side_last >= start)) {
        --place;
      } else {
        place &= place - 1;
      }
    } while (place != 0);
  }

  void check() const {
    ranges_.check();
    std::uint64_t front = 0;
    for (std::size_t place = 1; place <= ranges_.size(); ++place) {
      std::uint64_t side = 0;
      for (std::size_t p = place; p > (place & (place - 1)); --p) side = std::max(side, ranges_[p - 1].last);
      front = std::max(front, ranges_[place - 1].last);
      require_invariant(ranges_[place - 1].side_last == side,
                        "implicit-intervals: an entry has the largest last of its left subtree");
      require_invariant(ranges_[place - 1].front_last == front,
                        "implicit-intervals: an entry has the largest last of all before it");
    }
  }

  std::size_t size() const { return ranges_.size(); }

 private:
  SortedRanges<ImplicitEntry, Role, Probe> ranges_;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("implicit-intervals", ImplicitIntervals)

}  // namespace
}  // namespace slotlookup
