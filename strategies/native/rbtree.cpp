// rbtree: a red-black tree by start address. See strategies/rbtree.py.
#include "slotlookup/native/registration.hpp"
#include "strategies/native/rb.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class RedBlack {
 public:
  using Node = RbNode;
  static constexpr OptionalMembers kOptional{};

  RedBlack(const Home& home, Probe probe) : embedded_(home.node_before_slot), tree_(probe), probe_(probe) {}

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    const std::uint64_t start = Role::start(slot);
    RbNode* parent = nullptr;
    bool left = false;
    for (RbNode* node = tree_.root(); node; node = left ? node->left : node->right) {
      parent = node;
      const Slot& here = look(node);
      SLOTLOOKUP_EXAMINE();
      left = SLOTLOOKUP_COMPARE(start < Role::start(here));
    }
    tree_.insert(embedded_.node(slot), parent, left);
    ++size_;
  }

  void erase(Slot& slot) {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    tree_.erase(embedded_.node(slot));
    --size_;
  }

  void replace(Slot& old_slot, Slot& by) {
    SLOTLOOKUP_TOUCH(&embedded_, sizeof embedded_);
    tree_.replace(embedded_.node(old_slot), embedded_.node(by));
  }

  Slot* find(std::uint64_t point) const {
    for (RbNode* node = tree_.root(); node;) {
      Slot& here = look(node);
      SLOTLOOKUP_EXAMINE();
      if (SLOTLOOKUP_COMPARE(point >= Role::start(here))) {
        SLOTLOOKUP_TOUCH(&here.npages, sizeof here.npages);
        if (SLOTLOOKUP_COMPARE(point <= Role::last(here))) return &here;
        node = node->right;
      } else {
        node = node->left;
      }
    }
    return nullptr;
  }

  // In order of start, until one begins after the range: no later node can overlap it, every earlier one may.
  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    for (RbNode* node = tree_.first(); node; node = tree_.next(node)) {
      Slot& here = embedded_.slot(node);
      SLOTLOOKUP_EXAMINE();
      SLOTLOOKUP_TOUCH(Role::start_field(here), sizeof(std::uint64_t));
      if (!SLOTLOOKUP_COMPARE(Role::start(here) <= last)) return;
      SLOTLOOKUP_TOUCH(&here.npages, sizeof here.npages);
      if (SLOTLOOKUP_COMPARE(Role::last(here) >= start)) visit(here);
    }
  }

  void check() const {
    tree_.check_balance();
    std::size_t count = 0;
    const Slot* before = nullptr;
    check_order(tree_.root(), before, count);
    require_invariant(count == size_, "rbtree: the tree holds as many nodes as were inserted");
  }

  std::size_t size() const { return size_; }

 private:
  // Follows a link to a node; its links and the slot's start are read.
  Slot& look(RbNode* node) const {
    Slot& here = embedded_.slot(node);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(node, sizeof *node);
    SLOTLOOKUP_TOUCH(Role::start_field(here), sizeof(std::uint64_t));
    return here;
  }

  void check_order(const RbNode* node, const Slot*& before, std::size_t& count) const {
    if (!node) return;
    check_order(node->left, before, count);
    const Slot& here = embedded_.slot(node);
    require_invariant(!before || Role::start(*before) <= Role::start(here), "rbtree: starts ascend from left to right");
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
