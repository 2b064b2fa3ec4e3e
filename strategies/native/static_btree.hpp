// A static B-tree over a sorted column of starts, shared by `static-btree` and `static-btree-simd`.
//
// Invariants:
//   1. the leaves are the column of starts, eight per node; padding follows the last start of the last node
//   2. key i of an inner node is the smallest start below its child i + 1, or padding if there is no such child
//   3. inner nodes are stored level by level; child i of node k is node 9 k + 1 + i, and the leaves' numbers follow
// All keys are below 2^63, so that signed comparison, the only one of AVX2, is correct. Bytes per slot: those of the
// columns, and 1 to 9 for inner nodes.
#pragma once

#include <algorithm>

#include "simd.hpp"
#include "sorted_columns.hpp"

namespace slotlookup {

template <bool vectors, class Role, class Probe>
class StaticBtree : public SortedColumns<Role, Probe> {
  using Columns = SortedColumns<Role, Probe>;
  using Columns::probe_, Columns::size_, Columns::starts;

 public:
  static constexpr OptionalMembers kOptional{.settle = true, .copy_from = true};
  StaticBtree(const Home& home, Probe probe) : Columns(home, probe), nodes_(home.arena) {}

  void copy_from(const StaticBtree& other) {
    this->copy_columns(other);
    stale_ = true;
  }
  void insert(Slot& slot) {
    Columns::insert(slot);
    stale_ = true;
  }
  void erase(Slot& slot) {
    Columns::erase(slot);
    stale_ = true;
  }

  void settle() {
    SLOTLOOKUP_TOUCH(&inner_, sizeof inner_);
    SLOTLOOKUP_TOUCH(&height_, sizeof height_);
    SLOTLOOKUP_TOUCH(&stale_, sizeof stale_);
    if (!stale_) return;
    stale_ = false;
    const std::size_t leaves = (size_ + kKeys - 1) / kKeys;
    std::uint64_t* const keys = starts();
    for (std::size_t i = size_; i < leaves * kKeys; ++i) {
      SLOTLOOKUP_TOUCH(keys + i, sizeof *keys);
      keys[i] = kNever;
    }
    unsigned height = 0;
    std::size_t inner = 0;
    std::size_t widest = 1;  // the maximum number of leaves of a tree of this height
    for (; widest < leaves; widest *= kKeys + 1) {
      inner += widest;
      ++height;
    }
    nodes_.remake(inner * kKeys, probe_);
    inner_ = static_cast<std::uint32_t>(inner);
    height_ = static_cast<std::uint8_t>(height);
    std::uint64_t* node = nodes_.data();
    std::size_t below_child = widest;  // leaves below each child of the level being filled
    for (std::size_t wide = 1; below_child > 1; wide *= kKeys + 1) {
      below_child /= kKeys + 1;
      for (std::size_t j = 0; j < wide; ++j, node += kKeys) {
        const std::size_t first_child = j * (kKeys + 1);
        SLOTLOOKUP_TOUCH(node, kLineBytes);
        for (std::size_t i = 0; i < kKeys; ++i) {
          const std::size_t leaf = (first_child + i + 1) * below_child;
          if (leaf < leaves) SLOTLOOKUP_TOUCH(keys + leaf * kKeys, sizeof *keys);
          node[i] = leaf < leaves ? keys[leaf * kKeys] : kNever;
        }
      }
    }
  }

  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return nullptr;
    if constexpr (vectors) {
#ifdef SLOTLOOKUP_AVX
      SLOTLOOKUP_TOUCH(&widest_, sizeof widest_);
      if (widest_ == Vectors::avx512) return find_avx512(point);
      if (widest_ == Vectors::avx2) return find_avx2(point);
#endif
    }
    return find_scalar(point);
  }

  void check() const {
    Columns::check();
    require_invariant(!stale_, "static B-tree: the inner nodes are those of the slots");
    for (std::size_t i = 0; i < size_; ++i) {
      require_invariant(starts()[i] < kNever, "static B-tree: starts precede the padding");
      require_invariant(quiet_rank(starts()[i]) == i + 1, "static B-tree: a search for each start ends at its slot");
      require_invariant(
          starts()[i] == 0 || quiet_rank(starts()[i] - 1) == i + (i > 0 && starts()[i - 1] == starts()[i]),
          "static B-tree: a search before each start ends before its slot");
    }
  }

 private:
  // Above every gfn: a guest physical address has 64 bits, its page frame number 52. No question reaches it either, so
  // no search descends to a missing child.
  static constexpr std::uint64_t kNever = (std::uint64_t{1} << 63) - 1;
  static constexpr std::size_t kKeys = 8;
  static_assert(kKeys * sizeof(std::uint64_t) == kLineBytes, "a node is a line");

