// interval-tree: a red-black tree by start in which every node has the largest last below it.
// See strategies/interval_tree.py.
#include <algorithm>

#include "slotlookup/native/registration.hpp"
#include "strategies/native/rb.hpp"

namespace slotlookup {
namespace {

struct IntervalNode : RbNode {
  std::uint64_t start;
  std::uint64_t last;
  std::uint64_t subtree_last;
};
static_assert(sizeof(IntervalNode) == 48, "as the kernel's struct interval_tree_node");

IntervalNode* interval(RbNode* node) { return static_cast<IntervalNode*>(node); }
const IntervalNode* interval(const RbNode* node) { return static_cast<const IntervalNode*>(node); }

std::uint64_t largest_last(const RbNode* node) {
  std::uint64_t largest = interval(node)->last;
  if (node->left) largest = std::max(largest, interval(node->left)->subtree_last);
  if (node->right) largest = std::max(largest, interval(node->right)->subtree_last);
  return largest;
}

struct LargestLast {
  static constexpr bool augmented = true;
  static std::uint64_t own(RbNode* node) { return interval(node)->last; }
  static std::uint64_t& of(RbNode* node) { return interval(node)->subtree_last; }
};

template <class Role, class Probe>
class IntervalTree {
 public:
  using Node = IntervalNode;
  static constexpr OptionalMembers kOptional{};

  IntervalTree(const Home& home, Probe probe) : embedded_(home.node_before_slot), tree_(probe), probe_(probe) {}

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    IntervalNode* fresh = embedded_.node(slot);
    fresh->start = Role::start(slot);
    fresh->last = fresh->subtree_last = Role::last(slot);
    SLOTLOOKUP_TOUCH(&fresh->start, 3 * sizeof fresh->start);
    RbNode* parent = nullptr;
    bool left = false;
    bool leftmost = true;
    for (RbNode* node = tree_.root(); node; node = left ? node->left : node->right) {
      parent = node;
      IntervalNode* here = interval(node);
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(node, sizeof *node);
      SLOTLOOKUP_TOUCH(&here->start, sizeof here->start);
      SLOTLOOKUP_TOUCH(&here->subtree_last, sizeof here->subtree_last);
      if (SLOTLOOKUP_COMPARE(here->subtree_last < fresh->last)) here->subtree_last = fresh->last;
      left = SLOTLOOKUP_COMPARE(fresh->start < here->start);
      leftmost &= left;
    }
    if (leftmost) {
      SLOTLOOKUP_TOUCH(&leftmost_, sizeof leftmost_);
      leftmost_ = fresh;
    }
    tree_.insert(fresh, parent, left);
    ++size_;
  }

  void erase(Slot& slot) {
    RbNode* node = embedded_.node(slot);
    SLOTLOOKUP_TOUCH(&leftmost_, sizeof leftmost_);
    if (leftmost_ == node) leftmost_ = interval(tree_.next(node));
    tree_.erase(node);
    --size_;
  }

  // As in the kernel, whose interval tree has no operation for replacing.
  void replace(Slot& old_slot, Slot& by) {
    erase(old_slot);
    insert(by);
  }

  Slot* find(std::uint64_t point) const {
    RbNode* node = enter(point, point);
    node = node ? leftmost_meeting(node, point, point) : nullptr;
    return node ? &embedded_.slot(interval(node)) : nullptr;
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    RbNode* node = enter(start, last);
    if (node) node = leftmost_meeting(node, start, last);
    while (node) {
      visit(embedded_.slot(interval(node)));
      node = next_meeting(node, start, last);
    }
  }

  void check() const {
    tree_.check_balance();
    std::size_t count = 0;
    const IntervalNode* before = nullptr;
    check_order(tree_.root(), before, count);
    require_invariant(count == size_, "interval-tree: the tree holds as many nodes as were inserted");
    require_invariant(leftmost_ == tree_.first(), "interval-tree: the stored leftmost node is the leftmost");
  }

  std::size_t size() const { return size_; }

 private:
  // Follows a link; returns whether a range at or below the node ends at or after `start`.
  bool reaches(const RbNode* node, std::uint64_t start) const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&interval(node)->subtree_last, sizeof(std::uint64_t));
    return SLOTLOOKUP_COMPARE(interval(node)->subtree_last >= start);
  }
  bool begins_by(const RbNode* node, std::uint64_t last) const {
    SLOTLOOKUP_TOUCH(&interval(node)->start, sizeof(std::uint64_t));
    return SLOTLOOKUP_COMPARE(interval(node)->start <= last);
  }
  bool ends_after(const RbNode* node, std::uint64_t start) const {
    SLOTLOOKUP_TOUCH(&interval(node)->last, sizeof(std::uint64_t));
    return SLOTLOOKUP_COMPARE(interval(node)->last >= start);
  }

  // The root, unless all ranges end before `start` or begin after `last`.
  RbNode* enter(std::uint64_t start, std::uint64_t last) const {
    RbNode* root = tree_.root();
    if (!root || !reaches(root, start)) return nullptr;
    SLOTLOOKUP_TOUCH(&leftmost_, sizeof leftmost_);
    SLOTLOOKUP_HOP();
    return begins_by(leftmost_, last) ? root : nullptr;
  }

  // The leftmost node below `node` that overlaps [start, last], or null. Precondition: a range below ends at or after
  // `start`. If a left subtree contains such an end, the leftmost answer is there or does not exist: its starts are
  // smaller.
  RbNode* leftmost_meeting(RbNode* node, std::uint64_t start, std::uint64_t last) const {
    while (true) {
      SLOTLOOKUP_TOUCH(node, sizeof *node);
      if (node->left && reaches(node->left, start)) {
        node = node->left;
        continue;
      }
      SLOTLOOKUP_EXAMINE();
      if (!begins_by(node, last)) return nullptr;
      if (ends_after(node, start)) return node;
      if (!node->right || !reaches(node->right, start)) return nullptr;
      node = node->right;
    }
  }

  RbNode* next_meeting(RbNode* node, std::uint64_t start, std::uint64_t last) const {
    while (true) {
      if (node->right && reaches(node->right, start)) return leftmost_meeting(node->right, start, last);
      RbNode* child;
      do {
        child = node;
        node = node->parent();
        if (!node) return nullptr;
        SLOTLOOKUP_HOP();
        SLOTLOOKUP_TOUCH(node, sizeof *node);
      } while (node->right == child);
      SLOTLOOKUP_EXAMINE();
      if (!begins_by(node, last)) return nullptr;
      if (ends_after(node, start)) return node;
    }
  }

  void check_order(const RbNode* node, const IntervalNode*& before, std::size_t& count) const {
    if (!node) return;
    check_order(node->left, before, count);
    const IntervalNode* here = interval(node);
    const Slot& slot = embedded_.slot(here);
    require_invariant(here->start == Role::start(slot) && here->last == Role::last(slot),
                      "interval-tree: a node has its slot's range");
    require_invariant(!before || before->start <= here->start, "interval-tree: starts ascend from left to right");
    require_invariant(here->subtree_last == largest_last(node), "interval-tree: a node has the largest last below it");
    before = here;
    ++count;
    check_order(node->right, before, count);
  }

  Embedded<IntervalNode> embedded_;
  RbTree<LargestLast, Probe> tree_;
  IntervalNode* leftmost_ = nullptr;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("interval-tree", IntervalTree)

}  // namespace
}  // namespace slotlookup
