// Ranges in order of start: an array of starts for the search, and one of entries for the visit. Shared by
// `implicit-intervals` and `max-array`, whose entries differ in the information on earlier entries.
//
// Invariants:
//   1. starts and entries have one element per slot, at the same index, with the slot's own range
//   2. starts ascend; of two equal starts the longer range comes first
//   3. after settle(), no range is pending
// An entry has members `last` and `slot`. New ranges are pending after the sorted ones until settle().
#pragma once

#include "range_items.hpp"
#include "slotlookup/native/arena_array.hpp"

namespace slotlookup {

template <class Entry, class Role, class Probe>
class SortedRanges {
 public:
  SortedRanges(const Home& home, Probe probe) : starts_(home.arena), entries_(home.arena), probe_(probe) {}

  void copy_from(const SortedRanges& other) {
    starts_.copy(other.starts_, other.size_, probe_);
    entries_.copy(other.entries_, other.size_, probe_);
    size_ = other.size_;
    touch_all();
    other.touch_all();
    sorted_ = other.sorted_;
    changed_from_ = other.changed_from_;
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    touch_all();
    starts_.reserve(size_ + 1, size_, probe_);
    entries_.reserve(size_ + 1, size_, probe_);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_HOP();
    put(size_++, item_of<Role>(slot));
  }

  void erase(Slot& slot) {
    touch_all();
    const std::size_t at = position(slot);
    starts_.shift(at + 1, size_, at, probe_);
    entries_.shift(at + 1, size_, at, probe_);
    --size_;
    if (at < sorted_) --sorted_;
    if (at < changed_from_) changed_from_ = at;
  }

  void replace(Slot& old_slot, Slot& by) { entries_[position(old_slot)].slot = &by; }

  // Sorts pending ranges and returns the first place from which on anything has changed.
  std::size_t settle() {
    touch_all();
    if (changed_from_ > sorted_) changed_from_ = sorted_;
    while (sorted_ < size_ && (sorted_ == 0 || !comes_before(at(sorted_), sorted_ - 1))) ++sorted_;
    if (sorted_ + 1 == size_) {
      move_last_into_place();
    } else if (sorted_ < size_) {
      sort_all();
      changed_from_ = 0;
    }
    sorted_ = size_;
    const std::size_t from = changed_from_;
    changed_from_ = size_;
    return from;
  }

  // The number that start at or before `point`. Each step halves the rest by arithmetic only, because a branch on the
  // result would be mispredicted half of the time. The rare case of none is a branch: if it is predicted, execution
  // does not wait for the last comparison.
  std::size_t begun_by(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    std::size_t left = size_;
    if (left == 0) return 0;
    SLOTLOOKUP_HOP();
    const std::uint64_t* base = starts_.data();
    while (left > 1) {
      const std::size_t half = left / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(base + half, sizeof *base);
      base += half & (std::size_t{0} - static_cast<std::size_t>(SLOTLOOKUP_COMPARE(base[half] <= point)));
      left -= half;
    }
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(base, sizeof *base);
    if (!SLOTLOOKUP_COMPARE(*base <= point)) return 0;
    return static_cast<std::size_t>(base - starts_.data()) + 1;
  }

  Slot* find(std::uint64_t point) const {
    const std::size_t begun = begun_by(point);
    if (begun == 0) return nullptr;
    const Entry& entry = entries_[begun - 1];
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&entry, sizeof entry);
    if (!SLOTLOOKUP_COMPARE(entry.last >= point)) return nullptr;
    SLOTLOOKUP_HOP();
    return entry.slot;
  }

  Entry& operator[](std::size_t i) const { return entries_[i]; }
  const Entry* entries() const { return entries_.data(); }
  std::size_t size() const { return size_; }

  void check() const {
    require_invariant(sorted_ == size_ && changed_from_ == size_, "sorted ranges: no range is pending");
    for (std::size_t i = 0; i < size_; ++i) {
      const Slot& slot = *entries_[i].slot;
      require_invariant(starts_[i] == Role::start(slot) && entries_[i].last == Role::last(slot),
                        "sorted ranges: an entry has its slot's range");
      require_invariant(i == 0 || starts_[i - 1] < starts_[i] ||
                            (starts_[i - 1] == starts_[i] && entries_[i - 1].last >= entries_[i].last),
                        "sorted ranges: starts ascend, and the longer of two comes first");
    }
  }

