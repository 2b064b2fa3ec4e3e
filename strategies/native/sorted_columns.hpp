// Slots in order of their start, in two columns: the starts, and each slot's last and address. Shared by
// `sorted-branchless`, `eytzinger` and the static B-trees. For ranges that do not overlap.
//
// Invariants:
//   1. both columns have one element per slot, at the same index, with the slot's own range
//   2. the starts ascend
// A search reads starts only, eight to a line, and the other column once. Bytes per slot: 8 and 16, doubling.
#pragma once

#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/structure.hpp"

namespace slotlookup {

template <class Role, class Probe>
class SortedColumns {
 public:
  using Node = NoNode;

  SortedColumns(const Home& home, Probe probe) : columns_(home.arena), probe_(probe) {}

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const std::uint64_t start = Role::start(slot);
    const std::size_t at = upto(start);
    columns_.reserve(std::size_t{size_} + 1, size_, probe_);
    columns_.shift(at, size_, at + 1, probe_);
    SLOTLOOKUP_TOUCH(starts() + at, sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(rest() + at, sizeof(Rest));
    starts()[at] = start;
    rest()[at] = {Role::last(slot), &slot};
    ++size_;
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    columns_.shift(at + 1, size_, at, probe_);
    --size_;
  }

  void replace(Slot& old_slot, Slot& by) { rest()[position(old_slot)].slot = &by; }

  void check() const {
    for (std::size_t i = 0; i < size_; ++i) {
      const Slot& slot = *rest()[i].slot;
      require_invariant(starts()[i] == Role::start(slot) && rest()[i].last == Role::last(slot),
                        "sorted columns: the columns have their slots' ranges");
      require_invariant(i == 0 || starts()[i - 1] < starts()[i], "sorted columns: starts ascend");
    }
  }

  std::size_t size() const { return size_; }

 protected:
  struct Rest {
    std::uint64_t last;
    Slot* slot;
  };

  // The number of slots that start at or before `point`, without a branch on any key: a conditional move selects a
  // half.
  std::size_t upto(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return 0;
    SLOTLOOKUP_HOP();
    const std::uint64_t* const first = starts();
    const std::uint64_t* base = first;
    for (std::size_t n = size_; n > 1;) {
      const std::size_t half = n / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(base + half, sizeof *base);
      base = select(SLOTLOOKUP_COMPARE(base[half] <= point), base + half, base);
      n -= half;
    }
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(base, sizeof *base);
    return static_cast<std::size_t>(base - first) + SLOTLOOKUP_COMPARE(*base <= point);
  }

  // The slot that contains `point`, given the number of slots that start at or before it.
  Slot* holder(std::size_t rank, std::uint64_t point) const {
    if (rank == 0) return nullptr;
    SLOTLOOKUP_HOP();
    const Rest& found = rest()[rank - 1];
    SLOTLOOKUP_TOUCH(&found, sizeof found);
    if (!SLOTLOOKUP_COMPARE(point <= found.last)) return nullptr;
    SLOTLOOKUP_HOP();
    return found.slot;
  }

  void copy_columns(const SortedColumns& other) {
    columns_.copy(other.columns_, other.size_, probe_);
    size_ = other.size_;
  }

  // There is room for a multiple of eight.
  std::uint64_t* starts() const { return columns_.template data<0>(); }
  Arena& arena() const { return columns_.arena(); }

 private:
  Rest* rest() const { return columns_.template data<1>(); }

  static const std::uint64_t* select(bool first, const std::uint64_t* a, const std::uint64_t* b) {
    return __builtin_expect_with_probability(first, true, 0.5) ? a : b;
  }

  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    const std::size_t rank = upto(Role::start(slot));
    require_invariant(rank > 0 && rest()[rank - 1].slot == &slot,
                      "sorted columns: the slot to remove is in the columns");
    SLOTLOOKUP_TOUCH(rest() + rank - 1, sizeof(Rest));
    return rank - 1;
  }

  // A search reads all of this, and finds it in one line.
  [[no_unique_address]] ArenaColumns<std::uint64_t, Rest> columns_;

 protected:
  std::uint32_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

}  // namespace slotlookup
