// A flat array of {start, last, slot}, scanned from the front, shared by `linear` and `size-sorted`.
//
// Invariants:
//   1. the array has one entry per slot, with the slot's own range
//   2. for neighbours, Order::before never orders the later entry first
//   3. with the unaliased flag, an entry has it exactly if no other entry's range overlaps its own
// The range is next to the pointer, as in the kernel's arrays of whole slots, so a scan follows no pointer until it has
// found its slot. Bytes per slot: 24 in the array, which doubles as it grows; nothing in the slot.
#pragma once

#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/structure.hpp"

namespace slotlookup {

template <class Order, bool unaliased, class Role, class Probe>
class RangeArray {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  RangeArray(const Home& home, Probe probe) : entries_(home.arena), probe_(probe) {}

  void copy_from(const RangeArray& other) {
    entries_.copy(other.entries_, other.size_, probe_);
    size_ = other.size_;
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const Entry entry{Role::start(slot), Role::last(slot), tagged(&slot, true)};
    entries_.reserve(size_ + 1, size_, probe_);
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    SLOTLOOKUP_HOP();
    std::size_t at = size_;
    if constexpr (Order::sorted) {
      for (; at > 0; --at) {
        SLOTLOOKUP_TOUCH(&entries_[at - 1], sizeof(Entry));
        SLOTLOOKUP_EXAMINE();
        if (!SLOTLOOKUP_COMPARE(Order::before(entry, entries_[at - 1]))) break;
        SLOTLOOKUP_TOUCH(&entries_[at], sizeof(Entry));
        entries_[at] = entries_[at - 1];
      }
    }
    SLOTLOOKUP_TOUCH(&entries_[at], sizeof(Entry));
    entries_[at] = entry;
    ++size_;
    if constexpr (unaliased) {
      for_each_meeting(entry, at, [&](std::size_t i) {
        entries_[i].slot = tagged(pointer(entries_[i].slot), false);
        entries_[at].slot = tagged(&slot, false);
      });
    }
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    const Entry gone = entries_[at];
    SLOTLOOKUP_TOUCH(&entries_[at], sizeof(Entry));
    entries_.shift(at + 1, size_, at, probe_);
    --size_;
    if constexpr (unaliased) {
      if (is_unaliased(gone)) return;
      for_each_meeting(gone, size_, [&](std::size_t i) {
        bool alone = true;
        for_each_meeting(entries_[i], i, [&](std::size_t) { alone = false; });
        entries_[i].slot = tagged(pointer(entries_[i].slot), alone);
      });
    }
  }

  void replace(Slot& old_slot, Slot& by) {
    Entry& entry = entries_[position(old_slot)];
    entry.slot = tagged(&by, is_unaliased(entry));
  }

  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return nullptr;
    SLOTLOOKUP_HOP();
    for (const Entry *entry = entries_.data(), *stop = entry + size_; entry != stop; ++entry) {
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(entry, sizeof *entry);
      if (SLOTLOOKUP_COMPARE(point >= entry->start) && SLOTLOOKUP_COMPARE(point <= entry->last)) {
        SLOTLOOKUP_HOP();
        return pointer(entry->slot);
      }
    }
    return nullptr;
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return;
    SLOTLOOKUP_HOP();
    for (const Entry *entry = entries_.data(), *stop = entry + size_; entry != stop; ++entry) {
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(entry, sizeof *entry);
      if (SLOTLOOKUP_COMPARE(last >= entry->start) && SLOTLOOKUP_COMPARE(start <= entry->last)) {
        SLOTLOOKUP_HOP();
        visit(*pointer(entry->slot));
        if constexpr (unaliased) {
          if (is_unaliased(*entry) && SLOTLOOKUP_COMPARE(start >= entry->start) &&
              SLOTLOOKUP_COMPARE(last <= entry->last))
            return;
        }
      }
    }
  }

  void check() const {
    for (std::size_t i = 0; i < size_; ++i) {
      const Entry& entry = entries_[i];
      const Slot& slot = *pointer(entry.slot);
      require_invariant(entry.start == Role::start(slot) && entry.last == Role::last(slot),
                        "array: an entry has its slot's range");
      if constexpr (Order::sorted) {
        require_invariant(i == 0 || !Order::before(entry, entries_[i - 1]), "array: entries are in order");
      }
      if constexpr (unaliased) {
        bool alone = true;
        for (std::size_t j = 0; j < size_; ++j) alone &= j == i || !meet(entry, entries_[j]);
        require_invariant(alone == is_unaliased(entry),
                          "array: the unaliased flag is set exactly if no other slot overlaps");
      }
    }
  }

  std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint64_t start;
    std::uint64_t last;
    std::uintptr_t slot;  // low bit: the unaliased flag

    std::uint64_t length() const { return last - start; }
  };
  friend Order;

  static std::uintptr_t tagged(Slot* slot, bool flag) {
    return reinterpret_cast<std::uintptr_t>(slot) | (unaliased && flag ? 1u : 0u);
  }
  static Slot* pointer(std::uintptr_t slot) {
    return reinterpret_cast<Slot*>(slot & ~std::uintptr_t{unaliased ? 1u : 0u});
  }
  static bool is_unaliased(const Entry& entry) { return entry.slot & 1; }
  static bool meet(const Entry& a, const Entry& b) { return a.start <= b.last && b.start <= a.last; }

  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    SLOTLOOKUP_HOP();
    for (std::size_t i = 0; i < size_; ++i) {
      SLOTLOOKUP_TOUCH(&entries_[i].slot, sizeof entries_[i].slot);
      SLOTLOOKUP_EXAMINE();
      if (SLOTLOOKUP_COMPARE(pointer(entries_[i].slot) == &slot)) return i;
    }
    throw BrokenInvariant("array: the slot to remove is not in the array");
  }

  template <class Each>
  void for_each_meeting(const Entry& entry, std::size_t except, Each&& each) {
    const Entry range = entry;
    for (std::size_t i = 0; i < size_; ++i) {
      if (i == except) continue;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entries_[i], sizeof(Entry));
      if (SLOTLOOKUP_COMPARE(range.start <= entries_[i].last) && SLOTLOOKUP_COMPARE(entries_[i].start <= range.last))
        each(i);
    }
  }

  ArenaArray<Entry> entries_;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

}  // namespace slotlookup
