// nested-lists: lists in which no range encloses another; a range that encloses others has a list of them.
// See strategies/nested_lists.py.
#include "range_items.hpp"
#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

struct NestedEntry {
  std::uint64_t start;
  Slot* slot;           // null from its removal to the next settle()
  std::uint32_t below;  // the list of the ranges that it encloses, or 0
};
static_assert(sizeof(NestedEntry) == 24);

// A list is a sequence of places. List 0 is the top list.
struct NestedList {
  std::uint32_t first;
  std::uint32_t count;
  std::uint32_t above;     // the list that contains the encloser
  std::uint32_t encloser;  // the place of the encloser
};

template <class Role, class Probe>
class NestedLists {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true};

  NestedLists(const Home& home, Probe probe)
      : lasts_(home.arena), entries_(home.arena), lists_(home.arena), waiting_(home.arena), probe_(probe) {}

  void copy_from(const NestedLists& other) {
    lasts_.copy(other.lasts_, other.laid_, probe_);
    entries_.copy(other.entries_, other.laid_, probe_);
    lists_.copy(other.lists_, other.list_count_, probe_);
    waiting_.copy(other.waiting_, other.waits_, probe_);
    touch_all();
    other.touch_all();
    laid_ = other.laid_;
    list_count_ = other.list_count_;
    waits_ = other.waits_;
    gone_ = other.gone_;
  }

  void insert(Slot& slot) {
    touch_all();
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    waiting_.reserve(waits_ + 1, waits_, probe_);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&waiting_[waits_], sizeof(RangeItem));
    waiting_[waits_++] = item_of<Role>(slot);
  }

  void erase(Slot& slot) {
    touch_all();
    if (const std::size_t at = waiting_place(slot); at < waits_) {
      waiting_.shift(at + 1, waits_, at, probe_);
      --waits_;
      return;
    }
    std::uint32_t list = 0;
    const std::uint32_t at = place(slot, list);
    if (!entries_[at].below && (list == 0 || lists_[list].count > 1)) {
      close(at, list);
    } else {
      entries_[at].slot = nullptr;
      ++gone_;
    }
  }

  void replace(Slot& old_slot, Slot& by) {
    touch_all();
    if (const std::size_t at = waiting_place(old_slot); at < waits_) {
      waiting_[at].slot = &by;
    } else {
      std::uint32_t list = 0;
      entries_[place(old_slot, list)].slot = &by;
    }
  }

  // Rebuilds all lists, unless the new range fits between two others, or several are after all others.
  void settle() {
    touch_all();
    std::size_t placed = 0;
    if (!gone_) {
      if (waits_ == 1 && laid_) placed = squeeze_in(waiting_[0]);
      while (placed < waits_ && append(waiting_[placed])) ++placed;
    }
    if (placed < waits_ || gone_) rebuild(placed);
    waiting_.release();
    waits_ = gone_ = 0;
  }

  // In every list the places whose ranges overlap the question are consecutive, since starts and lasts both ascend.
  // From an answer the visit descends to its list, and from the end of a list it goes back up.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    SLOTLOOKUP_TOUCH(&laid_, sizeof laid_);
    if (laid_ == 0) return;
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&lists_, sizeof(void*));
    std::uint32_t list = 0;
    SLOTLOOKUP_TOUCH(&lists_[0], sizeof(NestedList));
    std::uint32_t end = lists_[0].first + lists_[0].count;
    std::uint32_t at = first_ending_by(lists_[0], start);
    if (at != end) SLOTLOOKUP_HOP();
    while (true) {
      if (at != end && begins_by(at, last)) {
        SLOTLOOKUP_HOP();
        visit(*entries_[at].slot);
        if (const std::uint32_t below = entries_[at].below) {
          list = below;
          SLOTLOOKUP_TOUCH(&lists_[list], sizeof(NestedList));
          end = lists_[list].first + lists_[list].count;
          at = first_ending_by(lists_[list], start);
        } else {
          ++at;
        }
        continue;
      }
      if (list == 0) return;
      at = lists_[list].encloser + 1;
      list = lists_[list].above;
      SLOTLOOKUP_TOUCH(&lists_[list], sizeof(NestedList));
      end = lists_[list].first + lists_[list].count;
    }
  }

  void check() const {
    require_invariant(waits_ == 0 && gone_ == 0, "nested-lists: no range is pending");
    std::size_t count = 0;
    for (std::uint32_t l = 0; l < list_count_; ++l) {
      const NestedList& list = lists_[l];
      require_invariant(l == 0 ? list.first + list.count == laid_ : list.count > 0,
                        "nested-lists: the top list is last, and no other list is empty");
      count += list.count;
      for (std::uint32_t at = list.first; at < list.first + list.count; ++at) {
        const NestedEntry& entry = entries_[at];
        require_invariant(entry.start == Role::start(*entry.slot) && lasts_[at] == Role::last(*entry.slot),
                          "nested-lists: an entry has its slot's range");
        require_invariant(at == list.first || (entries_[at - 1].start < entry.start && lasts_[at - 1] < lasts_[at]),
                          "nested-lists: starts and lasts ascend in a list");
        require_invariant(
            l == 0 || (entries_[list.encloser].start <= entry.start && lasts_[at] <= lasts_[list.encloser]),
            "nested-lists: an entry encloses its list");
        require_invariant(!entry.below || (lists_[entry.below].above == l && lists_[entry.below].encloser == at),
                          "nested-lists: a list has the place of its encloser");
        std::uint32_t found_in = 0;
        require_invariant(place(*entry.slot, found_in) == at && found_in == l,
                          "nested-lists: an entry is found by its range");
      }
    }
    require_invariant(count == laid_, "nested-lists: every entry is in a list");
  }

  std::size_t size() const { return laid_ - gone_ + waits_; }

 private:
  // Changes read and write all fields.
  void touch_all() const { SLOTLOOKUP_TOUCH(this, sizeof *this); }

  bool begins_by(std::uint32_t at, std::uint64_t last) const {
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(&entries_[at], sizeof(NestedEntry));
    return SLOTLOOKUP_COMPARE(entries_[at].start <= last);
  }

  // The first place of the list that ends at or after `start`, or its end. Each step halves the remaining part by
  // arithmetic only; the rare case that none ends so late is a branch.
  std::uint32_t first_ending_by(const NestedList& list, std::uint64_t start) const {
    const std::uint64_t* const lasts = lasts_.data();
    const std::uint64_t* base = lasts + list.first;
    std::size_t left = list.count;
    while (left > 1) {
      const std::size_t half = left / 2;
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(base + half - 1, sizeof *base);
      base += half & (std::size_t{0} - static_cast<std::size_t>(SLOTLOOKUP_COMPARE(base[half - 1] < start)));
      left -= half;
    }
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(base, sizeof *base);
    if (!SLOTLOOKUP_COMPARE(*base >= start)) return list.first + list.count;
    return static_cast<std::uint32_t>(base - lasts);
  }

  std::size_t waiting_place(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(&waits_, sizeof waits_);
    for (std::size_t i = 0; i < waits_; ++i) {
      SLOTLOOKUP_TOUCH(&waiting_[i].slot, sizeof waiting_[i].slot);
      if (SLOTLOOKUP_COMPARE(waiting_[i].slot == &slot)) return i;
    }
    return waits_;
  }

  // The number of ranges of a list that start at or before `start`.
  std::uint32_t begun_by(const NestedList& list, std::uint64_t start) const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&list, sizeof list);
    std::uint32_t low = 0;
    for (std::uint32_t high = list.count; low < high;) {
      const std::uint32_t middle = low + (high - low) / 2;
      if (begins_by(list.first + middle, start)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  // The last range of a list that starts at or before the slot is the slot's own, or encloses it.
  std::uint32_t place(const Slot& slot, std::uint32_t& list) const {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    for (list = 0; laid_;) {
      const std::uint32_t begun = begun_by(lists_[list], Role::start(slot));
      if (begun == 0) break;
      const std::uint32_t at = lists_[list].first + begun - 1;
      if (entries_[at].slot == &slot) return at;
      list = entries_[at].below;
      if (list == 0) break;
    }
    throw BrokenInvariant("nested-lists: the slot to remove is not in the lists");
  }

  // Inserts a range between two of a list if it neither encloses another nor needs a new list.
  bool squeeze_in(const RangeItem& item) {
    for (std::uint32_t list = 0;;) {
      const NestedList& in = lists_[list];
      const std::uint32_t begun = begun_by(in, item.start);
      const std::uint32_t at = in.first + begun;
      if (begun) {
        SLOTLOOKUP_TOUCH(&lasts_[at - 1], sizeof(std::uint64_t));
        SLOTLOOKUP_TOUCH(&entries_[at - 1], sizeof(NestedEntry));
        if (SLOTLOOKUP_COMPARE(lasts_[at - 1] >= item.last)) {
          list = entries_[at - 1].below;
          if (list == 0) return false;
          continue;
        }
        // With the same start it is enclosed, and so may be the ranges in its list.
        if (SLOTLOOKUP_COMPARE(entries_[at - 1].start == item.start)) return false;
        if (entries_[at - 1].below && SLOTLOOKUP_COMPARE(lasts_[at - 1] >= item.start)) return false;
      }
      if (begun < in.count) {
        SLOTLOOKUP_TOUCH(&lasts_[at], sizeof(std::uint64_t));
        if (SLOTLOOKUP_COMPARE(lasts_[at] <= item.last)) return false;
      }
      lasts_.reserve(laid_ + 1, laid_, probe_);
      entries_.reserve(laid_ + 1, laid_, probe_);
      lasts_.shift(at, laid_, at + 1, probe_);
      entries_.shift(at, laid_, at + 1, probe_);
      lay(at, item, 0);
      ++laid_;
      ++lists_[list].count;
      move_lists(at, list, 1);
      return true;
    }
  }

  void close(std::uint32_t at, std::uint32_t list) {
    lasts_.shift(at + 1, laid_, at, probe_);
    entries_.shift(at + 1, laid_, at, probe_);
    --laid_;
    --lists_[list].count;
    move_lists(at, list, ~std::uint32_t{0});
  }

  // The places from `at` on in `list`, and all later lists, have moved by `by`.
  void move_lists(std::uint32_t at, std::uint32_t list, std::uint32_t by) {
    SLOTLOOKUP_TOUCH(lists_.data(), list_count_ * sizeof(NestedList));
    const std::uint32_t behind = lists_[list].first;
    for (std::uint32_t l = 0; l < list_count_; ++l) {
      if (lists_[l].first > behind) lists_[l].first += by;
      if (l && lists_[l].encloser >= at) lists_[l].encloser += by;
    }
  }

  // The top list is stored last, so that there is room after it, and the last place has the largest end.
  bool append(const RangeItem& item) {
    if (laid_) {
      SLOTLOOKUP_TOUCH(&lasts_[laid_ - 1], sizeof(std::uint64_t));
      if (!SLOTLOOKUP_COMPARE(lasts_[laid_ - 1] < item.start)) return false;
    } else {
      lists_.reserve(1, 0, probe_);
      lists_[0] = {0, 0, 0, 0};
      list_count_ = 1;
    }
    lasts_.reserve(laid_ + 1, laid_, probe_);
    entries_.reserve(laid_ + 1, laid_, probe_);
    SLOTLOOKUP_TOUCH(&lists_[0], sizeof(NestedList));
    lay(static_cast<std::uint32_t>(laid_++), item, 0);
    ++lists_[0].count;
    return true;
  }

  void lay(std::uint32_t at, const RangeItem& item, std::uint32_t below) {
    SLOTLOOKUP_TOUCH(&lasts_[at], sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&entries_[at], sizeof(NestedEntry));
    lasts_[at] = item.last;
    entries_[at] = {item.start, item.slot, below};
  }

  // All remaining ranges, in order. Descending from each entry before the next gives this order directly.
  std::size_t gather(RangeItem* to) const {
    if (!laid_) return 0;
    SLOTLOOKUP_TOUCH(lasts_.data(), laid_ * sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(entries_.data(), laid_ * sizeof(NestedEntry));
    SLOTLOOKUP_TOUCH(lists_.data(), list_count_ * sizeof(NestedList));
    std::size_t n = 0;
    std::uint32_t list = 0;
    std::uint32_t at = lists_[0].first;
    while (true) {
      if (at != lists_[list].first + lists_[list].count) {
        const NestedEntry& entry = entries_[at];
        if (entry.slot) to[n++] = {entry.start, lasts_[at], entry.slot};
        if (entry.below) list = entry.below;
        at = entry.below ? lists_[list].first : at + 1;
      } else if (list) {
        at = lists_[list].encloser + 1;
        list = lists_[list].above;
      } else {
        return n;
      }
    }
  }

  void rebuild(std::size_t placed) {
    const std::size_t n = size() - placed;
    if (n == 0) {
      laid_ = list_count_ = 0;
      return;
    }
    ArenaArray<RangeItem> items(lists_.arena());
    ArenaArray<RangeItem> spare(lists_.arena());
    items.reserve(n, 0, probe_);
    std::size_t kept = gather(items.data());
    for (std::size_t i = placed; i < waits_; ++i) items[kept++] = waiting_[i];
    const RangeItem* sorted = items.data();
    for (std::size_t i = 1; i < n; ++i) {
      if (!comes_before(items[i], items[i - 1], probe_)) continue;
      spare.reserve(n, 0, probe_);
      sorted = sort_items(items.data(), spare.data(), n, probe_);
      break;
    }
    lay_all(sorted, n);
  }

  // Numbered from 1; 0 represents the encloser of the top list.
  struct Nesting {
    std::uint32_t encloser;  // the nearest earlier range that encloses it
    std::uint32_t below;     // the number of ranges that it encloses directly, then the number of their list
    std::uint32_t at;        // its place
  };

  void lay_all(const RangeItem* items, std::size_t n) {
    ArenaArray<Nesting> nesting(lists_.arena());
    nesting.reserve(n + 1, 0, probe_);
    SLOTLOOKUP_TOUCH(items, n * sizeof *items);
    SLOTLOOKUP_TOUCH(nesting.data(), (n + 1) * sizeof(Nesting));
    nesting[0] = {0, 0, 0};
    std::uint32_t list_count = 1;
    for (std::uint32_t i = 1; i <= n; ++i) {
      std::uint32_t encloser = i - 1;
      while (encloser && SLOTLOOKUP_COMPARE(items[encloser - 1].last < items[i - 1].last))
        encloser = nesting[encloser].encloser;
      nesting[i] = {encloser, 0, 0};
      if (nesting[encloser].below++ == 0 && encloser) ++list_count;
    }
    lists_.reserve(list_count, 0, probe_);
    lasts_.reserve(n, 0, probe_);
    entries_.reserve(n, 0, probe_);
    SLOTLOOKUP_TOUCH(lists_.data(), list_count * sizeof(NestedList));
    laid_ = n;
    list_count_ = list_count;
    std::uint32_t next = 1;
    std::uint32_t first = 0;
    for (std::uint32_t i = 1; i <= n; ++i) {
      if (const std::uint32_t count = nesting[i].below) {
        nesting[i].below = next;
        lists_[next++] = {first, 0, 0, 0};
        first += count;
      }
    }
    nesting[0].below = 0;
    lists_[0] = {first, 0, 0, 0};
    for (std::uint32_t i = 1; i <= n; ++i) {
      Nesting& here = nesting[i];
      const std::uint32_t in = nesting[here.encloser].below;
      here.at = lists_[in].first + lists_[in].count++;
      lay(here.at, items[i - 1], here.below);
      if (here.below) {
        lists_[here.below].above = in;
        lists_[here.below].encloser = here.at;
      }
    }
  }

  std::size_t laid_ = 0;  // the number of entries in lists, including those to be removed
  ArenaArray<std::uint64_t> lasts_;
  ArenaArray<NestedEntry> entries_;
  ArenaArray<NestedList> lists_;
  ArenaArray<RangeItem> waiting_;
  std::size_t list_count_ = 0;  // as laid
  std::size_t waits_ = 0;
  std::size_t gone_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_HVA_STRUCTURE("nested-lists", NestedLists)

}  // namespace
}  // namespace slotlookup
