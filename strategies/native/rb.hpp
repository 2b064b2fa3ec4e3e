// Red-black balancing for trees whose nodes are inside slots. Shared by all these trees; independent of keys.
//
// Invariants, checked by check_balance():
//   1. the root is black; a red node has no red child
//   2. every path from the root to a null link passes the same number of black nodes
//   3. a child's parent link points at its parent
//   4. in an augmented tree, every node's summary is that of its own key and its children's summaries
// From the textbook algorithm (Guibas and Sedgewick 1978; Cormen et al., chapter 13), with null leaves and the colour
// in the low bit of the parent link, so that a node has 24 bytes.
#pragma once

#include <cstdint>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

struct RbNode {
  std::uintptr_t parent_and_colour;  // low bit set: black
  RbNode* left;
  RbNode* right;

  RbNode* parent() const { return reinterpret_cast<RbNode*>(parent_and_colour & ~std::uintptr_t{1}); }
  bool black() const { return parent_and_colour & 1; }
  void set_parent(RbNode* p) { parent_and_colour = reinterpret_cast<std::uintptr_t>(p) | (parent_and_colour & 1); }
  void set_black(bool b) { parent_and_colour = (parent_and_colour & ~std::uintptr_t{1}) | (b ? 1u : 0u); }
};

struct NoSummary {
  static constexpr bool augmented = false;
};

// An augmented tree's Summary gives own(node), the node's own value, and of(node), where the node keeps the largest own
// value at or below it. The caller of insert sets the new node's summary and raises those on the path to it, as in the
// kernel's interval tree; all other updates are made here.
template <class Summary, class Probe>
class RbTree {
 public:
  explicit RbTree(Probe probe) : probe_(probe) {}

