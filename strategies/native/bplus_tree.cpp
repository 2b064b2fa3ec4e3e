// bplus-tree: a B+-tree by start in nodes of four lines. See strategies/bplus_tree.py.
#include <algorithm>
#include <type_traits>

#include "bplus_nodes.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// A node's key is the least start of what follows it.
struct LeastStarts {
  static bool precedes(std::uint64_t key, std::uint64_t point) { return key <= point; }
};

template <class Role, std::size_t leaf_entries, std::size_t fan_out>
using BplusNodesOf = BplusNodes<leaf_entries, fan_out, std::is_same_v<Role, HvaRole>>;
template <class Nodes, class Probe>
using BplusBase = NodeTree<typename Nodes::Leaf, typename Nodes::Inner, LeastStarts, Probe>;

// Tests use nodes of three or four entries, so that a few slots fill many of them.
template <class Role, class Probe, std::size_t leaf_entries, std::size_t fan_out>
class BplusTreeOf : public BplusBase<BplusNodesOf<Role, leaf_entries, fan_out>, Probe> {
  using Nodes = BplusNodesOf<Role, leaf_entries, fan_out>;
  using Tree = BplusBase<Nodes, Probe>;
  using Leaf = typename Nodes::Leaf;
  using Inner = typename Nodes::Inner;
  using Tree::descend, Tree::rank, Tree::height_, Tree::probe_, Tree::root_, Tree::size_;
  using typename Tree::Path;

 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{};

