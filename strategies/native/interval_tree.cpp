// interval-tree: a red-black tree by start in which every node knows the largest last below it.
// See strategies/interval_tree.py.
#include <algorithm>

#include "slotlookup/native/rb.hpp"

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
  static void refresh(RbNode* node) { interval(node)->subtree_last = largest_last(node); }
};

template <class Role, class Probe>
class IntervalTree {
 public:
  using Node = IntervalNode;

  IntervalTree(const Home& home, Probe probe) : embedded_(home.node_before_slot), tree_(probe), probe_(probe) {}

  void insert(Slot& slot) {
    IntervalNode* fresh = embedded_.node(slot);
    fresh->start = Role::start(slot);
    fresh->last = fresh->subtree_last = Role::last(slot);
    RbNode* parent = nullptr;
    bool left = false;
    for (RbNode* node = tree_.root(); node; node = left ? node->left : node->right) {
      parent = node;
      see(node);
      EXAMINE();
      left = COMPARE(fresh->start < interval(node)->start);
    }
    tree_.insert(fresh, parent, left);
    ++size_;
  }

  void erase(Slot& slot) {
    tree_.erase(embedded_.node(slot));
    --size_;
  }

  // As the kernel does, whose interval tree has no replace of its own.
  void replace(Slot& old_slot, Slot& by) {
    erase(old_slot);
    insert(by);
  }

  Slot* find(std::uint64_t point) {
    RbNode* node = enter(point);
    node = node ? leftmost_meeting(node, point, point) : nullptr;
    return node ? &embedded_.slot(interval(node)) : nullptr;
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) {
    RbNode* node = enter(start);
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
    require(count == size_, "interval-tree: the tree holds as many nodes as were inserted");
  }

  std::size_t size() const { return size_; }

 private:
  void see([[maybe_unused]] const RbNode* node) const {
    HOP();
    TOUCH(node, sizeof(IntervalNode));
  }

  // The root, unless everything ends before `start`.
  RbNode* enter(std::uint64_t start) {
    RbNode* root = tree_.root();
    if (!root) return nullptr;
    see(root);
    return COMPARE(interval(root)->subtree_last >= start) ? root : nullptr;
  }

  // The leftmost node below `node` that meets [start, last], or null. Given: something below ends at or after `start`.
  // If a left subtree holds such an end, the leftmost answer is there or nowhere: its starts are the smaller ones.
  RbNode* leftmost_meeting(RbNode* node, std::uint64_t start, std::uint64_t last) {
    while (true) {
      if (node->left) {
        see(node->left);
        if (COMPARE(interval(node->left)->subtree_last >= start)) {
          node = node->left;
          continue;
        }
      }
      EXAMINE();
      if (!COMPARE(interval(node)->start <= last)) return nullptr;
      if (COMPARE(interval(node)->last >= start)) return node;
      if (!node->right) return nullptr;
      see(node->right);
      if (!COMPARE(interval(node->right)->subtree_last >= start)) return nullptr;
      node = node->right;
    }
  }

  RbNode* next_meeting(RbNode* node, std::uint64_t start, std::uint64_t last) {
    while (true) {
      if (node->right) {
        see(node->right);
        if (COMPARE(interval(node->right)->subtree_last >= start)) return leftmost_meeting(node->right, start, last);
      }
      RbNode* child;
      do {
        child = node;
        node = node->parent();
        if (!node) return nullptr;
        see(node);
      } while (node->right == child);
      EXAMINE();
      if (!COMPARE(interval(node)->start <= last)) return nullptr;
      if (COMPARE(interval(node)->last >= start)) return node;
    }
  }

  void check_order(const RbNode* node, const IntervalNode*& before, std::size_t& count) const {
    if (!node) return;
    check_order(node->left, before, count);
    const IntervalNode* here = interval(node);
    const Slot& slot = embedded_.slot(here);
    require(here->start == Role::start(slot) && here->last == Role::last(slot),
            "interval-tree: a node has its slot's range");
    require(!before || before->start <= here->start, "interval-tree: starts ascend from left to right");
    require(here->subtree_last == largest_last(node), "interval-tree: a node knows the largest last below it");
    before = here;
    ++count;
    check_order(node->right, before, count);
  }

  Embedded<IntervalNode> embedded_;
  RbTree<LargestLast, Probe> tree_;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("interval-tree", IntervalTree)

}  // namespace
}  // namespace slotlookup