  RbNode* root() const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_);
    return root_;
  }

  // Links `node` below `parent` at `link`, where the caller's descent ended, and restores the balance.
  void insert(RbNode* node, RbNode* parent, bool left) {
    node->parent_and_colour = reinterpret_cast<std::uintptr_t>(parent);  // red
    node->left = node->right = nullptr;
    see(node);
    if (!parent) SLOTLOOKUP_TOUCH(&root_, sizeof root_);
    (parent ? (left ? parent->left : parent->right) : root_) = node;
    after_insert(node);
  }

  void erase(RbNode* node) {
    see(node);
    RbNode* heir = nullptr;  // the successor, if it takes the node's place
    RbNode* child;
    RbNode* parent;
    bool removed_black;
    if (node->left && node->right) {
      RbNode* next = node->right;
      see(next);
      while (next->left) {
        next = next->left;
        see(next);
      }
      removed_black = next->black();
      child = next->right;
      if (child) see(child);
      if (next->parent() == node) {
        parent = next;
      } else {
        parent = next->parent();  // touched on the path down, like all its nodes
        parent->left = child;
        if (child) child->set_parent(parent);
        next->right = node->right;
        next->right->set_parent(next);
      }
      link(node->parent(), node, next);
      next->left = node->left;
      see(next->left);
      next->left->set_parent(next);
      next->set_black(node->black());
      heir = next;
    } else {
      child = node->left ? node->left : node->right;
      if (child) see(child);
      parent = node->parent();
      removed_black = node->black();
      link(parent, node, child);
    }
    if constexpr (Summary::augmented) {
      if (heir) Summary::of(heir) = Summary::of(node);  // so that an unchanged summary ends the ascent
      refresh_upwards(parent, heir);
      if (heir) refresh_upwards(heir, nullptr);
    }
    if (removed_black) after_erase(child, parent);
  }

  // Replaces `node` by `by`: the same place in the order, so no balancing.
  void replace(RbNode* node, RbNode* by) {
    see(node);
    by->left = node->left;
    by->right = node->right;
    by->set_black(node->black());
    see(by);
    link(node->parent(), node, by);
    if (by->left) {
      see(by->left);
      by->left->set_parent(by);
    }
    if (by->right) {
      see(by->right);
      by->right->set_parent(by);
    }
  }

  RbNode* first() const {
    RbNode* node = root();
    if (!node) return nullptr;
    see(node);
    while (node->left) {
      node = node->left;
      see(node);
    }
    return node;
  }

  RbNode* next(RbNode* node) const {
    if (node->right) {
      node = node->right;
      see(node);
      while (node->left) {
        node = node->left;
        see(node);
      }
      return node;
    }
    RbNode* parent = node->parent();
    while (parent) {
      see(parent);
      if (parent->left == node) break;
      node = parent;
      parent = node->parent();
    }
    return parent;
  }

  void check_balance() const {
    require_invariant(!root_ || (root_->black() && !root_->parent()), "red-black: the root is black and has no parent");
    black_height(root_);
  }

 private:
  // Marks that a link is followed to a node and the node's own links are read or written.
  void see([[maybe_unused]] const RbNode* node) const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(node, sizeof *node);
  }

  // `by`, already touched, takes the place of `old_child`.
  void link(RbNode* parent, RbNode* old_child, RbNode* by) {
    if (!parent) {
      SLOTLOOKUP_TOUCH(&root_, sizeof root_);
      root_ = by;
    } else {
      see(parent);
      (parent->left == old_child ? parent->left : parent->right) = by;
    }
    if (by) by->set_parent(parent);
  }

  // Recomputes a node's summary; returns whether it changed.
  bool refresh(RbNode* node) {
    auto largest = Summary::own(node);
    SLOTLOOKUP_TOUCH(&Summary::of(node), sizeof largest);
    const auto take = [&](RbNode* child) {
      SLOTLOOKUP_HOP();
      SLOTLOOKUP_TOUCH(&Summary::of(child), sizeof largest);
      if (SLOTLOOKUP_COMPARE(Summary::of(child) > largest)) largest = Summary::of(child);
    };
    if (node->left) take(node->left);
    if (node->right) take(node->right);
    if (SLOTLOOKUP_COMPARE(largest == Summary::of(node))) return false;
    Summary::of(node) = largest;
    return true;
  }

  // From `node`, already touched, to below `stop`, or until nothing changes.
  void refresh_upwards(RbNode* node, RbNode* stop) {
    while (node != stop && refresh(node)) {
      node = node->parent();
      if (node != stop) see(node);
    }
  }

  // Rotates x down and its child on the other side up, both already touched. Only the subtrees of these two change:
  // the child takes over the subtree of x.
  void rotate(RbNode* x, bool to_left) {
    RbNode* y = to_left ? x->right : x->left;
    RbNode* middle = to_left ? y->left : y->right;
    (to_left ? x->right : x->left) = middle;
    if (middle) {
      see(middle);
      middle->set_parent(x);
    }
    link(x->parent(), x, y);
    (to_left ? y->left : y->right) = x;
    x->set_parent(y);
    if constexpr (Summary::augmented) {
      SLOTLOOKUP_TOUCH(&Summary::of(y), sizeof Summary::of(y));
      Summary::of(y) = Summary::of(x);
      refresh(x);
    }
  }

  void after_insert(RbNode* node) {
    while (true) {
      RbNode* parent = node->parent();
      if (!parent) {
        node->set_black(true);
        return;
      }
      see(parent);
      if (parent->black()) return;
      RbNode* grand = parent->parent();  // not null: a red node is not the root
      see(grand);
      const bool parent_is_left = grand->left == parent;
      RbNode* uncle = parent_is_left ? grand->right : grand->left;
      if (uncle) see(uncle);
      if (uncle && !uncle->black()) {
        parent->set_black(true);
        uncle->set_black(true);
        grand->set_black(false);
        node = grand;
        continue;
      }
      if ((parent->left == node) != parent_is_left) {
        rotate(parent, parent_is_left);
        parent = node;
      }
      rotate(grand, !parent_is_left);
      parent->set_black(true);
      grand->set_black(false);
      return;
    }
  }

  static bool is_black(const RbNode* node) { return !node || node->black(); }

  // `node` (possibly null) below `parent` lacks one black node.
  void after_erase(RbNode* node, RbNode* parent) {
    while (parent && is_black(node)) {
      see(parent);
      const bool left = parent->left == node;
      RbNode* sibling = left ? parent->right : parent->left;  // not null: its side has one black node more
      see(sibling);
      if (!sibling->black()) {
        rotate(parent, left);
        sibling->set_black(true);
        parent->set_black(false);
        sibling = left ? parent->right : parent->left;
        see(sibling);
      }
      RbNode* near = left ? sibling->left : sibling->right;
      RbNode* far = left ? sibling->right : sibling->left;
      if (near) see(near);
      if (far) see(far);
      if (is_black(near) && is_black(far)) {
        sibling->set_black(false);
        node = parent;
        parent = node->parent();
        continue;
      }
      if (is_black(far)) {
        rotate(sibling, !left);
        near->set_black(true);
        sibling->set_black(false);
        far = sibling;
        sibling = near;
      }
      rotate(parent, left);
      sibling->set_black(parent->black());
      parent->set_black(true);
      far->set_black(true);
      return;
    }
    if (node) node->set_black(true);
  }

  static int black_height(const RbNode* node) {
    if (!node) return 0;
    for (const RbNode* child : {node->left, node->right}) {
      if (!child) continue;
      require_invariant(child->parent() == node, "red-black: a child's parent link points at its parent");
      require_invariant(node->black() || child->black(), "red-black: a red node has no red child");
    }
    const int left = black_height(node->left);
    require_invariant(left == black_height(node->right), "red-black: both subtrees of a node have equal black heights");
    return left + (node->black() ? 1 : 0);
  }

  RbNode* root_ = nullptr;
  [[no_unique_address]] Probe probe_;
};

}  // namespace slotlookup