  BplusTreeOf(const Home& home, Probe probe) : Tree(home, probe) {}

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    const std::uint64_t start = Role::start(slot);
    const std::uint64_t last = Role::last(slot);
    Path path;
    Leaf* leaf = descend_to(start, path, last);
    ++size_;
    const std::size_t at = rank(leaf->start, start);
    Entries entries;
    entries.take(*leaf);
    entries.put(at, start, last, &slot);
    SLOTLOOKUP_TOUCH(leaf, sizeof *leaf);
    if (entries.count <= leaf_entries) {
      entries.give(*leaf, 0, entries.count);
      return;
    }
    Leaf* right = this->template make<Leaf>();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(right, sizeof *right);
    // Slots are mostly added in order of address: a split at the end leaves fuller nodes.
    const std::size_t left = at + 1 == entries.count ? entries.count - kLeastEntries : entries.count / 2;
    entries.give(*leaf, 0, left);
    entries.give(*right, left, entries.count);
    insert_child(path, leaf, right, right->start[0]);
  }

  void erase(Slot& slot) {
    Path path;
    std::size_t at;
    Leaf* leaf = locate(slot, path, at);
    SLOTLOOKUP_TOUCH(leaf, sizeof *leaf);
    for (std::size_t i = at + 1; i < leaf->count; ++i) {
      leaf->start[i - 1] = leaf->start[i];
      leaf->last[i - 1] = leaf->last[i];
      leaf->slot[i - 1] = leaf->slot[i];
    }
    leaf->start[--leaf->count] = kUnusedKey;
    --size_;
    if (at == 0) lift_separator(path, leaf->start[0]);
    std::size_t count = leaf->count;
    std::size_t least = kLeastEntries;
    for (unsigned level = 0; level < height_; ++level) {
      const auto [parent, child] = path.step[level];
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(parent, sizeof *parent);
      const bool underfull = count < least;
      if (underfull) {
        rebalance(*parent, child > 0 ? child - 1 : 0, level);
      } else if constexpr (augmented) {
        const std::uint64_t largest = largest_of(parent->child[child], level);
        if (SLOTLOOKUP_COMPARE(largest == parent->largest[child])) return;
        parent->largest[child] = largest;
      } else {
        return;
      }
      count = parent->count;
      least = kLeastChildren;
    }
    this->drop_lone_root();
  }

  void replace(Slot& old_slot, Slot& by) {
    Path path;
    std::size_t at;
    locate(old_slot, path, at)->slot[at] = &by;
  }

  Slot* find(std::uint64_t point) const {
    point = std::min(point, kUnusedKey - 1);
    const Leaf& leaf = this->leaf_of(point);
    const std::size_t behind = rank(leaf.start, point);
    if (behind == 0) return nullptr;
    const std::size_t at = behind - 1;
    SLOTLOOKUP_EXAMINE();
    SLOTLOOKUP_TOUCH(&leaf.last[at], sizeof leaf.last[at]);
    if (!SLOTLOOKUP_COMPARE(point <= leaf.last[at])) return nullptr;
    SLOTLOOKUP_TOUCH(&leaf.slot[at], sizeof leaf.slot[at]);
    SLOTLOOKUP_HOP();
    return leaf.slot[at];
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof height_);
    visit_below(root_, height_, start, std::min(last, kUnusedKey - 1), visit);
  }

  void check() const {
    Seen seen;
    check_order(root_, height_, true, seen);
    require_invariant(seen.count == size_, "bplus-tree: the leaves hold as many entries as were inserted");
  }

 private:
  static constexpr bool augmented = std::is_same_v<Role, HvaRole>;
  static constexpr std::size_t kLeastEntries = std::max<std::size_t>(2, leaf_entries * 2 / 5);
  static constexpr std::size_t kLeastChildren = std::max<std::size_t>(2, fan_out * 2 / 5);
  static_assert(leaf_entries >= 3 && fan_out >= 3, "a node must not become empty by one removal");

  using Entries = typename Nodes::Entries;
  using Children = typename Nodes::Children;

  // The last leaf that may contain an entry of this start, which is inserted: `last` raises the largest lasts on the path.
  Leaf* descend_to(std::uint64_t start, Path& path, [[maybe_unused]] std::uint64_t last) {
    // Captures are written out: hooks would change the order of a default capture, and with it the timed code.
    return descend(start, [this, &path, last](unsigned level, Inner& inner, std::size_t at) {
      path.step[level] = {&inner, at};
      if constexpr (augmented) {
        SLOTLOOKUP_TOUCH(&inner.largest[at], sizeof inner.largest[at]);
        if (SLOTLOOKUP_COMPARE(inner.largest[at] < last)) inner.largest[at] = last;
      }
    });
  }

  // The slot's leaf and its place there. Equal starts, which hvas may have, can extend over several leaves.
  Leaf* locate(const Slot& slot, Path& path, std::size_t& at) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    Leaf* leaf = descend(Role::start(slot), [&path](unsigned level, Inner& inner, std::size_t child) {
      path.step[level] = {&inner, child};
    });
    at = rank(leaf->start, Role::start(slot));
    for (;;) {
      while (at > 0) {
        --at;
        SLOTLOOKUP_TOUCH(&leaf->slot[at], sizeof leaf->slot[at]);
        if (SLOTLOOKUP_COMPARE(leaf->slot[at] == &slot)) return leaf;
      }
      leaf = leaf_before(path);
      at = leaf->count;
    }
  }

  Leaf* leaf_before(Path& path) {
    unsigned level = 0;
    while (level < height_ && path.step[level].child == 0) ++level;
    if (level == height_) throw BrokenInvariant("bplus-tree: the slot to remove is not in the tree");
    SLOTLOOKUP_HOP();
    void* node = path.step[level].node->child[--path.step[level].child];
    for (; level > 0; --level) {
      SLOTLOOKUP_HOP();
      Inner* inner = static_cast<Inner*>(node);
      SLOTLOOKUP_TOUCH(inner, sizeof *inner);
      path.step[level - 1] = {inner, inner->count - 1};
      node = inner->child[inner->count - 1];
    }
    SLOTLOOKUP_HOP();
    return static_cast<Leaf*>(node);
  }

  // A leaf's least start has changed, and therefore the key before the subtree in which the leaf is leftmost.
  void lift_separator(const Path& path, std::uint64_t start) {
    for (unsigned level = 0; level < height_; ++level) {
      const auto [node, child] = path.step[level];
      if (child == 0) continue;
      SLOTLOOKUP_TOUCH(&node->key[child - 1], sizeof node->key[child - 1]);
      node->key[child - 1] = start;
      return;
    }
  }

  // Inserts `right` after `left`, from which it was split, and splits upwards if there is no room.
  void insert_child(const Path& path, void* left, void* right, std::uint64_t key) {
    for (unsigned level = 0; level < height_; ++level) {
      const auto [node, child] = path.step[level];
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(node, sizeof *node);
      Children children;
      children.take(*node);
      children.put(child + 1, key, right);
      sum_up(children.largest[child], left, level);
      sum_up(children.largest[child + 1], right, level);
      if (children.count <= fan_out) {
        children.give(*node, 0, children.count);
        return;
      }
      Inner* beside = this->template make<Inner>();
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(beside, sizeof *beside);
      const std::size_t kept = child + 2 == children.count ? children.count - kLeastChildren : children.count / 2;
      children.give(*node, 0, kept);
      children.give(*beside, kept, children.count);
      left = node;
      right = beside;
      key = children.key[kept - 1];
    }
    Children children;
    children.child[0] = left;
    children.child[1] = right;
    children.key[0] = key;
    children.count = 2;
    sum_up(children.largest[0], left, height_);
    sum_up(children.largest[1], right, height_);
    children.give(this->add_root(), 0, 2);
  }

  // Distributes the content of two neighbours evenly, or moves it all to the left one. `level` is theirs.
  void rebalance(Inner& parent, std::size_t left, unsigned level) {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_HOP();
    const bool merged = level == 0 ? share_entries(parent, left) : share_children(parent, left);
    if (merged) {
      if (level == 0) {
        this->free(static_cast<Leaf*>(parent.child[left + 1]));
      } else {
        this->free(static_cast<Inner*>(parent.child[left + 1]));
      }
      Children children;
      children.take(parent);
      std::copy(children.key + left + 1, children.key + children.count - 1, children.key + left);
      std::copy(children.child + left + 2, children.child + children.count, children.child + left + 1);
      if constexpr (augmented) {
        std::copy(children.largest + left + 2, children.largest + children.count, children.largest + left + 1);
      }
      children.give(parent, 0, children.count - 1);
    }
    if constexpr (augmented) {
      sum_up(parent.largest[left], parent.child[left], level);
      if (!merged) sum_up(parent.largest[left + 1], parent.child[left + 1], level);
    }
  }

  bool share_entries(Inner& parent, std::size_t at) {
    Leaf& left = *static_cast<Leaf*>(parent.child[at]);
    Leaf& right = *static_cast<Leaf*>(parent.child[at + 1]);
    SLOTLOOKUP_TOUCH(&left, sizeof left);
    SLOTLOOKUP_TOUCH(&right, sizeof right);
    Entries entries;
    entries.take(left);
    entries.take(right);
    const bool merged = entries.count <= leaf_entries;
    const std::size_t half = merged ? entries.count : entries.count / 2;
    entries.give(left, 0, half);
    if (merged) return true;
    entries.give(right, half, entries.count);
    parent.key[at] = right.start[0];
    return false;
  }

  bool share_children(Inner& parent, std::size_t at) {
    Inner& left = *static_cast<Inner*>(parent.child[at]);
    Inner& right = *static_cast<Inner*>(parent.child[at + 1]);
    SLOTLOOKUP_TOUCH(&left, sizeof left);
    SLOTLOOKUP_TOUCH(&right, sizeof right);
    Children children;
    children.take(left);
    children.key[children.count - 1] = parent.key[at];
    children.take(right);
    const bool merged = children.count <= fan_out;
    const std::size_t half = merged ? children.count : children.count / 2;
    children.give(left, 0, half);
    if (merged) return true;
    children.give(right, half, children.count);
    parent.key[at] = children.key[half - 1];
    return false;
  }

  void sum_up([[maybe_unused]] std::uint64_t& largest, [[maybe_unused]] void* node, [[maybe_unused]] unsigned level) {
    if constexpr (augmented) largest = largest_of(node, level);
  }

  std::uint64_t largest_of(void* node, unsigned level) const {
    if (level == 0) {
      const Leaf& leaf = *static_cast<Leaf*>(node);
      SLOTLOOKUP_TOUCH(leaf.last, sizeof leaf.last);
      return *std::max_element(leaf.last, leaf.last + leaf.count);
    }
    const Inner& inner = *static_cast<Inner*>(node);
    SLOTLOOKUP_TOUCH(inner.largest, sizeof inner.largest);
    return *std::max_element(inner.largest, inner.largest + inner.count);
  }

  template <class Visit>
  void visit_below(void* node, unsigned level, std::uint64_t start, std::uint64_t last, Visit& visit) const {
    SLOTLOOKUP_HOP();
    if (level > 0) {
      const Inner& inner = *static_cast<Inner*>(node);
      SLOTLOOKUP_TOUCH(&inner.count, sizeof inner.count);
      const std::size_t behind = std::min<std::size_t>(rank(inner.key, last) + 1, inner.count);
      for (std::size_t i = 0; i < behind; ++i) {
        SLOTLOOKUP_TOUCH(&inner.largest[i], sizeof inner.largest[i]);
        if (!SLOTLOOKUP_COMPARE(inner.largest[i] >= start)) continue;
        SLOTLOOKUP_TOUCH(&inner.child[i], sizeof inner.child[i]);
        visit_below(inner.child[i], level - 1, start, last, visit);
      }
      return;
    }
    const Leaf& leaf = *static_cast<Leaf*>(node);
    const std::size_t end = rank(leaf.start, last);
    for (std::size_t i = 0; i < end; ++i) {
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(&leaf.last[i], sizeof leaf.last[i]);
      if (!SLOTLOOKUP_COMPARE(leaf.last[i] >= start)) continue;
      SLOTLOOKUP_TOUCH(&leaf.slot[i], sizeof leaf.slot[i]);
      SLOTLOOKUP_HOP();
      visit(*leaf.slot[i]);
    }
  }

  // Facts about a subtree: its least start and largest last, the number of entries up to its end, and the last start.
  struct Seen {
    std::uint64_t least = 0;
    std::uint64_t largest = 0;
    std::size_t count = 0;
    std::uint64_t before = 0;
  };

  void check_order(const void* node, unsigned level, bool root, Seen& seen) const {
    seen.largest = 0;
    if (level == 0) {
      const Leaf& leaf = *static_cast<const Leaf*>(node);
      require_invariant(leaf.count <= leaf_entries && (root || leaf.count >= kLeastEntries),
                        "bplus-tree: a leaf is at least two fifths full");
      seen.least = leaf.start[0];
      for (std::size_t i = 0; i < leaf.count; ++i) {
        require_invariant(leaf.start[i] == Role::start(*leaf.slot[i]) && leaf.last[i] == Role::last(*leaf.slot[i]),
                          "bplus-tree: an entry has its slot's range");
        require_invariant(leaf.start[i] >= seen.before, "bplus-tree: starts ascend through the leaves");
        seen.before = leaf.start[i];
        seen.largest = std::max(seen.largest, leaf.last[i]);
        ++seen.count;
      }
      for (std::size_t i = leaf.count; i < leaf_entries; ++i) {
        require_invariant(leaf.start[i] == kUnusedKey, "bplus-tree: unused starts are 2^64 - 1");
      }
      return;
    }
    const Inner& inner = *static_cast<const Inner*>(node);
    require_invariant(inner.count <= fan_out && inner.count >= (root ? 2 : kLeastChildren),
                      "bplus-tree: an inner node is at least two fifths full");
    std::uint64_t least = 0;
    std::uint64_t largest = 0;
    for (std::size_t i = 0; i < inner.count; ++i) {
      check_order(inner.child[i], level - 1, false, seen);
      if (i == 0) least = seen.least;
      require_invariant(i == 0 || inner.key[i - 1] == seen.least,
                        "bplus-tree: a key is the least start below its child");
      if constexpr (augmented) {
        require_invariant(inner.largest[i] == seen.largest,
                          "bplus-tree: an inner node has the largest last below each child");
      }
      largest = std::max(largest, seen.largest);
    }
    for (std::size_t i = inner.count - 1; i < fan_out - 1; ++i) {
      require_invariant(inner.key[i] == kUnusedKey, "bplus-tree: unused keys are 2^64 - 1");
    }
    seen.least = least;
    seen.largest = largest;
  }
};

// Nodes of 256 bytes, the size of the kernel's maple nodes.
template <class Role, class Probe>
using BplusTree = BplusTreeOf<Role, Probe, 10, std::is_same_v<Role, HvaRole> ? 10 : 16>;

SLOTLOOKUP_STRUCTURE("bplus-tree", BplusTree)

}  // namespace
}  // namespace slotlookup
