// maple-tree: a B-tree of ranges that cover every gfn, including holes. See strategies/maple_tree.py.
//
// An entry's range extends from after the previous pivot up to its own pivot; the last entry of a node has no pivot and
// ends with the node.
#include <algorithm>
#include <type_traits>

#include "node_tree.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// The common part of leaves and inner nodes: `count` entries, each except the last with a pivot.
template <class Entry, std::size_t entries>
struct MapleRanges {
  static constexpr std::size_t kMost = entries;
  static constexpr std::size_t kLeast = std::max<std::size_t>(2, entries * 2 / 5);
  static_assert(entries >= 4);

  std::uint64_t pivot[entries - 1];
  std::uint64_t count;
  Entry slot[entries];

  auto& keys() { return pivot; }

  // Merges entries `at` and `at` + 1; the first one's pointer is kept.
  void join(std::size_t at) {
    std::copy(pivot + at + 1, pivot + count - 1, pivot + at);
    std::copy(slot + at + 2, slot + count, slot + at + 1);
    --count;
    pivot[count - 1] = kUnusedKey;
  }
};
template <std::size_t slots>
struct alignas(kLineBytes) MapleLeaf : MapleRanges<Slot*, slots> {};
template <std::size_t fan_out>
struct alignas(kLineBytes) MapleInner : MapleRanges<void*, fan_out> {
  std::uint64_t gap[fan_out];  // the kernel's space for the largest gap below each child: unused

  auto& children() { return this->slot; }
};
static_assert(sizeof(MapleLeaf<16>) == 256 && sizeof(MapleInner<10>) == 256, "as the kernel's nodes");

// A pivot is the last point of its entry.
struct Lasts {
  static bool precedes(std::uint64_t key, std::uint64_t point) { return key < point; }
};

