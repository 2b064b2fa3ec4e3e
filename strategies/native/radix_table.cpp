// radix-table: a page table over gfns, nine bits per level, levels with one child skipped. See
// strategies/radix_table.py.
#include <algorithm>
#include <cstring>

#include "range_items.hpp"
#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// `levels` levels of `bits` bits of a gfn each. Tests use two bits, so that a few slots need many nodes.
template <class Role, class Probe, unsigned bits, unsigned levels>
class RadixTableOf {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.settle = true};

  RadixTableOf(const Home& home, Probe probe) : columns_(home.arena), probe_(probe) {}
  ~RadixTableOf() { release(root_); }
  RadixTableOf(const RadixTableOf&) = delete;
  RadixTableOf& operator=(const RadixTableOf&) = delete;

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), 2 * sizeof(std::uint64_t));
    const std::uint64_t start = Role::start(slot);
    const std::uint64_t last = Role::last(slot);
    if (last >> kBits) throw BrokenInvariant("radix-table: a slot extends beyond the gfns that the levels cover");
    if (size_ + waiting_ == columns_.room()) grow();
    const std::uint32_t section = unused_;
    SLOTLOOKUP_TOUCH(&sections()[section], sizeof(Section));
    unused_ = static_cast<std::uint32_t>(sections()[section].start);
    sections()[section] = {start, last, &slot};
    SLOTLOOKUP_TOUCH(&order()[size_ + waiting_], sizeof(Ordered));
    order()[size_ + waiting_++] = {start, last, section};
  }

  // Inserts pending sections: one by editing the tree, several by rebuilding it over the sorted order.
  void settle() {
    SLOTLOOKUP_TOUCH(&waiting_, sizeof waiting_);
    if (waiting_ == 0) return;
    if (waiting_ > 1) {
      size_ += waiting_;
      waiting_ = 0;
      release(root_);
      root_ = kNothing;
      sort_order();
      update(root_, 0, levels, {0, 0, kNothing});
      return;
    }
    waiting_ = 0;
    const Ordered come = order()[size_];
    const std::size_t at = reaching(come.start);
    SLOTLOOKUP_TOUCH(&order()[at], (size_ - at + 1) * sizeof(Ordered));
    std::memmove(&order()[at + 1], &order()[at], (size_ - at) * sizeof(Ordered));
    order()[at] = come;
    ++size_;
    update(root_, 0, levels, {come.start, come.last, leaf(come.section)});
  }

  void erase(Slot& slot) {
    settle();
    const std::size_t at = position(slot);
    const Ordered gone = order()[at];
    SLOTLOOKUP_TOUCH(&order()[at], (size_ - at) * sizeof(Ordered));
    std::memmove(&order()[at], &order()[at + 1], (size_ - at - 1) * sizeof(Ordered));
    --size_;
    update(root_, 0, levels, {gone.start, gone.last, kNothing});
    SLOTLOOKUP_TOUCH(&sections()[gone.section], sizeof(Section));
    sections()[gone.section] = {unused_, 0, nullptr};
    unused_ = gone.section;
  }

  void replace(Slot& old_slot, Slot& by) {
    settle();
    Section& section = sections()[order()[position(old_slot)].section];
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&section.slot, sizeof section.slot);
    section.slot = &by;
  }

  // Bits of skipped levels are not tested, so the section that is found must still be tested.
  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_);
    Entry entry = root_;
    for (unsigned level = levels; entry.skip > 0;) {
      SLOTLOOKUP_HOP();
      level -= entry.skip;
      const Entry& below = node(entry)[index(point, level)];
      SLOTLOOKUP_TOUCH(&below, sizeof below);
      entry = below;
    }
    if (entry.to == kNone) return nullptr;
    SLOTLOOKUP_HOP();
    const Section& section = sections()[entry.to];
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(&section, sizeof section);
    if (!(SLOTLOOKUP_COMPARE(point >= section.start) && SLOTLOOKUP_COMPARE(point <= section.last))) return nullptr;
    SLOTLOOKUP_HOP();
    return section.slot;
  }

  void check() const {
    std::size_t unused = 0;
    for (std::uint32_t i = unused_; i != kNone; i = static_cast<std::uint32_t>(sections()[i].start)) ++unused;
    require_invariant(unused + size_ == columns_.room(), "radix-table: a section is in use or among the unused");
    for (std::size_t i = 0; i < size_; ++i) {
      const Ordered& range = order()[i];
      const Section& section = sections()[range.section];
      require_invariant(section.start == range.start && section.last == range.last,
                        "radix-table: an entry of the order has its section's range");
      require_invariant(section.start == Role::start(*section.slot) && section.last == Role::last(*section.slot),
                        "radix-table: a section has its slot's range");
      require_invariant(i == 0 || order()[i - 1].last < range.start, "radix-table: sections ascend and do not overlap");
    }
    std::size_t nodes = 0;
    check_order(root_, 0, levels, nodes);
    require_invariant(nodes == nodes_, "radix-table: every node is reached from the root");
  }

  std::size_t size() const { return size_ + waiting_; }

 private:
  static constexpr unsigned kBits = bits * levels;
  static constexpr std::size_t kEntries = std::size_t{1} << bits;
  static constexpr std::uint32_t kNone = (1u << 26) - 1;
  static_assert(kBits >= 52 && kBits < 64, "gfns have 52 bits");

  // Four bytes, as in QEMU: the number of levels down, and the node there; or no level, and a section or kNone. A
  // node is identified by its line in the arena.
  struct Entry {
    std::uint32_t skip : 6;
    std::uint32_t to : 26;

    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr Entry kNothing{0, kNone};
  static_assert(sizeof(Entry) == 4);

  struct Section {
    std::uint64_t start;  // of an unused section: the next unused one
    std::uint64_t last;
    Slot* slot;
  };
  // The sections in order of start, for building: finds the sections of a block.
  struct Ordered {
    std::uint64_t start;
    std::uint64_t last;
    std::uint32_t section;

    friend bool comes_before(const Ordered& a, const Ordered& b, [[maybe_unused]] const Probe& probe_) {
      return SLOTLOOKUP_COMPARE(a.start < b.start);
    }
  };
  // An added or removed section: the leaf that represents its range from now on.
  struct Edit {
    std::uint64_t start;
    std::uint64_t last;
    Entry to;
  };

  static Entry leaf(std::uint32_t section) { return {0, section}; }
  // The bits of a gfn that choose an entry whose block has 2^(bits * level) gfns.
  static std::size_t index(std::uint64_t gfn, unsigned level) { return gfn >> (bits * level) & (kEntries - 1); }

  Entry* node(Entry entry) const {
    const char* base = static_cast<const char*>(arena().base());
    return reinterpret_cast<Entry*>(const_cast<char*>(base) + std::size_t{entry.to} * kLineBytes);
  }

  Entry make_node(unsigned skip) {
    Entry* made = static_cast<Entry*>(arena().allocate_object(kEntries * sizeof(Entry)));
    std::fill_n(made, kEntries, kNothing);
    const std::size_t offset =
        static_cast<std::size_t>(reinterpret_cast<char*>(made) - static_cast<const char*>(arena().base()));
    SLOTLOOKUP_TOUCH(&nodes_, sizeof nodes_);
    ++nodes_;
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(made, kEntries * sizeof(Entry));
    return {skip, static_cast<std::uint32_t>(offset / kLineBytes)};
  }

  void free_node(Entry entry) {
    SLOTLOOKUP_TOUCH(&nodes_, sizeof nodes_);
    --nodes_;
    arena().free_object(node(entry), kEntries * sizeof(Entry));
  }

  void release(const Entry& entry) {
    if (entry.skip == 0) return;
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(node(entry), kEntries * sizeof(Entry));
    for (std::size_t i = 0; i < kEntries; ++i) release(node(entry)[i]);
    free_node(entry);
  }

  // The number of sections that end before `gfn`.
  std::size_t reaching(std::uint64_t gfn) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return 0;
    SLOTLOOKUP_HOP();
    std::size_t low = 0;
    std::size_t high = size_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      SLOTLOOKUP_TOUCH(&order()[middle].last, sizeof order()[middle].last);
      if (SLOTLOOKUP_COMPARE(order()[middle].last < gfn)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    const std::size_t at = reaching(Role::start(slot));
    if (at == size_) throw BrokenInvariant("radix-table: the slot to remove is not in the table");
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&sections()[order()[at].section].slot, sizeof(Slot*));
    if (!SLOTLOOKUP_COMPARE(sections()[order()[at].section].slot == &slot)) {
      throw BrokenInvariant("radix-table: the slot to remove is not in the table");
    }
    return at;
  }

  // The part of the order that overlaps the block of 2^(bits * level) gfns from `base`: sections [begin, end), and in
  // the block the gfns from `low` to `high`, which are together in a node at level `height`, and in none below.
  struct Content {
    std::size_t begin;
    std::size_t end;
    std::uint64_t low;
    std::uint64_t high;
    unsigned height;
  };
  Content content(std::uint64_t base, unsigned level) const {
    const std::uint64_t block_last = base + ((std::uint64_t{1} << (bits * level)) - 1);
    Content held{reaching(base), 0, 0, 0, 0};
    held.end = reaching(block_last);
    if (held.end < size_ && SLOTLOOKUP_COMPARE(order()[held.end].start <= block_last)) ++held.end;
    if (held.end - held.begin < 2) return held;
    held.low = std::max(base, order()[held.begin].start);
    held.high = std::min(block_last, order()[held.end - 1].last);
    held.height = 1;
    while (held.low >> (bits * held.height) != held.high >> (bits * held.height)) ++held.height;
    return held;
  }

  // Updates an entry whose block of 2^(bits * level) gfns begins at `base` and overlaps the change.
  void update(Entry& entry, std::uint64_t base, unsigned level, const Edit& edit) {
    const Content held = content(base, level);
    if (held.end - held.begin < 2) {
      // One section or none: a leaf at any level.
      release(entry);
      entry = held.begin == held.end ? kNothing : leaf(order()[held.begin].section);
      return;
    }
    const bool leaf_before = entry.skip == 0;
    if (leaf_before || level - entry.skip + 1 < held.height) {
      // The block had less content, and needs a node that separates the old and the new section.
      const Entry before = entry;
      entry = make_node(level - held.height + 1);
      if (leaf_before) {
        for (std::size_t i = held.begin; i < held.end; ++i) {
          const Ordered& range = order()[i];
          update_children(entry, held.low, held.height, {range.start, range.last, leaf(range.section)});
        }
        return;
      }
      const std::uint64_t old = edit.start <= held.low ? held.high : held.low;
      node(entry)[index(old, held.height - 1)] = {before.skip - (level - held.height + 1), before.to};
    }
    const unsigned height = level - entry.skip + 1;
    update_children(entry, held.low, height, edit);
    if (height > held.height) {
      // All remaining sections are below one entry of the node, which can be skipped.
      const Entry only = node(entry)[index(held.low, height - 1)];
      const std::uint32_t skip = entry.skip + only.skip;
      free_node(entry);
      entry = {skip, only.to};
    }
  }

  // Updates the entries of a node that overlap the change. The node covers the 2^(bits * height) gfns around
  // `inside`.
  void update_children(Entry entry, std::uint64_t inside, unsigned height, const Edit& edit) {
    const unsigned shift = bits * (height - 1);
    const std::uint64_t base = inside >> (bits * height) << (bits * height);
    const std::uint64_t node_last = base + ((std::uint64_t{1} << (bits * height)) - 1);
    const std::uint64_t low = std::max(base, edit.start);
    const std::uint64_t high = std::min(node_last, edit.last);
    if (low > high) return;
    SLOTLOOKUP_HOP();
    Entry* entries = node(entry);
    for (std::uint64_t i = (low - base) >> shift; i <= (high - base) >> shift; ++i) {
      SLOTLOOKUP_TOUCH(&entries[i], sizeof(Entry));
      const std::uint64_t from = base + (i << shift);
      const std::uint64_t to = from + ((std::uint64_t{1} << shift) - 1);
      if (from >= edit.start && to <= edit.last) {
        entries[i] = edit.to;
      } else {
        update(entries[i], from, height - 1, edit);
      }
    }
  }

  void check_order(Entry entry, std::uint64_t base, unsigned level, std::size_t& nodes) const {
    const Content held = content(base, level);
    if (held.end - held.begin < 2) {
      require_invariant(entry == (held.begin == held.end ? kNothing : leaf(order()[held.begin].section)),
                        "radix-table: a block with one section or none has no node");
      return;
    }
    require_invariant(entry.skip > 0 && level - entry.skip + 1 == held.height,
                      "radix-table: a node is the lowest that contains all of its block's sections");
    ++nodes;
    const std::uint64_t first = held.low >> (bits * held.height) << (bits * held.height);
    for (std::size_t i = 0; i < kEntries; ++i) {
      check_order(node(entry)[i], first + (std::uint64_t{i} << (bits * (held.height - 1))), held.height - 1, nodes);
    }
  }

  void sort_order() {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(order(), size_ * sizeof(Ordered));
    ArenaArray<Ordered> spare(arena());
    spare.reserve(size_, 0, probe_);
    const Ordered* sorted = sort_items(order(), spare.data(), size_, probe_);
    if (sorted != order()) std::memcpy(order(), sorted, size_ * sizeof(Ordered));
  }

  void grow() {
    const std::size_t full = columns_.room();
    columns_.reserve(full + 1, full, probe_);
    const std::size_t room = columns_.room();
    SLOTLOOKUP_TOUCH(sections(), room * sizeof(Section));
    for (std::size_t i = full; i < room; ++i) sections()[i] = {i + 1 < room ? i + 1 : kNone, 0, nullptr};
    unused_ = static_cast<std::uint32_t>(full);
  }

  Arena& arena() const { return columns_.arena(); }
  Ordered* order() const { return columns_.template data<0>(); }
  Section* sections() const { return columns_.template data<1>(); }

  Entry root_ = kNothing;
  std::uint32_t unused_ = kNone;
  ArenaColumns<Ordered, Section> columns_;
  std::size_t size_ = 0;
  std::size_t waiting_ = 0;  // pending sections after the sorted ones, for settle()
  std::size_t nodes_ = 0;
  [[no_unique_address]] Probe probe_;
};

// Six levels of nine bits, QEMU's for 64-bit addresses.
template <class Role, class Probe>
using RadixTable = RadixTableOf<Role, Probe, 9, 6>;

SLOTLOOKUP_GFN_STRUCTURE("radix-table", RadixTable)

}  // namespace
}  // namespace slotlookup
