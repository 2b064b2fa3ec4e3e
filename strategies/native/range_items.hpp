// What structures built from sorted ranges share: arrays of the arena that grow, and ranges in order of containment.
//
// The order is by start, and the longer of two ranges with one start comes first: whatever encloses a range then stands
// before it.
#pragma once

#include <cstring>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

// An array in the arena whose room doubles, so that freed arrays come in few sizes and are handed out again.
template <class T, class Probe>
class ArenaArray {
 public:
  ArenaArray(Arena& arena, Probe probe) : arena_(arena), probe_(probe) {}
  ~ArenaArray() { release(); }
  ArenaArray(const ArenaArray&) = delete;
  ArenaArray& operator=(const ArenaArray&) = delete;

  T* data() const { return data_; }
  T& operator[](std::size_t i) const { return data_[i]; }

  // Makes room for `wanted` elements and keeps the first `kept`.
  void reserve(std::size_t wanted, std::size_t kept) {
    if (wanted <= room_) return;
    std::size_t room = room_ ? room_ * 2 : 8;
    while (room < wanted) room *= 2;
    T* wider = static_cast<T*>(arena_.allocate_array(room * sizeof(T)));
    if (kept) {
      SLOTLOOKUP_TOUCH(data_, kept * sizeof(T));
      SLOTLOOKUP_TOUCH(wider, kept * sizeof(T));
      std::memcpy(static_cast<void*>(wider), data_, kept * sizeof(T));
    }
    release();
    data_ = wider;
    room_ = room;
  }

  void copy(const ArenaArray& other, std::size_t n) {
    reserve(n, 0);
    if (!n) return;
    SLOTLOOKUP_TOUCH(other.data_, n * sizeof(T));
    SLOTLOOKUP_TOUCH(data_, n * sizeof(T));
    std::memcpy(static_cast<void*>(data_), other.data_, n * sizeof(T));
  }

  // Moves the elements [from, to) so that the first of them stands at `at`.
  void shift(std::size_t from, std::size_t to, std::size_t at) {
    if (from == to) return;
    SLOTLOOKUP_TOUCH(data_ + from, (to - from) * sizeof(T));
    SLOTLOOKUP_TOUCH(data_ + at, (to - from) * sizeof(T));
    std::memmove(static_cast<void*>(data_ + at), data_ + from, (to - from) * sizeof(T));
  }

  void release() {
    if (data_) arena_.free_array(data_, room_ * sizeof(T));
    data_ = nullptr;
    room_ = 0;
  }

 private:
  Arena& arena_;
  T* data_ = nullptr;
  std::size_t room_ = 0;
  [[no_unique_address]] Probe probe_;
};

struct RangeItem {
  std::uint64_t start;
  std::uint64_t last;
  Slot* slot;
};

template <class Role>
RangeItem item_of(Slot& slot) {
  return {Role::start(slot), Role::last(slot), &slot};
}

template <class Probe>
bool comes_before(const RangeItem& a, const RangeItem& b, [[maybe_unused]] const Probe& probe_) {
  if (SLOTLOOKUP_COMPARE(a.start != b.start)) return a.start < b.start;
  return SLOTLOOKUP_COMPARE(a.last > b.last);
}

// Sorts by merging, with room for as many items again; equal ranges keep their order. Returns the array, of the two,
// that holds the result. No library's sort, for the comparisons are counted and must be the same everywhere.
template <class Item, class Probe>
Item* sort_items(Item* items, Item* spare, std::size_t n, [[maybe_unused]] const Probe& probe_) {
  if (n < 2) return items;
  SLOTLOOKUP_TOUCH(items, n * sizeof *items);
  SLOTLOOKUP_TOUCH(spare, n * sizeof *spare);
  for (std::size_t width = 1; width < n; width *= 2) {
    for (std::size_t begin = 0; begin < n; begin += 2 * width) {
      const std::size_t middle = begin + width < n ? begin + width : n;
      const std::size_t end = middle + width < n ? middle + width : n;
      std::size_t left = begin;
      std::size_t right = middle;
      for (std::size_t to = begin; to < end; ++to) {
        const bool take_right = right < end && (left == middle || comes_before(items[right], items[left], probe_));
        spare[to] = items[take_right ? right++ : left++];
      }
    }
    Item* merged = spare;
    spare = items;
    items = merged;
  }
  return items;
}

}  // namespace slotlookup