// Tests use nodes of a few entries, so that a few slots fill many of them.
template <class Role, class Probe, std::size_t leaf_slots, std::size_t fan_out>
class MapleTreeOf : public NodeTree<MapleLeaf<leaf_slots>, MapleInner<fan_out>, Lasts, Probe> {
  using Leaf = MapleLeaf<leaf_slots>;
  using Inner = MapleInner<fan_out>;
  using Tree = NodeTree<Leaf, Inner, Lasts, Probe>;
  using Tree::height_, Tree::probe_, Tree::root_, Tree::size_;
  using typename Tree::Path;

 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};

  MapleTreeOf(const Home& home, Probe probe) : Tree(home, probe) {
    Leaf* leaf = static_cast<Leaf*>(root_);
    leaf->count = 1;
    leaf->slot[0] = nullptr;
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), 2 * sizeof(std::uint64_t));
    const std::uint64_t start = Role::start(slot);
    const std::uint64_t last = Role::last(slot);
    ++size_;
    Place place = place_of(start);
    require_invariant(!place.entry(), "maple-tree: a slot is inserted where there is a hole");
    if (SLOTLOOKUP_COMPARE(last > place.last())) {
      // The hole extends into the next leaf. The boundary between the two is moved.
      Place next = place_of(place.last() + 1);
      require_invariant(!next.entry() && last <= next.last(), "maple-tree: a slot is inserted where there is a hole");
      if (SLOTLOOKUP_COMPARE(last < next.last())) {
        set_boundary(place, last);
        place.high = last;
      } else if (SLOTLOOKUP_COMPARE(start > place.first())) {
        set_boundary(place, start - 1);
        next.leaf->slot[0] = &slot;
        return;
      } else {
        set_boundary(place, last);
        place.leaf->slot[place.at] = &slot;
        next.leaf->slot[0] = next.leaf->slot[1];
        next.leaf->join(0);
        rebalance(next);
        return;
      }
    }
    split_hole(place, start, last, slot);
  }

  void erase(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    Place place = place_of(Role::start(slot));
    if (place.entry() != &slot) throw BrokenInvariant("maple-tree: the slot to remove is not in the tree");
    Leaf& leaf = *place.leaf;
    SLOTLOOKUP_TOUCH(&leaf, sizeof leaf);
    const std::size_t at = place.at;
    leaf.slot[at] = nullptr;
    --size_;
    if (at + 1 < leaf.count && !leaf.slot[at + 1]) leaf.join(at);
    if (at > 0 && !leaf.slot[at - 1]) leaf.join(at - 1);
    rebalance(place);
  }

  void replace(Slot& old_slot, Slot& by) {
    SLOTLOOKUP_TOUCH(Role::start_field(old_slot), sizeof(std::uint64_t));
    const Place place = place_of(Role::start(old_slot));
    if (place.entry() != &old_slot) throw BrokenInvariant("maple-tree: the slot to replace is not in the tree");
    place.leaf->slot[place.at] = &by;
  }

  // Pivots are sufficient: an entry's range is its slot's, or a hole's.
  Slot* find(std::uint64_t point) const {
    const Leaf& leaf = this->leaf_of(point);
    Slot* const& slot = leaf.slot[this->rank(leaf.pivot, point)];
    SLOTLOOKUP_TOUCH(&slot, sizeof slot);
    if (slot) SLOTLOOKUP_HOP();
    return slot;
  }

  void check() const {
    std::size_t count = 0;
    check_order(root_, height_, 0, kLastKey, true, count);
    require_invariant(count == size_, "maple-tree: the leaves hold as many slots as were inserted");
  }

 private:
  static constexpr std::uint64_t kLastKey = ~std::uint64_t{0};

  // An entry, its leaf, and the path to it. The leaf covers [low, high].
  struct Place {
    Leaf* leaf;
    std::size_t at;
    std::uint64_t low = 0;
    std::uint64_t high = kLastKey;
    Path path;

    Slot* entry() const { return leaf->slot[at]; }
    std::uint64_t first() const { return at > 0 ? leaf->pivot[at - 1] + 1 : low; }
    std::uint64_t last() const { return at + 1 < leaf->count ? leaf->pivot[at] : high; }
  };

  // What one node or two hold, and two entries more: `last[i]` and `slot[i]` are entry i's.
  template <class N>
  struct Buffer {
    std::uint64_t last[2 * N::kMost];
    std::remove_extent_t<decltype(N::slot)> slot[2 * N::kMost];
    std::size_t count = 0;

    void put(std::uint64_t entry_last, std::remove_extent_t<decltype(N::slot)> what) {
      last[count] = entry_last;
      slot[count++] = what;
    }
    void take(const N& node, std::size_t from, std::size_t to, std::uint64_t node_last) {
      for (std::size_t i = from; i < to; ++i) put(i + 1 < node.count ? node.pivot[i] : node_last, node.slot[i]);
    }
    void give(N& node, std::size_t from, std::size_t to) const {
      node.count = to - from;
      std::copy(last + from, last + to - 1, node.pivot);
      std::copy(slot + from, slot + to, node.slot);
      std::fill(node.pivot + node.count - 1, node.pivot + N::kMost - 1, kLastKey);
    }
  };

  Place place_of(std::uint64_t point) const {
    Place place;
    place.leaf = this->descend(point, [&place](unsigned level, Inner& inner, std::size_t at) {
      place.path.step[level] = {&inner, at};
      if (at > 0) place.low = inner.pivot[at - 1] + 1;
      if (at + 1 < inner.count) place.high = inner.pivot[at];
    });
    place.at = this->rank(place.leaf->pivot, point);
    SLOTLOOKUP_TOUCH(&place.leaf->slot[place.at], sizeof place.leaf->slot[place.at]);
    return place;
  }

  // The end of a leaf is in the lowest node above it in which it is not on the last branch.
  void set_boundary(const Place& place, std::uint64_t last) {
    for (unsigned level = 0; level < height_; ++level) {
      const auto [node, child] = place.path.step[level];
      if (child + 1 == node->count) continue;
      SLOTLOOKUP_TOUCH(&node->pivot[child], sizeof node->pivot[child]);
      node->pivot[child] = last;
      return;
    }
  }

  // Inserts a slot into the hole at `place`; a hole may remain before and after it.
  void split_hole(const Place& place, std::uint64_t start, std::uint64_t last, Slot& slot) {
    Leaf& leaf = *place.leaf;
    SLOTLOOKUP_TOUCH(&leaf, sizeof leaf);
    Buffer<Leaf> all;
    all.take(leaf, 0, place.at, place.high);
    if (SLOTLOOKUP_COMPARE(start > place.first())) all.put(start - 1, nullptr);
    all.put(last, &slot);
    if (SLOTLOOKUP_COMPARE(last < place.last())) all.put(place.last(), nullptr);
    all.take(leaf, place.at + 1, leaf.count, place.high);
    if (all.count <= leaf_slots) {
      all.give(leaf, 0, all.count);
      return;
    }
    std::uint64_t boundary;
    void* right = split(leaf, all, place.at + 1 == leaf.count, boundary);
    void* left = &leaf;
    for (unsigned level = 0; level < height_; ++level) {
      const auto [node, child] = place.path.step[level];
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(node, sizeof *node);
      Buffer<Inner> children;
      children.take(*node, 0, child, kLastKey);
      children.put(boundary, left);
      children.put(child + 1 < node->count ? node->pivot[child] : kLastKey, right);
      children.take(*node, child + 1, node->count, kLastKey);
      if (children.count <= fan_out) {
        children.give(*node, 0, children.count);
        return;
      }
      right = split(*node, children, child + 1 == node->count, boundary);
      left = node;
    }
    Inner& above = this->add_root();
    above.count = 2;
    above.pivot[0] = boundary;
    above.slot[0] = left;
    above.slot[1] = right;
  }

  // Distributes `all` over a node and a new one after it. Slots are mostly added in order of address: a split at the
  // end leaves fuller nodes.
  template <class N>
  N* split(N& node, const Buffer<N>& all, bool at_end, std::uint64_t& boundary) {
    N* right = this->template make<N>();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(right, sizeof *right);
    const std::size_t kept = at_end ? all.count - N::kLeast : all.count / 2;
    boundary = all.last[kept - 1];
    all.give(node, 0, kept);
    all.give(*right, kept, all.count);
    return right;
  }

  // After a removal: a node that is less than two fifths full takes entries from a neighbour or is merged with it.
  void rebalance(const Place& place) {
    bool underfull = place.leaf->count < Leaf::kLeast;
    for (unsigned level = 0; underfull && level < height_; ++level) {
      const auto [parent, child] = place.path.step[level];
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(parent, sizeof *parent);
      const std::size_t left = child > 0 ? child - 1 : 0;
      if (level == 0) {
        share<Leaf>(*parent, left);
      } else {
        share<Inner>(*parent, left);
      }
      underfull = parent->count < Inner::kLeast;
    }
    this->drop_lone_root();
  }

  template <class N>
  void share(Inner& parent, std::size_t at) {
    N& left = *static_cast<N*>(parent.slot[at]);
    N& right = *static_cast<N*>(parent.slot[at + 1]);
    SLOTLOOKUP_TOUCH(&left, sizeof left);
    SLOTLOOKUP_TOUCH(&right, sizeof right);
    Buffer<N> all;
    all.take(left, 0, left.count, parent.pivot[at]);
    // One hole may extend across the boundary.
    if (std::is_same_v<N, Leaf> && !left.slot[left.count - 1] && !right.slot[0]) --all.count;
    all.take(right, 0, right.count, kLastKey);
    if (all.count <= N::kMost) {
      all.give(left, 0, all.count);
      this->free(&right);
      parent.join(at);
    } else {
      const std::size_t half = all.count / 2;
      all.give(left, 0, half);
      all.give(right, half, all.count);
      parent.pivot[at] = all.last[half - 1];
    }
  }

  template <class N>
  void check_pivots(const N& node, std::uint64_t low, std::uint64_t high, bool root, std::size_t least) const {
    require_invariant(node.count <= N::kMost && node.count >= (root ? least : N::kLeast),
                      "maple-tree: a node is at least two fifths full");
    for (std::size_t i = 0; i + 1 < node.count; ++i) {
      require_invariant(node.pivot[i] >= (i > 0 ? node.pivot[i - 1] + 1 : low) && node.pivot[i] < high,
                        "maple-tree: pivots ascend within what the node covers");
    }
    for (std::size_t i = node.count - 1; i < N::kMost - 1; ++i) {
      require_invariant(node.pivot[i] == kLastKey, "maple-tree: unused pivots are 2^64 - 1");
    }
  }

  void check_order(const void* node, unsigned level, std::uint64_t low, std::uint64_t high, bool root,
                   std::size_t& count) const {
    if (level == 0) {
      const Leaf& leaf = *static_cast<const Leaf*>(node);
      check_pivots(leaf, low, high, root, 1);
      for (std::size_t i = 0; i < leaf.count; ++i) {
        const std::uint64_t first = i > 0 ? leaf.pivot[i - 1] + 1 : low;
        const std::uint64_t last = i + 1 < leaf.count ? leaf.pivot[i] : high;
        if (const Slot* slot = leaf.slot[i]) {
          require_invariant(first == Role::start(*slot) && last == Role::last(*slot),
                            "maple-tree: an entry's range is its slot's");
          ++count;
        } else {
          require_invariant(i == 0 || leaf.slot[i - 1], "maple-tree: no two entries of a leaf share a hole");
        }
      }
      return;
    }
    const Inner& inner = *static_cast<const Inner*>(node);
    check_pivots(inner, low, high, root, 2);
    for (std::size_t i = 0; i < inner.count; ++i) {
      check_order(inner.slot[i], level - 1, i > 0 ? inner.pivot[i - 1] + 1 : low,
                  i + 1 < inner.count ? inner.pivot[i] : high, false, count);
    }
  }
};

// The kernel's fan-outs: nodes of 256 bytes contain 16 entries, or 10 and the largest gap below each.
template <class Role, class Probe>
using MapleTree = MapleTreeOf<Role, Probe, 16, 10>;

SLOTLOOKUP_GFN_STRUCTURE("maple-tree", MapleTree)

}  // namespace
}  // namespace slotlookup
