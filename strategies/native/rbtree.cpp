// rbtree: a red-black tree by start address. See strategies/rbtree.py.
#include "strategies/native/rb.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class RedBlack {
 public:
  using Node = RbNode;

  RedBlack(const Home& home, Probe probe) : embedded_(home.node_before_slot), tree_(probe), probe_(probe) {}

  void insert(Slot& slot) {
    TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    const std::uint64_t start = Role::start(slot);
    RbNode* parent = nullptr;
    bool left = false;
    for (RbNode* node = tree_.root(); node; node = left ? node->left : node->right) {
      parent = node;
      const Slot& here = look(node);
      EXAMINE();
      left = COMPARE(start < Role::start(here));
    }
    tree_.insert(embedded_.node(slot), parent, left);
    ++size_;
  }

  void erase(Slot& slot) {
    tree_.erase(embedded_.node(slot));
    --size_;
  }

  void replace(Slot& old_slot, Slot& by) { tree_.replace(embedded_.node(old_slot), embedded_.node(by)); }

  Slot* find(std::uint64_t point) {
    for (RbNode* node = tree_.root(); node;) {
      Slot& here = look(node);
      EXAMINE();
      if (COMPARE(point >= Role::start(here))) {
        TOUCH(&here.npages, sizeof here.npages);
        if (COMPARE(point <= Role::last(here))) return &here;
        node = node->right;
      } else {
        node = node->left;
      }
    }
    return nullptr;
  }

  // In order of start, until one begins behind the range: nothing further right can meet it, everything before may.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) {
    for (RbNode* node = tree_.first(); node; node = tree_.next(node)) {
      Slot& here = embedded_.slot(node);
      EXAMINE();
      TOUCH(Role::start_field(here), sizeof(std::uint64_t));
      if (!COMPARE(Role::start(here) <= last)) return;
      TOUCH(&here.npages, sizeof here.npages);
      if (COMPARE(Role::last(here) >= start)) visit(here);
    }
  }

  void check() const {
    tree_.check_balance();
    std::size_t count = 0;
    const Slot* before = nullptr;
    check_order(tree_.root(), before, count);
    require(count == size_, "rbtree: the tree holds as many nodes as were inserted");
  }

  std::size_t size() const { return size_; }

 private:
  // Follows a link to a node, whose own links and slot's start are read.
  Slot& look(RbNode* node) {
    Slot& here = embedded_.slot(node);
    HOP();
    TOUCH(node, sizeof *node);
    TOUCH(Role::start_field(here), sizeof(std::uint64_t));
    return here;
  }

  void check_order(const RbNode* node, const Slot*& before, std::size_t& count) const {
    if (!node) return;
    check_order(node->left, before, count);
    const Slot& here = embedded_.slot(node);
    require(!before || Role::start(*before) <= Role::start(here), "rbtree: starts ascend from left to right");
    before = &here;
    ++count;
    check_order(node->right, before, count);
  }

  Embedded<RbNode> embedded_;
  RbTree<NoSummary, Probe> tree_;
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("rbtree", RedBlack)

}  // namespace
}  // namespace slotlookup
