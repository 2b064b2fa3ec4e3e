// The nodes of bplus_tree.cpp, and buffers for rearranging the content of one or two of them.
#pragma once

#include <algorithm>
#include <type_traits>

#include "node_tree.hpp"

namespace slotlookup {

template <std::size_t leaf_entries, std::size_t fan_out, bool augmented>
struct BplusNodes {
  struct alignas(kLineBytes) Leaf {
    std::uint64_t start[leaf_entries];
    std::uint64_t last[leaf_entries];
    Slot* slot[leaf_entries];
    std::uint64_t count;

    auto& keys() { return start; }
  };
  // key[i] is the least start below child[i + 1].
  struct alignas(kLineBytes) PlainInner {
    std::uint64_t key[fan_out - 1];
    std::uint64_t count;
    void* child[fan_out];

    auto& keys() { return key; }
    auto& children() { return child; }
  };
  struct alignas(kLineBytes) SummedInner : PlainInner {
    std::uint64_t largest[fan_out];  // the largest last below the child
  };
  using Inner = std::conditional_t<augmented, SummedInner, PlainInner>;

  // The content of one or two leaves, and one more entry.
  struct Entries {
    std::uint64_t start[2 * leaf_entries];
    std::uint64_t last[2 * leaf_entries];
    Slot* slot[2 * leaf_entries];
    std::size_t count = 0;

    void take(const Leaf& leaf) {
      std::copy_n(leaf.start, leaf.count, start + count);
      std::copy_n(leaf.last, leaf.count, last + count);
      std::copy_n(leaf.slot, leaf.count, slot + count);
      count += leaf.count;
    }
    void put(std::size_t at, std::uint64_t first, std::uint64_t end, Slot* of) {
      std::copy_backward(start + at, start + count, start + count + 1);
      std::copy_backward(last + at, last + count, last + count + 1);
      std::copy_backward(slot + at, slot + count, slot + count + 1);
      start[at] = first;
      last[at] = end;
      slot[at] = of;
      ++count;
    }
    void give(Leaf& leaf, std::size_t from, std::size_t to) const {
      leaf.count = to - from;
      std::copy(start + from, start + to, leaf.start);
      std::copy(last + from, last + to, leaf.last);
      std::copy(slot + from, slot + to, leaf.slot);
      std::fill(leaf.start + leaf.count, leaf.start + leaf_entries, kUnusedKey);
    }
  };

  // The content of one or two inner nodes, and one more child. key[i] is between child[i] and child[i + 1].
  struct Children {
    std::uint64_t key[2 * fan_out];
    void* child[2 * fan_out];
    std::uint64_t largest[2 * fan_out];
    std::size_t count = 0;

    void take(const Inner& inner) {
      std::copy_n(inner.key, inner.count - 1, key + count);
      std::copy_n(inner.child, inner.count, child + count);
      if constexpr (augmented) std::copy_n(inner.largest, inner.count, largest + count);
      count += inner.count;
    }
    void put(std::size_t at, std::uint64_t before, void* node) {
      std::copy_backward(key + at - 1, key + count - 1, key + count);
      std::copy_backward(child + at, child + count, child + count + 1);
      if constexpr (augmented) std::copy_backward(largest + at, largest + count, largest + count + 1);
      key[at - 1] = before;
      child[at] = node;
      ++count;
    }
    void give(Inner& inner, std::size_t from, std::size_t to) const {
      inner.count = to - from;
      std::copy(key + from, key + to - 1, inner.key);
      std::copy(child + from, child + to, inner.child);
      if constexpr (augmented) std::copy(largest + from, largest + to, inner.largest);
      std::fill(inner.key + inner.count - 1, inner.key + fan_out - 1, kUnusedKey);
    }
  };
};

}  // namespace slotlookup
