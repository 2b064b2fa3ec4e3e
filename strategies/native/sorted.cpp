// sorted: an array of slots in order of their start, searched by halving with branches. See strategies/sorted.py.
#include <algorithm>
#include <cstring>
#include <type_traits>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// Keeps a conditional jump a jump: without it the compiler may select the half without one, which `sorted-branchless`
// is there to do.
inline void stay_a_branch() { asm volatile(""); }

template <class Role, class Probe>
class Sorted {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  Sorted(const Home& home, Probe probe) : probe_(probe), arena_(home.arena) {}
  ~Sorted() { release(); }
  Sorted(const Sorted&) = delete;
  Sorted& operator=(const Sorted&) = delete;

  void copy_from(const Sorted& other) {
    while (capacity_ < other.size_) grow();
    size_ = other.size_;
    copy(entries_, other.entries_, size_ * sizeof(Entry));
    if constexpr (overlapping) copy(reach_, other.reach_, size_ * sizeof(std::uint64_t));
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const Entry entry{Role::start(slot), Role::last(slot), &slot};
    if (size_ == capacity_) grow();
    const std::size_t at = upto(entry.start);
    move(entries_, at + 1, at, size_ - at);
    SLOTLOOKUP_TOUCH(entries_ + at, sizeof(Entry));
    entries_[at] = entry;
    ++size_;
    if constexpr (overlapping) {
      move(reach_, at + 1, at, size_ - 1 - at);
      for (std::size_t i = at; i < size_; ++i) {
        SLOTLOOKUP_TOUCH(reach_ + i, sizeof(std::uint64_t));
        if (i > at && SLOTLOOKUP_COMPARE(reach_[i] >= entry.last)) break;
        reach_[i] = i == at ? reach_with(at) : entry.last;
      }
    }
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    --size_;
    move(entries_, at, at + 1, size_ - at);
    if constexpr (overlapping) {
      move(reach_, at, at + 1, size_ - at);
      for (std::size_t i = at; i < size_; ++i) {
        const std::uint64_t reach = reach_with(i);
        SLOTLOOKUP_TOUCH(reach_ + i, sizeof(std::uint64_t));
        if (SLOTLOOKUP_COMPARE(reach_[i] == reach)) break;
        reach_[i] = reach;
      }
    }
  }

  void replace(Slot& old_slot, Slot& by) { entries_[position(old_slot)].slot = &by; }

  Slot* find(std::uint64_t point) const {
    const std::size_t behind = upto(point);
    if (behind == 0) return nullptr;
    const Entry& entry = entries_[behind - 1];
    SLOTLOOKUP_TOUCH(&entry, sizeof entry);
    if (!SLOTLOOKUP_COMPARE(point <= entry.last)) return nullptr;
    SLOTLOOKUP_HOP();
    return entry.slot;
  }

  // From the first entry up to which something reaches the range, to the last that begins by its end.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    const std::size_t end = upto(last);
    if (end == 0) return;
    for (std::size_t i = first_reaching(start, end); i < end; ++i) {
      const Entry& entry = entries_[i];
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entry, sizeof entry);
      if (SLOTLOOKUP_COMPARE(entry.last >= start)) {
        SLOTLOOKUP_HOP();
        visit(*entry.slot);
      }
    }
  }

  void check() const {
    std::uint64_t reach = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const Entry& entry = entries_[i];
      require_invariant(entry.start == Role::start(*entry.slot) && entry.last == Role::last(*entry.slot),
                        "sorted: an entry has its slot's range");
      require_invariant(i == 0 || entries_[i - 1].start <= entry.start, "sorted: starts ascend");
      reach = std::max(reach, entry.last);
      if constexpr (overlapping)
        require_invariant(reach_[i] == reach, "sorted: the largest last up to each entry is known");
    }
  }

  std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint64_t start;
    std::uint64_t last;
    Slot* slot;
  };

  // Only where ranges may overlap does a search need to know how far the entries before one reach.
  static constexpr bool overlapping = std::is_same_v<Role, HvaRole>;

  // How many entries start at or before `point`.
  std::size_t upto(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return 0;
    SLOTLOOKUP_HOP();
    std::size_t low = 0;
    std::size_t high = size_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&entries_[middle].start, sizeof(std::uint64_t));
      if (SLOTLOOKUP_COMPARE(entries_[middle].start <= point)) {
        stay_a_branch();
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // The first of the first `end` entries that reaches `start`, or `end`. What is largest up to an entry never falls.
  std::size_t first_reaching(std::uint64_t start, std::size_t end) const {
    SLOTLOOKUP_HOP();
    std::size_t low = 0;
    std::size_t high = end;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_TOUCH(reach_ + middle, sizeof(std::uint64_t));
      if (SLOTLOOKUP_COMPARE(reach_[middle] < start)) {
        stay_a_branch();
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  std::uint64_t reach_with(std::size_t at) const {
    SLOTLOOKUP_TOUCH(entries_ + at, sizeof(Entry));
    if (at == 0) return entries_[0].last;
    SLOTLOOKUP_TOUCH(reach_ + at - 1, sizeof(std::uint64_t));
    return SLOTLOOKUP_COMPARE(reach_[at - 1] > entries_[at].last) ? reach_[at - 1] : entries_[at].last;
  }

  // Slots may share a start where they are indexed by hva.
  std::size_t position(const Slot& slot) const {
    for (std::size_t at = upto(Role::start(slot)); at-- > 0;) {
      SLOTLOOKUP_TOUCH(entries_ + at, sizeof(Entry));
      if (entries_[at].slot == &slot) return at;
    }
    throw BrokenInvariant("sorted: the slot to remove is not in the array");
  }

  template <class T>
  void move(T* array, std::size_t to, std::size_t from, std::size_t count) {
    if (!count) return;
    SLOTLOOKUP_TOUCH(array + from, count * sizeof(T));
    SLOTLOOKUP_TOUCH(array + to, count * sizeof(T));
    std::memmove(array + to, array + from, count * sizeof(T));
  }
  void copy(void* to, const void* from, std::size_t bytes) {
    if (!bytes) return;
    SLOTLOOKUP_TOUCH(from, bytes);
    SLOTLOOKUP_TOUCH(to, bytes);
    std::memcpy(to, from, bytes);
  }

  template <class T>
  void widen(T*& array, std::size_t wanted) {
    T* wider = static_cast<T*>(arena_.allocate_array(wanted * sizeof(T)));
    if (array) {
      copy(wider, array, size_ * sizeof(T));
      arena_.free_array(array, capacity_ * sizeof(T));
    }
    array = wider;
  }
  void grow() {
    const std::size_t wanted = capacity_ ? capacity_ * 2 : 8;
    widen(entries_, wanted);
    if constexpr (overlapping) widen(reach_, wanted);
    capacity_ = static_cast<std::uint32_t>(wanted);
  }
  void release() {
    if (entries_) arena_.free_array(entries_, capacity_ * sizeof(Entry));
    if (reach_) arena_.free_array(reach_, capacity_ * sizeof(std::uint64_t));
  }

  Entry* entries_ = nullptr;
  std::uint64_t* reach_ = nullptr;  // hva: the largest last up to each entry
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;
  [[no_unique_address]] Probe probe_;
  Arena& arena_;
};

SLOTLOOKUP_STRUCTURE("sorted", Sorted)

}  // namespace
}  // namespace slotlookup
