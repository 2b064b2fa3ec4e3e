// sorted: an array of slots in order of their start, with a branching binary search. See strategies/sorted.py.
#include <algorithm>
#include <type_traits>

#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// Keeps a conditional jump a jump: without it the compiler may use a conditional move, which is the method of
// `sorted-branchless`.
inline void stay_a_branch() { asm volatile(""); }

template <class Role, class Probe>
class Sorted {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  Sorted(const Home& home, Probe probe) : columns_(home.arena), probe_(probe) {}

  void copy_from(const Sorted& other) {
    columns_.copy(other.columns_, other.size_, probe_);
    size_ = other.size_;
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const Entry entry{Role::start(slot), Role::last(slot), &slot};
    columns_.reserve(size_ + 1, size_, probe_);
    const std::size_t at = upto(entry.start);
    columns_.shift(at, size_, at + 1, probe_);
    SLOTLOOKUP_TOUCH(entries() + at, sizeof(Entry));
    entries()[at] = entry;
    ++size_;
    if constexpr (overlapping) {
      for (std::size_t i = at; i < size_; ++i) {
        SLOTLOOKUP_TOUCH(reach() + i, sizeof(std::uint64_t));
        if (i > at && SLOTLOOKUP_COMPARE(reach()[i] >= entry.last)) break;
        reach()[i] = i == at ? reach_with(at) : entry.last;
      }
    }
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    columns_.shift(at + 1, size_, at, probe_);
    --size_;
    if constexpr (overlapping) {
      for (std::size_t i = at; i < size_; ++i) {
        const std::uint64_t furthest = reach_with(i);
        SLOTLOOKUP_TOUCH(reach() + i, sizeof(std::uint64_t));
        if (SLOTLOOKUP_COMPARE(reach()[i] == furthest)) break;
        reach()[i] = furthest;
      }
    }
  }

  void replace(Slot& old_slot, Slot& by) { entries()[position(old_slot)].slot = &by; }

  Slot* find(std::uint64_t point) const {
    const std::size_t behind = upto(point);
    if (behind == 0) return nullptr;
    const Entry& entry = entries()[behind - 1];
    SLOTLOOKUP_TOUCH(&entry, sizeof entry);
    if (!SLOTLOOKUP_COMPARE(point <= entry.last)) return nullptr;
    SLOTLOOKUP_HOP();
    return entry.slot;
  }

  // From the first entry whose largest last reaches the range, to the last that begins by the range's end.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    const std::size_t end = upto(last);
    if (end == 0) return;
    for (std::size_t i = first_reaching(start, end); i < end; ++i) {
      const Entry& entry = entries()[i];
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      if (SLOTLOOKUP_COMPARE(entry.last >= start)) {
        SLOTLOOKUP_HOP();
        visit(*entry.slot);
      }
    }
  }

  void check() const {
    std::uint64_t furthest = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const Entry& entry = entries()[i];
      require_invariant(entry.start == Role::start(*entry.slot) && entry.last == Role::last(*entry.slot),
                        "sorted: an entry has its slot's range");
      require_invariant(i == 0 || entries()[i - 1].start <= entry.start, "sorted: starts ascend");
      furthest = std::max(furthest, entry.last);
      if constexpr (overlapping)
        require_invariant(reach()[i] == furthest, "sorted: the second array has the largest last up to each entry");
    }
  }

  std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint64_t start;
    std::uint64_t last;
    Slot* slot;
  };

  // A search needs the largest last of earlier entries only if ranges may overlap.
  static constexpr bool overlapping = std::is_same_v<Role, HvaRole>;

  // The number of entries that start at or before `point`.
  std::size_t upto(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return 0;
    SLOTLOOKUP_HOP();
    const Entry* const sorted = entries();
    std::size_t low = 0;
    std::size_t high = size_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&sorted[middle].start, sizeof(std::uint64_t));
      if (SLOTLOOKUP_COMPARE(sorted[middle].start <= point)) {
        stay_a_branch();
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // The first of the first `end` entries that reaches `start`, or `end`. The largest last never decreases.
  std::size_t first_reaching(std::uint64_t start, std::size_t end) const {
    SLOTLOOKUP_HOP();
    std::size_t low = 0;
    std::size_t high = end;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_TOUCH(reach() + middle, sizeof(std::uint64_t));
      if (SLOTLOOKUP_COMPARE(reach()[middle] < start)) {
        stay_a_branch();
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  std::uint64_t reach_with(std::size_t at) const {
    SLOTLOOKUP_TOUCH(entries() + at, sizeof(Entry));
    if (at == 0) return entries()[0].last;
    SLOTLOOKUP_TOUCH(reach() + at - 1, sizeof(std::uint64_t));
    return SLOTLOOKUP_COMPARE(reach()[at - 1] > entries()[at].last) ? reach()[at - 1] : entries()[at].last;
  }

  // Slots that are indexed by hva may share a start.
  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    for (std::size_t at = upto(Role::start(slot)); at-- > 0;) {
      SLOTLOOKUP_TOUCH(entries() + at, sizeof(Entry));
      if (entries()[at].slot == &slot) return at;
    }
    throw BrokenInvariant("sorted: the slot to remove is not in the array");
  }

  Entry* entries() const { return columns_.template data<0>(); }
  // hva: the largest last up to each entry.
  std::uint64_t* reach() const
    requires(overlapping)
  {
    return columns_.template data<1>();
  }

  // A search reads all of this, and finds it in one line.
  using Columns = std::conditional_t<overlapping, ArenaColumns<Entry, std::uint64_t>, ArenaColumns<Entry>>;
  Columns columns_;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("sorted", Sorted)

}  // namespace
}  // namespace slotlookup