  static std::size_t quiet_count(const std::uint64_t* node, std::uint64_t wanted) {
    // Unrolled, as two sums: at -O2 compilers do not unroll the loop.
    std::size_t low = node[0] <= wanted;
    std::size_t high = node[4] <= wanted;
    low += node[1] <= wanted;
    high += node[5] <= wanted;
    low += node[2] <= wanted;
    high += node[6] <= wanted;
    low += node[3] <= wanted;
    high += node[7] <= wanted;
    return low + high;
  }
  std::size_t quiet_rank(std::uint64_t wanted) const {
    std::size_t k = 0;
    for (unsigned level = height_; level; --level)
      k = k * (kKeys + 1) + 1 + quiet_count(nodes_.data() + k * kKeys, wanted);
    const std::size_t leaf = k - inner_;
    return leaf * kKeys + quiet_count(starts() + leaf * kKeys, wanted);
  }

  // Every key of a node is compared, whatever the other results.
  void count_node([[maybe_unused]] const std::uint64_t* node) const {
    SLOTLOOKUP_TOUCH(node, kLineBytes);
    for (std::size_t i = 0; i < kKeys; ++i) (void)SLOTLOOKUP_COMPARE(true);
  }

// The descent, for each way to count the keys of a node that are not above the question. It is a macro because a
// function compiled for vectors cannot be passed to code that is not.
#define SLOTLOOKUP_DESCEND(count)                                                 \
  const std::uint64_t wanted = std::min(point, kNever - 1);                       \
  std::size_t k = 0;                                                              \
  if (height_) SLOTLOOKUP_HOP();                                                  \
  for (unsigned level = height_; level; --level) {                                \
    const std::uint64_t* node = nodes_.data() + k * kKeys;                        \
    count_node(node);                                                             \
    k = k * (kKeys + 1) + 1 + count(node, wanted);                                \
  }                                                                               \
  const std::size_t leaf = k - inner_;                                            \
  SLOTLOOKUP_HOP();                                                               \
  count_node(starts() + leaf * kKeys);                                            \
  const std::size_t rank = leaf * kKeys + count(starts() + leaf * kKeys, wanted); \
  if (rank) SLOTLOOKUP_EXAMINE();                                                 \
  return this->holder(rank, point)

  Slot* find_scalar(std::uint64_t point) const { SLOTLOOKUP_DESCEND(quiet_count); }

#ifdef SLOTLOOKUP_AVX
  [[gnu::target("avx2,popcnt"), gnu::always_inline]] static inline std::size_t avx2_count(const std::uint64_t* node,
                                                                                          std::uint64_t wanted) {
    const __m256i point = _mm256_set1_epi64x(static_cast<long long>(wanted));
    const __m256i* keys = reinterpret_cast<const __m256i*>(node);
    const __m256i low = _mm256_cmpgt_epi64(_mm256_load_si256(keys), point);
    const __m256i high = _mm256_cmpgt_epi64(_mm256_load_si256(keys + 1), point);
    const int above = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_packs_epi32(low, high)));
    return kKeys - static_cast<unsigned>(_mm_popcnt_u32(static_cast<unsigned>(above)));
  }
  [[gnu::target("avx512f,popcnt"), gnu::always_inline]] static inline std::size_t avx512_count(
      const std::uint64_t* node, std::uint64_t wanted) {
    const __m512i point = _mm512_set1_epi64(static_cast<long long>(wanted));
    const __mmask8 upto = _mm512_cmple_epu64_mask(_mm512_load_si512(node), point);
    return static_cast<unsigned>(_mm_popcnt_u32(upto));
  }

  [[gnu::target("avx2,popcnt")]] Slot* find_avx2(std::uint64_t point) const { SLOTLOOKUP_DESCEND(avx2_count); }
  [[gnu::target("avx512f,popcnt")]] Slot* find_avx512(std::uint64_t point) const { SLOTLOOKUP_DESCEND(avx512_count); }
#endif
#undef SLOTLOOKUP_DESCEND

  std::uint32_t inner_ = 0;  // nodes that are not leaves; the number of the first leaf
  std::uint8_t height_ = 0;  // their levels
  [[maybe_unused]] Vectors widest_ = vectors ? widest_vectors() : Vectors::none;
  bool stale_ = false;
  ArenaArray<std::uint64_t> nodes_;  // eight keys each
};

}  // namespace slotlookup
