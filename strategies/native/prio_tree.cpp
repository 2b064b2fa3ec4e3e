// prio-tree: a radix priority search tree over page numbers, a heap on the last and a radix tree on the start.
// See strategies/prio_tree.py.
#include <bit>
#include <type_traits>

#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

// A node of the tree, or an element of the list of nodes with the range of a node of the tree.
struct PrioNode {
  PrioNode* left;  // in a list: the previous node; that of the first is in the tree
  PrioNode* right;
  PrioNode* parent;  // in a list: the node itself
  std::uint64_t start;
  std::uint64_t last;
  PrioNode* same;  // the next of the same range

  bool listed() const { return parent == this; }
};
static_assert(sizeof(PrioNode) == 48);

template <class Role, class Probe>
class PrioTree {
 public:
  using Node = PrioNode;
  static constexpr OptionalMembers kOptional{};

  PrioTree(const Home& home, Probe probe) : embedded_(home.node_before_slot), probe_(probe) {}

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    PrioNode* fresh = embedded_.node(slot);
    *fresh = {nullptr, nullptr, nullptr, Role::start(slot) >> kShift, Role::last(slot) >> kShift, nullptr};
    SLOTLOOKUP_TOUCH(fresh, sizeof *fresh);
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof bits_);
    ++size_;
    if (SLOTLOOKUP_COMPARE(static_cast<unsigned>(std::bit_width(fresh->last)) > bits_)) {
      grow(fresh);
    } else {
      hang(fresh);
    }
  }

  void erase(Slot& slot) {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    PrioNode* gone = embedded_.node(slot);
    see(gone);
    --size_;
    if (gone->listed()) {
      see(gone->left);
      gone->left->same = gone->same;
      if (gone->same) {
        see(gone->same);
        gone->same->left = gone->left;
      }
    } else if (PrioNode* heir = gone->same) {
      see(heir);
      if (heir->same) see(heir->same);
      take_place(gone, heir);
    } else {
      unhang(gone);
    }
  }

  void replace(Slot& old_slot, Slot& by_slot) {
    SLOTLOOKUP_TOUCH(&embedded_, sizeof embedded_);
    PrioNode* old_node = embedded_.node(old_slot);
    PrioNode* by = embedded_.node(by_slot);
    see(old_node);
    by->start = old_node->start;
    by->last = old_node->last;
    by->same = old_node->same;
    if (old_node->listed()) {
      by->left = old_node->left;
      by->right = nullptr;
      by->parent = by;
      see(by->left);
      by->left->same = by;
    } else {
      take_place(old_node, by);
    }
    see(by);
    if (by->same) {
      see(by->same);
      by->same->left = by;
    }
  }

  Slot* find(std::uint64_t point) const {
    Slot* found = nullptr;
    walk(point >> kShift, point >> kShift, [&found](Slot& slot) {
      found = &slot;
      return false;
    });
    return found;
  }

  // A slot consists of whole pages: it overlaps a range exactly if it contains a page of which the range has a byte.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    walk(start >> kShift, last >> kShift, [&visit](Slot& slot) {
      visit(slot);
      return true;
    });
  }

  void check() const {
    std::size_t count = 0;
    require_invariant(!root_ || !root_->parent, "prio-tree: the root has no parent");
    if (root_) check_below(root_, 0, 0, 0, count);
    require_invariant(count == size_, "prio-tree: the tree holds as many nodes as were inserted");
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr unsigned kShift = std::is_same_v<Role, HvaRole> ? kPageShift : 0;
  static constexpr unsigned kSizeBits = 64;

  void see([[maybe_unused]] const PrioNode* node) const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(node, sizeof *node);
  }

  // The bit of a start that selects the child at this depth; 0 below the radix tree.
  std::uint64_t start_bit(unsigned depth) const { return depth < bits_ ? std::uint64_t{1} << (bits_ - 1 - depth) : 0; }

  // Whether a node belongs to the right at this depth: by the bits of its start, and below the last of them by those of
  // its size, from the highest of a word on.
  bool to_right(const PrioNode* node, unsigned depth) const {
    if (depth < bits_) return node->start & start_bit(depth);
    return (node->last - node->start) >> (kSizeBits - 1 - (depth - bits_)) & 1;
  }

  void hang_at(PrioNode* parent, PrioNode* old_child, PrioNode* by) {
    if (!parent) {
      SLOTLOOKUP_TOUCH(&root_, sizeof root_);
      root_ = by;
    } else {
      (parent->left == old_child ? parent->left : parent->right) = by;
    }
    if (by) by->parent = parent;
  }

  // `by` takes the place and the children of `node`.
  void take_place(PrioNode* node, PrioNode* by) {
    if (node->parent) see(node->parent);
    hang_at(node->parent, node, by);
    by->left = node->left;
    by->right = node->right;
    for (PrioNode* child : {by->left, by->right}) {
      if (!child) continue;
      see(child);
      child->parent = by;
    }
  }

  // Descends along its bits and exchanges places with every node that ends earlier.
  void hang(PrioNode* node) {
    PrioNode* parent = nullptr;
    bool right = false;
    PrioNode* here = root_;
    for (unsigned depth = 0; here; ++depth) {
      see(here);
      SLOTLOOKUP_EXAMINE();
      if (SLOTLOOKUP_COMPARE(node->last == here->last) && SLOTLOOKUP_COMPARE(node->start == here->start)) {
        enlist(node, here);
        return;
      }
      if (SLOTLOOKUP_COMPARE(node->last > here->last)) {
        take_place(here, node);
        PrioNode* displaced = here;
        here = node;
        node = displaced;
      }
      right = to_right(node, depth);
      parent = here;
      here = right ? here->right : here->left;
    }
    node->left = node->right = nullptr;
    node->parent = parent;
    if (!parent) SLOTLOOKUP_TOUCH(&root_, sizeof root_);
    (parent ? (right ? parent->right : parent->left) : root_) = node;
  }

  void enlist(PrioNode* node, PrioNode* head) {
    node->left = head;
    node->right = nullptr;
    node->parent = node;
    node->same = head->same;
    if (head->same) {
      see(head->same);
      head->same->left = node;
    }
    head->same = node;
  }

  // Moves the node down, below the child that ends later, until it is a leaf, and removes it.
  void unhang(PrioNode* node) {
    while (node->left || node->right) {
      PrioNode* left = node->left;
      PrioNode* right = node->right;
      if (left) see(left);
      if (right) see(right);
      const bool up_left = left && (!right || SLOTLOOKUP_COMPARE(left->last >= right->last));
      PrioNode* up = up_left ? left : right;
      PrioNode* other = up_left ? right : left;
      node->left = up->left;
      node->right = up->right;
      for (PrioNode* child : {node->left, node->right}) {
        if (!child) continue;
        see(child);
        child->parent = node;
      }
      if (node->parent) see(node->parent);
      hang_at(node->parent, node, up);
      (up_left ? up->left : up->right) = node;
      (up_left ? up->right : up->left) = other;
      if (other) other->parent = up;
      node->parent = up;
    }
    if (node->parent) see(node->parent);
    hang_at(node->parent, node, nullptr);
  }

  // A range that ends after all others and needs more bits becomes the root. All other starts have a 0 for each new
  // bit and must move one level down for each; the successive roots of the old tree, removed one by one, are the levels
  // in between.
  void grow(PrioNode* fresh) {
    const auto wanted = static_cast<unsigned>(std::bit_width(fresh->last));
    PrioNode* bottom = fresh;
    for (unsigned level = bits_ + 1; level < wanted && root_; ++level) {
      PrioNode* top = root_;
      see(top);
      unhang(top);
      bottom->left = top;
      top->parent = bottom;
      top->left = top->right = nullptr;
      bottom = top;
    }
    bottom->left = root_;
    if (root_) {
      see(root_);
      root_->parent = bottom;
    }
    root_ = fresh;
    bits_ = wanted;
  }

  // Follows a link; returns whether the node, and so any range at or below it, ends at or after `first`.
  bool reaches(const PrioNode* node, std::uint64_t first) const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(node, sizeof *node);
    return SLOTLOOKUP_COMPARE(node->last >= first);
  }

  // Every slot that overlaps the pages [first, last], until `each` stops it. A child is entered if it ends
  // late enough, a right one only if its starts, whose upper bits are known, can be early enough.
  template <class Each>
  void walk(std::uint64_t first, std::uint64_t last, Each&& each) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof bits_);
    PrioNode* node = root_;
    if (!node || !reaches(node, first)) return;
    std::uint64_t bit = start_bit(0);
    unsigned depth = 0;
    std::uint64_t least = 0;  // the known bits of the starts below
    while (true) {
      SLOTLOOKUP_EXAMINE();
      if (SLOTLOOKUP_COMPARE(node->start <= last)) {
        for (PrioNode* one = node;;) {
          if (!each(embedded_.slot(one))) return;
          one = one->same;
          if (!one) break;
          see(one);
        }
      }
      if (node->left && reaches(node->left, first)) {
        node = node->left;
        bit = start_bit(++depth);
        continue;
      }
      while (!(node->right && SLOTLOOKUP_COMPARE((least | bit) <= last) && reaches(node->right, first))) {
        // Up to the last node at which the path went left.
        const PrioNode* child;
        do {
          child = node;
          node = node->parent;
          if (!node) return;
          SLOTLOOKUP_HOP();
          SLOTLOOKUP_TOUCH(node, sizeof *node);
          bit = start_bit(--depth);
          if (node->right == child) least &= ~bit;
        } while (node->right == child);
      }
      least |= bit;
      node = node->right;
      bit = start_bit(++depth);
    }
  }

  // `least` and `size` are the bits of the starts and of the sizes that the path has fixed.
  void check_below(const PrioNode* node, unsigned depth, std::uint64_t least, std::uint64_t size,
                   std::size_t& count) const {
    require_invariant(depth <= bits_ + kSizeBits, "prio-tree: there is at most one level per bit, and the root");
    const unsigned open = depth < bits_ ? bits_ - depth : 0;
    require_invariant(depth == 0 || node->start >> open == least >> open,
                      "prio-tree: a node is on the path of its start");
    const unsigned open_sizes = depth > bits_ ? kSizeBits - (depth - bits_) : 0;
    require_invariant(depth <= bits_ || (node->last - node->start) >> open_sizes == size >> open_sizes,
                      "prio-tree: below the radix tree a node is on the path of its size");
    require_invariant(static_cast<unsigned>(std::bit_width(node->last)) <= bits_,
                      "prio-tree: the bits suffice for every last");
    const PrioNode* before = nullptr;
    for (const PrioNode* one = node; one; before = one, one = one->same) {
      const Slot& slot = embedded_.slot(one);
      require_invariant(one->start == Role::start(slot) >> kShift && one->last == Role::last(slot) >> kShift,
                        "prio-tree: a node has its slot's range");
      require_invariant(one->start == node->start && one->last == node->last, "prio-tree: a list has equal ranges");
      require_invariant(one == node ? !one->listed() : one->listed() && one->left == before,
                        "prio-tree: a node in a list links to the previous one");
      ++count;
    }
    for (const PrioNode* child : {node->left, node->right}) {
      if (!child) continue;
      require_invariant(child->parent == node, "prio-tree: a child's parent link points at its parent");
      require_invariant(child->last <= node->last, "prio-tree: a child does not end later than its parent");
      require_invariant(child->start != node->start || child->last != node->last,
                        "prio-tree: equal ranges share a list");
      const bool right = child == node->right;
      const std::uint64_t size_bit = depth < bits_ ? 0 : std::uint64_t{1} << (kSizeBits - 1 - (depth - bits_));
      check_below(child, depth + 1, right ? least | start_bit(depth) : least, right ? size | size_bit : size, count);
    }
  }

  Embedded<PrioNode> embedded_;
  PrioNode* root_ = nullptr;
  unsigned bits_ = 1;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("prio-tree", PrioTree)

}  // namespace
}  // namespace slotlookup