 private:
  RangeItem at(std::size_t i) const {
    SLOTLOOKUP_TOUCH(&starts_[i], sizeof starts_[i]);
    SLOTLOOKUP_TOUCH(&entries_[i], sizeof(Entry));
    return {starts_[i], entries_[i].last, entries_[i].slot};
  }

  // Changes read and write all fields, searches only the first line of them.
  void touch_all() const { SLOTLOOKUP_TOUCH(this, sizeof *this); }

  // As for two items. The entry is read only if the starts are equal.
  bool comes_before(const RangeItem& item, std::size_t i) const {
    SLOTLOOKUP_TOUCH(&starts_[i], sizeof starts_[i]);
    if (SLOTLOOKUP_COMPARE(item.start != starts_[i])) return item.start < starts_[i];
    SLOTLOOKUP_TOUCH(&entries_[i], sizeof(Entry));
    return SLOTLOOKUP_COMPARE(item.last > entries_[i].last);
  }

  void put(std::size_t i, const RangeItem& item) {
    SLOTLOOKUP_TOUCH(&starts_[i], sizeof starts_[i]);
    SLOTLOOKUP_TOUCH(&entries_[i], sizeof(Entry));
    starts_[i] = item.start;
    entries_[i].last = item.last;
    entries_[i].slot = item.slot;
  }

  // Binary search among the sorted ones, a scan among pending ones.
  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    touch_all();
    SLOTLOOKUP_HOP();
    const std::uint64_t start = Role::start(slot);
    std::size_t low = 0;
    for (std::size_t high = sorted_; low < high;) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&starts_[middle], sizeof starts_[middle]);
      if (SLOTLOOKUP_COMPARE(starts_[middle] < start)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    SLOTLOOKUP_HOP();
    for (std::size_t i = low; i < sorted_ && begins_at(i, start); ++i) {
      if (entries_[i].slot == &slot) return i;
    }
    for (std::size_t i = sorted_; i < size_; ++i) {
      SLOTLOOKUP_TOUCH(&entries_[i].slot, sizeof entries_[i].slot);
      if (SLOTLOOKUP_COMPARE(entries_[i].slot == &slot)) return i;
    }
    throw BrokenInvariant("sorted ranges: the slot to remove is not in the arrays");
  }

  bool begins_at(std::size_t i, std::uint64_t start) const {
    SLOTLOOKUP_TOUCH(&starts_[i], sizeof starts_[i]);
    SLOTLOOKUP_TOUCH(&entries_[i].slot, sizeof entries_[i].slot);
    return SLOTLOOKUP_COMPARE(starts_[i] == start);
  }

  void move_last_into_place() {
    const RangeItem item = at(sorted_);
    std::size_t low = 0;
    for (std::size_t high = sorted_; low < high;) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_EXAMINE();
      if (comes_before(item, middle)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    const Entry entry = entries_[sorted_];
    starts_.shift(low, sorted_, low + 1, probe_);
    entries_.shift(low, sorted_, low + 1, probe_);
    entries_[low] = entry;
    put(low, item);
    if (low < changed_from_) changed_from_ = low;
  }

  void sort_all() {
    ArenaArray<RangeItem> items(starts_.arena());
    ArenaArray<RangeItem> spare(starts_.arena());
    items.reserve(size_, 0, probe_);
    spare.reserve(size_, 0, probe_);
    for (std::size_t i = 0; i < size_; ++i) items[i] = at(i);
    const RangeItem* sorted = sort_items(items.data(), spare.data(), size_, probe_);
    for (std::size_t i = 0; i < size_; ++i) put(i, sorted[i]);
  }

  std::size_t size_ = 0;  // the members that a search reads are first, in one line
  ArenaArray<std::uint64_t> starts_;
  ArenaArray<Entry> entries_;
  std::size_t sorted_ = 0;        // the number of sorted ones, at the front
  std::size_t changed_from_ = 0;  // earlier ones have not changed since the last settle()
  [[no_unique_address]] Probe probe_;
};

}  // namespace slotlookup
