// Slots in order of their start, in two columns: the starts alone, and beside them each slot's last and address. What
// `sorted-branchless`, `eytzinger` and the static B-trees have in common. For ranges that do not overlap.
//
// Invariants:
//   1. both columns hold one element a slot, at the same place, with the slot's own range
//   2. the starts ascend
// A search reads starts only, eight to a line, and the other column once. Bytes a slot: 8 and 16, doubling as they grow.
#pragma once

#include <cstring>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

template <class Role, class Probe>
class SortedColumns {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  SortedColumns(const Home& home, Probe probe) : probe_(probe), arena_(home.arena) {}
  ~SortedColumns() {
    if (!capacity_) return;
    arena_.free_array(starts_, capacity_ * sizeof(std::uint64_t));
    arena_.free_array(rest_, capacity_ * sizeof(Rest));
  }
  SortedColumns(const SortedColumns&) = delete;
  SortedColumns& operator=(const SortedColumns&) = delete;

  void copy_from(const SortedColumns& other) {
    while (capacity_ < other.size_) grow();
    size_ = other.size_;
    copy(starts_, other.starts_);
    copy(rest_, other.rest_);
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const std::uint64_t start = Role::start(slot);
    const std::size_t at = upto(start);
    if (size_ == capacity_) grow();
    move(starts_, at + 1, at);
    move(rest_, at + 1, at);
    SLOTLOOKUP_TOUCH(starts_ + at, sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(rest_ + at, sizeof(Rest));
    starts_[at] = start;
    rest_[at] = {Role::last(slot), &slot};
    ++size_;
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    move(starts_, at, at + 1);
    move(rest_, at, at + 1);
    --size_;
  }

  void replace(Slot& old_slot, Slot& by) { rest_[position(old_slot)].slot = &by; }

  void check() const {
    for (std::size_t i = 0; i < size_; ++i) {
      const Slot& slot = *rest_[i].slot;
      require_invariant(starts_[i] == Role::start(slot) && rest_[i].last == Role::last(slot),
                        "sorted columns: the columns have their slots' ranges");
      require_invariant(i == 0 || starts_[i - 1] < starts_[i], "sorted columns: starts ascend");
    }
  }

  std::size_t size() const { return size_; }

 protected:
  struct Rest {
    std::uint64_t last;
    Slot* slot;
  };

  // How many slots start at or before `point`, without a branch on any key: a half is selected by a conditional move.
  std::size_t upto(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return 0;
    SLOTLOOKUP_HOP();
    const std::uint64_t* base = starts_;
    for (std::size_t n = size_; n > 1;) {
      const std::size_t half = n / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(base + half, sizeof *base);
      base = select(SLOTLOOKUP_COMPARE(base[half] <= point), base + half, base);
      n -= half;
    }
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(base, sizeof *base);
    return static_cast<std::size_t>(base - starts_) + SLOTLOOKUP_COMPARE(*base <= point);
  }

  // The slot that holds `point`, given how many start at or before it.
  Slot* holder(std::size_t rank, std::uint64_t point) const {
    if (rank == 0) return nullptr;
    SLOTLOOKUP_HOP();
    const Rest& rest = rest_[rank - 1];
    SLOTLOOKUP_TOUCH(&rest, sizeof rest);
    if (!SLOTLOOKUP_COMPARE(point <= rest.last)) return nullptr;
    SLOTLOOKUP_HOP();
    return rest.slot;
  }

  std::uint64_t* starts_ = nullptr;
  Rest* rest_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  // a multiple of eight
  [[no_unique_address]] Probe probe_;
  Arena& arena_;

 private:
  static const std::uint64_t* select(bool first, const std::uint64_t* a, const std::uint64_t* b) {
    return __builtin_expect_with_probability(first, true, 0.5) ? a : b;
  }

  std::size_t position(const Slot& slot) const {
    const std::size_t rank = upto(Role::start(slot));
    require_invariant(rank > 0 && rest_[rank - 1].slot == &slot, "sorted columns: the slot to remove is there");
    SLOTLOOKUP_TOUCH(rest_ + rank - 1, sizeof(Rest));
    return rank - 1;
  }

  // What lies from `from` on, to `to`.
  template <class T>
  void move(T* array, std::size_t to, std::size_t from) {
    const std::size_t bytes = (size_ - from) * sizeof(T);
    if (!bytes) return;
    SLOTLOOKUP_TOUCH(array + from, bytes);
    SLOTLOOKUP_TOUCH(array + to, bytes);
    std::memmove(array + to, array + from, bytes);
  }
  template <class T>
  void copy(T* to, const T* from) {
    if (!size_) return;
    SLOTLOOKUP_TOUCH(from, size_ * sizeof(T));
    SLOTLOOKUP_TOUCH(to, size_ * sizeof(T));
    std::memcpy(to, from, size_ * sizeof(T));
  }
  template <class T>
  void widen(T*& array, std::size_t wanted) {
    T* wider = static_cast<T*>(arena_.allocate_array(wanted * sizeof(T)));
    if (array) {
      copy(wider, array);
      arena_.free_array(array, capacity_ * sizeof(T));
    }
    array = wider;
  }
  void grow() {
    const std::size_t wanted = capacity_ ? std::size_t{capacity_} * 2 : 8;
    widen(starts_, wanted);
    widen(rest_, wanted);
    capacity_ = static_cast<std::uint32_t>(wanted);
  }
};

}  // namespace slotlookup
