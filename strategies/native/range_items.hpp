// Shared by structures built from sorted ranges: ranges in order of containment.
//
// The order is by start, and the longer of two ranges with one start comes first: a range's enclosers then precede it.
#pragma once

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

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
// that holds the result. Not a library's sort, because the comparisons are counted and must be the same everywhere.
template <class Item, class Probe>
Item* sort_items(Item* items, Item* spare, std::size_t n, [[maybe_unused]] const Probe& probe_) {
  if (n < 2) return items;
  for (std::size_t width = 1; width < n; width *= 2) {
    SLOTLOOKUP_TOUCH(items, n * sizeof *items);
    SLOTLOOKUP_TOUCH(spare, n * sizeof *spare);
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
