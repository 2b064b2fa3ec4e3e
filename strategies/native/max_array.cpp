// max-array: a sorted array in which each entry points to the nearest earlier one that ends later.
// See strategies/max_array.py.
#include "slotlookup/native/registration.hpp"
#include "sorted_ranges.hpp"

namespace slotlookup {
namespace {

struct BranchEntry {
  std::uint64_t last;
  Slot* slot;
  std::uint64_t branch;  // the place of the nearest earlier entry that ends later; places count from 1, 0 is none
};

template <class Role, class Probe>
class MaxArray {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true};

  MaxArray(const Home& home, Probe probe) : ranges_(home, probe), probe_(probe) {}

  void insert(Slot& slot) { ranges_.insert(slot); }
  void erase(Slot& slot) { ranges_.erase(slot); }
  void replace(Slot& old_slot, Slot& by) { ranges_.replace(old_slot, by); }
  void copy_from(const MaxArray& other) { ranges_.copy_from(other.ranges_); }

  void settle() {
    const std::size_t from = ranges_.settle();
    for (std::size_t place = from + 1; place <= ranges_.size(); ++place) {
      BranchEntry& entry = ranges_[place - 1];
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      std::uint64_t before = place - 1;
      while (before && !ends_later(before, entry.last)) before = ranges_[before - 1].branch;
      entry.branch = before;
    }
  }

  // From the last entry that starts before the end of the range towards the front. If one ends too early, so do all up
  // to its branch.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    std::uint64_t place = ranges_.begun_by(last);
    if (place == 0) return;
    const BranchEntry* const entries = ranges_.entries();
    SLOTLOOKUP_HOP();
    do {
      const BranchEntry& entry = entries[place - 1];
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      if (SLOTLOOKUP_COMPARE(entry.last >= start)) {
        SLOTLOOKUP_HOP();
        visit(*entry.slot);
        --place;
      } else {
        place = entry.branch;
      }
    } while (place != 0);
  }

  void check() const {
    ranges_.check();
    for (std::size_t place = 1; place <= ranges_.size(); ++place) {
      std::uint64_t before = place - 1;  // by the earlier branches, which have been checked
      while (before && ranges_[before - 1].last <= ranges_[place - 1].last) before = ranges_[before - 1].branch;
      require_invariant(ranges_[place - 1].branch == before,
                        "max-array: a branch is the nearest earlier entry that ends later");
    }
  }

  std::size_t size() const { return ranges_.size(); }

 private:
  bool ends_later(std::uint64_t place, std::uint64_t last) const {
    SLOTLOOKUP_TOUCH(&ranges_[place - 1], sizeof(BranchEntry));
    return SLOTLOOKUP_COMPARE(ranges_[place - 1].last > last);
  }

  SortedRanges<BranchEntry, Role, Probe> ranges_;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_HVA_STRUCTURE("max-array", MaxArray)

}  // namespace
}  // namespace slotlookup
