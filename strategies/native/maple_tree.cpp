// maple-tree: a B-tree of ranges that cover every gfn, holes included. See strategies/maple_tree.py.
//
// An entry's range runs from behind the pivot before it up to its own pivot; the last entry of a node has none and ends
// where the node does. Pivots that are not in use are 2^64 - 1, below which every gfn lies, so that a search compares
// all of them and branches on none.
#include <algorithm>
#include <type_traits>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// Tests make it with nodes of a few entries, so that a few slots fill many of them.
template <class Role, class Probe, std::size_t leaf_slots, std::size_t fan_out>
class MapleTreeOf {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};

  MapleTreeOf(const Home& home, Probe probe) : arena_(home.arena), probe_(probe) {
    Leaf* leaf = make<Leaf>();
    leaf->count = 1;
    leaf->slot[0] = nullptr;
    root_ = leaf;
  }
  ~MapleTreeOf() { release(root_, height_); }
  MapleTreeOf(const MapleTreeOf&) = delete;
  MapleTreeOf& operator=(const MapleTreeOf&) = delete;

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), 2 * sizeof(std::uint64_t));
    const std::uint64_t start = Role::start(slot);
    const std::uint64_t last = Role::last(slot);
    ++size_;
    Place place = descend(start);
    require_invariant(!place.entry(), "maple-tree: a slot is inserted where there is a hole");
    if (SLOTLOOKUP_COMPARE(last > place.last())) {
      // The hole goes on in the next leaf. The boundary between the two moves out of the way.
      Place next = descend(place.last() + 1);
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
    Place place = descend(Role::start(slot));
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
    const Place place = descend(Role::start(old_slot));
    if (place.entry() != &old_slot) throw BrokenInvariant("maple-tree: the slot to replace is not in the tree");
    place.leaf->slot[place.at] = &by;
  }

  // Pivots alone tell: an entry's range is its slot's, or a hole's.
  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof height_);
    void* node = root_;
    for (unsigned level = height_; level > 0; --level) {
      SLOTLOOKUP_HOP();
      const Inner& inner = *static_cast<Inner*>(node);
      void* const& child = inner.slot[rank(inner.pivot, point)];
      SLOTLOOKUP_TOUCH(&child, sizeof child);
      node = child;
    }
    SLOTLOOKUP_HOP();
    const Leaf& leaf = *static_cast<Leaf*>(node);
    Slot* const& slot = leaf.slot[rank(leaf.pivot, point)];
    SLOTLOOKUP_TOUCH(&slot, sizeof slot);
    if (slot) SLOTLOOKUP_HOP();
    return slot;
  }

  void check() const {
    std::size_t count = 0;
    check_order(root_, height_, 0, kEnd, true, count);
    require_invariant(count == size_, "maple-tree: the leaves hold as many slots as were inserted");
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  static constexpr unsigned kMostLevels = 32;

  // What leaves and inner nodes have in common: `count` entries, each but the last with its pivot.
  template <class Entry, std::size_t entries>
  struct Ranges {
    static constexpr std::size_t kMost = entries;
    static constexpr std::size_t kLeast = std::max<std::size_t>(2, entries * 2 / 5);
    static_assert(entries >= 4);

    std::uint64_t pivot[entries - 1];
    std::uint64_t count;
    Entry slot[entries];

    // Makes one of entries `at` and `at` + 1, which keeps the first one's pointer.
    void join(std::size_t at) {
      std::copy(pivot + at + 1, pivot + count - 1, pivot + at);
      std::copy(slot + at + 2, slot + count, slot + at + 1);
      --count;
      pivot[count - 1] = kEnd;
    }
  };
  struct alignas(kLineBytes) Leaf : Ranges<Slot*, leaf_slots> {};
  struct alignas(kLineBytes) Inner : Ranges<void*, fan_out> {
    std::uint64_t gap[fan_out];  // the kernel's room for the largest gap below each child: not in use
  };

  struct Step {
    Inner* node;
    std::size_t child;
  };

  // An entry, its leaf, and the way there; step[0] is the leaf's parent. The leaf covers [low, high].
  struct Place {
    Leaf* leaf;
    std::size_t at;
    std::uint64_t low = 0;
    std::uint64_t high = kEnd;
    Step step[kMostLevels];

    Slot* entry() const { return leaf->slot[at]; }
    std::uint64_t first() const { return at > 0 ? leaf->pivot[at - 1] + 1 : low; }
    std::uint64_t last() const { return at + 1 < leaf->count ? leaf->pivot[at] : high; }
  };

  // What one node or two hold, and two entries more: `end` is an entry's inclusive last.
  template <class N>
  struct Buffer {
    std::uint64_t end[2 * N::kMost];
    std::remove_extent_t<decltype(N::slot)> slot[2 * N::kMost];
    std::size_t count = 0;

    void put(std::uint64_t last, std::remove_extent_t<decltype(N::slot)> what) {
      end[count] = last;
      slot[count++] = what;
    }
    void take(const N& node, std::size_t from, std::size_t to, std::uint64_t node_end) {
      for (std::size_t i = from; i < to; ++i) put(i + 1 < node.count ? node.pivot[i] : node_end, node.slot[i]);
    }
    void give(N& node, std::size_t from, std::size_t to) const {
      node.count = to - from;
      std::copy(end + from, end + to - 1, node.pivot);
      std::copy(slot + from, slot + to, node.slot);
      std::fill(node.pivot + node.count - 1, node.pivot + N::kMost - 1, kEnd);
    }
  };

  template <class N>
  N* make() {
    static_assert(leaf_slots != 16 || sizeof(N) == 256, "as the kernel's nodes");
    N* node = new (arena_.allocate_object(sizeof(N))) N;
    std::fill_n(node->pivot, N::kMost - 1, kEnd);
    return node;
  }

  void release(void* node, unsigned level) {
    if (level == 0) {
      arena_.free_object(node, sizeof(Leaf));
      return;
    }
    Inner* inner = static_cast<Inner*>(node);
    for (std::size_t i = 0; i < inner->count; ++i) release(inner->slot[i], level - 1);
    arena_.free_object(inner, sizeof(Inner));
  }

  // How many pivots lie before `point`: the entry that holds it.
  template <std::size_t n>
  std::size_t rank(const std::uint64_t (&pivot)[n], std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(pivot, sizeof pivot);
    std::size_t before = 0;
    for (std::size_t i = 0; i < n; ++i) before += SLOTLOOKUP_COMPARE(pivot[i] < point);
    return before;
  }

  Place descend(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof height_);
    Place place;
    void* node = root_;
    for (unsigned level = height_; level > 0; --level) {
      SLOTLOOKUP_HOP();
      Inner* inner = static_cast<Inner*>(node);
      const std::size_t at = rank(inner->pivot, point);
      SLOTLOOKUP_TOUCH(&inner->slot[at], sizeof inner->slot[at]);
      place.step[level - 1] = {inner, at};
      if (at > 0) place.low = inner->pivot[at - 1] + 1;
      if (at + 1 < inner->count) place.high = inner->pivot[at];
      node = inner->slot[at];
    }
    SLOTLOOKUP_HOP();
    place.leaf = static_cast<Leaf*>(node);
    place.at = rank(place.leaf->pivot, point);
    SLOTLOOKUP_TOUCH(&place.leaf->slot[place.at], sizeof place.leaf->slot[place.at]);
    return place;
  }

  // Where a leaf ends is told by the lowest node above it in which it is not on the last branch.
  void set_boundary(const Place& place, std::uint64_t end) {
    for (unsigned level = 0; level < height_; ++level) {
      const auto [node, child] = place.step[level];
      if (child + 1 == node->count) continue;
      SLOTLOOKUP_TOUCH(&node->pivot[child], sizeof node->pivot[child]);
      node->pivot[child] = end;
      return;
    }
  }

  // Puts a slot into the hole at `place`, of which a hole may stay in front and behind.
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
      const auto [node, child] = place.step[level];
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(node, sizeof *node);
      Buffer<Inner> children;
      children.take(*node, 0, child, kEnd);
      children.put(boundary, left);
      children.put(child + 1 < node->count ? node->pivot[child] : kEnd, right);
      children.take(*node, child + 1, node->count, kEnd);
      if (children.count <= fan_out) {
        children.give(*node, 0, children.count);
        return;
      }
      right = split(*node, children, child + 1 == node->count, boundary);
      left = node;
    }
    Inner* above = make<Inner>();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(above, sizeof *above);
    above->count = 2;
    above->pivot[0] = boundary;
    above->slot[0] = left;
    above->slot[1] = right;
    root_ = above;
    ++height_;
  }

  // Shares `all` out between a node and a new one behind it. Slots mostly come in order of address: what grows at its
  // end leaves fuller nodes behind.
  template <class N>
  N* split(N& node, const Buffer<N>& all, bool at_end, std::uint64_t& boundary) {
    N* right = make<N>();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(right, sizeof *right);
    const std::size_t kept = at_end ? all.count - N::kLeast : all.count / 2;
    boundary = all.end[kept - 1];
    all.give(node, 0, kept);
    all.give(*right, kept, all.count);
    return right;
  }

  // An entry has gone: where a node is less than two fifths full, it shares with a neighbour or is joined with it.
  void rebalance(const Place& place) {
    bool underfull = place.leaf->count < Leaf::kLeast;
    for (unsigned level = 0; underfull && level < height_; ++level) {
      const auto [parent, child] = place.step[level];
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
    if (height_ > 0 && static_cast<Inner*>(root_)->count == 1) {
      Inner* gone = static_cast<Inner*>(root_);
      root_ = gone->slot[0];
      --height_;
      arena_.free_object(gone, sizeof *gone);
    }
  }

  template <class N>
  void share(Inner& parent, std::size_t at) {
    N& left = *static_cast<N*>(parent.slot[at]);
    N& right = *static_cast<N*>(parent.slot[at + 1]);
    SLOTLOOKUP_TOUCH(&left, sizeof left);
    SLOTLOOKUP_TOUCH(&right, sizeof right);
    Buffer<N> all;
    all.take(left, 0, left.count, parent.pivot[at]);
    // One hole may lie on both sides of the boundary.
    if (std::is_same_v<N, Leaf> && !left.slot[left.count - 1] && !right.slot[0]) --all.count;
    all.take(right, 0, right.count, kEnd);
    if (all.count <= N::kMost) {
      all.give(left, 0, all.count);
      arena_.free_object(&right, sizeof right);
      parent.join(at);
    } else {
      const std::size_t half = all.count / 2;
      all.give(left, 0, half);
      all.give(right, half, all.count);
      parent.pivot[at] = all.end[half - 1];
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
      require_invariant(node.pivot[i] == kEnd, "maple-tree: unused pivots are 2^64 - 1");
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

  Arena& arena_;
  void* root_;
  unsigned height_ = 0;  // of inner nodes above each leaf
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

// The kernel's fan-outs: nodes of 256 bytes hold 16 entries, or 10 and the largest gap below each.
template <class Role, class Probe>
using MapleTree = MapleTreeOf<Role, Probe, 16, 10>;

SLOTLOOKUP_GFN_STRUCTURE("maple-tree", MapleTree)

}  // namespace
}  // namespace slotlookup
