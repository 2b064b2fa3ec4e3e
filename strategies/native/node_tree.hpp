// The common part of the B+-tree and the maple tree: nodes of several entries under a root, all leaves at one depth, and
// the descent from the root to a leaf.
//
// Leaf and Inner are aligned to a line and have
//   keys()      the array of keys by which they are searched; unused keys are kUnusedKey
//   count       the number of their entries or children
// and Inner has
//   children()  the array of pointers to the nodes below
// Order::precedes(key, point) says whether a search for the point passes the key: it descends to the child after the last
// key that it passes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include "slotlookup/native/structure.hpp"

namespace slotlookup {

// No slot starts or ends at it, so a search may compare all keys of a node, without a branch on the number in use.
inline constexpr std::uint64_t kUnusedKey = ~std::uint64_t{0};

template <class Leaf, class Inner, class Order, class Probe>
class NodeTree {
 public:
  NodeTree(const NodeTree&) = delete;
  NodeTree& operator=(const NodeTree&) = delete;

  std::size_t size() const { return size_; }

 protected:
  // The maximum height of a tree that fits into the arena.
  static constexpr unsigned kMostLevels = 32;

  // The path from a leaf up to the root: step[0] is the leaf's parent.
  struct Step {
    Inner* node;
    std::size_t child;
  };
  struct Path {
    Step step[kMostLevels];
  };

  NodeTree(const Home& home, Probe probe) : arena_(home.arena), probe_(probe) { root_ = make<Leaf>(); }
  ~NodeTree() { release(root_, height_); }

  // A node without entries.
  template <class Node>
  Node* make() {
    static_assert(sizeof(Node) % kLineBytes == 0);
    Node* node = new (arena_.allocate_object(sizeof(Node))) Node;
    SLOTLOOKUP_TOUCH(node, sizeof *node);
    node->count = 0;
    std::ranges::fill(node->keys(), kUnusedKey);
    return node;
  }
  template <class Node>
  void free(Node* node) {
    arena_.free_object(node, sizeof(Node));
  }

  // The number of keys of a node that a search for `point` passes.
  template <std::size_t n>
  std::size_t rank(const std::uint64_t (&key)[n], std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(key, sizeof key);
    std::size_t passed = 0;
    for (std::size_t i = 0; i < n; ++i) passed += SLOTLOOKUP_COMPARE(Order::precedes(key[i], point));
    return passed;
  }

  // The leaf of a point. At every inner node on the path, `each` is called with the node's level (0: above a leaf), the
  // node and the index of the next child.
  template <class Each>
  Leaf* descend(std::uint64_t point, Each&& each) const {
    SLOTLOOKUP_TOUCH(&root_, sizeof root_ + sizeof height_);
    void* node = root_;
    for (unsigned level = height_; level > 0; --level) {
      SLOTLOOKUP_HOP();
      Inner& inner = *static_cast<Inner*>(node);
      const std::size_t at = rank(inner.keys(), point);
      void* const& child = inner.children()[at];
      SLOTLOOKUP_TOUCH(&child, sizeof child);
      each(level - 1, inner, at);
      node = child;
    }
    SLOTLOOKUP_HOP();
    return static_cast<Leaf*>(node);
  }
  const Leaf& leaf_of(std::uint64_t point) const {
    return *descend(point, [](unsigned, const Inner&, std::size_t) {});
  }

  // A new root without children. The caller adds the old root and the node that was split from it.
  Inner& add_root() {
    Inner* above = make<Inner>();
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(above, sizeof *above);
    root_ = above;
    ++height_;
    return *above;
  }

  // Replaces a root that has a single child by that child.
  void drop_lone_root() {
    if (height_ == 0) return;
    Inner* gone = static_cast<Inner*>(root_);
    SLOTLOOKUP_TOUCH(&gone->count, sizeof gone->count);
    if (gone->count > 1) return;
    SLOTLOOKUP_TOUCH(gone->children(), sizeof(void*));
    root_ = gone->children()[0];
    --height_;
    free(gone);
  }

  Arena& arena_;
  void* root_;
  unsigned height_ = 0;  // levels of inner nodes above each leaf
  std::size_t size_ = 0;
  [[no_unique_address]] Probe probe_;

 private:
  void release(void* node, unsigned level) {
    if (level == 0) {
      free(static_cast<Leaf*>(node));
      return;
    }
    Inner* inner = static_cast<Inner*>(node);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(&inner->count, sizeof inner->count);
    SLOTLOOKUP_TOUCH(inner->children(), inner->count * sizeof(void*));
    for (std::size_t i = 0; i < inner->count; ++i) release(inner->children()[i], level - 1);
    free(inner);
  }
};

}  // namespace slotlookup
