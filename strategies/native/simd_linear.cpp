// simd-linear: starts and lasts in columns, scanned from the front sixteen at a time. See strategies/simd_linear.py.
#include <algorithm>
#include <bit>
#include <limits>

#include "simd.hpp"
#include "slotlookup/native/arena_array.hpp"
#include "slotlookup/native/registration.hpp"

namespace slotlookup {
namespace {

template <class Role, class Probe>
class SimdLinear {
 public:
  using Node = NoNode;
  static constexpr OptionalMembers kOptional{.copy_from = true};

  SimdLinear(const Home& home, Probe probe) : columns_(home.arena), probe_(probe) {}

  void copy_from(const SimdLinear& other) {
    while (columns_.room() < other.size_) grow();
    while (size_ > other.size_) clear(--size_);
    columns_.copy(other.columns_, other.size_, probe_);
    size_ = other.size_;
  }

  void insert(Slot& slot) {
    SLOTLOOKUP_TOUCH(Role::start_field(slot), sizeof(std::uint64_t));
    SLOTLOOKUP_TOUCH(&slot.npages, sizeof slot.npages);
    if (size_ == columns_.room()) grow();
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(starts() + size_, sizeof *starts());
    starts()[size_] = turned(Role::start(slot));
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(lasts() + size_, sizeof *lasts());
    lasts()[size_] = turned(Role::last(slot));
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(slots() + size_, sizeof *slots());
    slots()[size_] = &slot;
    ++size_;
  }

  void erase(Slot& slot) {
    const std::size_t at = position(slot);
    columns_.shift(at + 1, size_, at, probe_);
    clear(--size_);
  }

  void replace(Slot& old_slot, Slot& by) { slots()[position(old_slot)] = &by; }

  Slot* find(std::uint64_t point) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return nullptr;
#ifdef SLOTLOOKUP_AVX
    if (widest_ == Vectors::avx512) return find_avx512(turned(point));
    if (widest_ == Vectors::avx2) return find_avx2(turned(point));
#endif
    return find_scalar(turned(point));
  }

  template <class Visit>
  void visit(std::uint64_t start, std::uint64_t last, Visit&& visit) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    if (size_ == 0) return;
#ifdef SLOTLOOKUP_AVX
    if (widest_ == Vectors::avx512) return visit_avx512(turned(start), turned(last), visit);
    if (widest_ == Vectors::avx2) return visit_avx2(turned(start), turned(last), visit);
#endif
    visit_scalar(turned(start), turned(last), visit);
  }

  void check() const {
    for (std::size_t i = 0; i < size_; ++i) {
      require_invariant(
          starts()[i] == turned(Role::start(*slots()[i])) && lasts()[i] == turned(Role::last(*slots()[i])),
          "simd-linear: the columns have their slots' ranges");
    }
    for (std::size_t i = size_; i < columns_.room(); ++i) {
      require_invariant(starts()[i] == kMax && lasts()[i] == kMin,
                        "simd-linear: the padding after the last slot matches no question");
    }
  }

  std::size_t size() const { return size_; }

 private:
  static constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  static constexpr std::size_t kBlock = 16;

  // Which of the sixteen entries at `i` overlap [first, last], as bits.
  unsigned meeting(std::size_t i, std::int64_t first, std::int64_t last) const {
    unsigned met = 0;
    for (unsigned j = 0; j < kBlock; ++j) {
      met |= static_cast<unsigned>((starts()[i + j] <= last) & (first <= lasts()[i + j])) << j;
    }
    return met;
  }

  void begin_scan() const {
    SLOTLOOKUP_HOP();
    SLOTLOOKUP_HOP();
  }
  // Both ends of every slot of the block are compared, whatever the other results.
  void count_block([[maybe_unused]] std::size_t i) const {
    SLOTLOOKUP_TOUCH(starts() + i, kBlock * sizeof *starts());
    SLOTLOOKUP_TOUCH(lasts() + i, kBlock * sizeof *lasts());
    for (std::size_t j = i; j < i + kBlock && j < size_; ++j) {
      SLOTLOOKUP_EXAMINE();
      (void)SLOTLOOKUP_COMPARE(true);
      (void)SLOTLOOKUP_COMPARE(true);
    }
  }
  // The pointer to the column of slots is loaded once, for the first slot that is found.
  Slot* taken(std::size_t at, [[maybe_unused]] bool first) const {
    if (first) SLOTLOOKUP_HOP();
    SLOTLOOKUP_TOUCH(slots() + at, sizeof *slots());
    SLOTLOOKUP_HOP();
    return slots()[at];
  }

// The scans, for each way to compare a block. They are macros because a function compiled for vectors cannot be
// passed to code that is not.
#define SLOTLOOKUP_FIND(meeting)                                                                      \
  begin_scan();                                                                                       \
  for (std::size_t i = 0; i < size_; i += kBlock) {                                                   \
    count_block(i);                                                                                   \
    if (const unsigned met = meeting(i, point, point)) return taken(i + std::countr_zero(met), true); \
  }                                                                                                   \
  return nullptr
#define SLOTLOOKUP_VISIT(meeting)                                       \
  begin_scan();                                                         \
  bool none = true;                                                     \
  for (std::size_t i = 0; i < size_; i += kBlock) {                     \
    count_block(i);                                                     \
    for (unsigned met = meeting(i, first, last); met; met &= met - 1) { \
      visit(*taken(i + std::countr_zero(met), none));                   \
      none = false;                                                     \
    }                                                                   \
  }

  Slot* find_scalar(std::int64_t point) const { SLOTLOOKUP_FIND(meeting); }
  template <class Visit>
  void visit_scalar(std::int64_t first, std::int64_t last, Visit&& visit) const {
    SLOTLOOKUP_VISIT(meeting)
  }

#ifdef SLOTLOOKUP_AVX
  [[gnu::target("avx2"), gnu::always_inline]] inline unsigned missed4(std::size_t i, __m256i first,
                                                                      __m256i last) const {
    const __m256i begins = _mm256_load_si256(reinterpret_cast<const __m256i*>(starts() + i));
    const __m256i ends = _mm256_load_si256(reinterpret_cast<const __m256i*>(lasts() + i));
    const __m256i missed = _mm256_or_si256(_mm256_cmpgt_epi64(begins, last), _mm256_cmpgt_epi64(first, ends));
    return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(missed)));
  }
  [[gnu::target("avx2"), gnu::always_inline]] inline unsigned meeting_avx2(std::size_t i, std::int64_t first,
                                                                           std::int64_t last) const {
    const __m256i from = _mm256_set1_epi64x(first);
    const __m256i to = _mm256_set1_epi64x(last);
    const unsigned low = missed4(i, from, to) | missed4(i + 4, from, to) << 4;
    const unsigned high = missed4(i + 8, from, to) | missed4(i + 12, from, to) << 4;
    return ~(low | high << 8) & 0xffffu;
  }
  [[gnu::target("avx512f"), gnu::always_inline]] inline unsigned met8(std::size_t i, __m512i first,
                                                                      __m512i last) const {
    const __mmask8 begun = _mm512_cmple_epi64_mask(_mm512_load_si512(starts() + i), last);
    return _mm512_mask_cmpge_epi64_mask(begun, _mm512_load_si512(lasts() + i), first);
  }
  [[gnu::target("avx512f"), gnu::always_inline]] inline unsigned meeting_avx512(std::size_t i, std::int64_t first,
                                                                                std::int64_t last) const {
    const __m512i from = _mm512_set1_epi64(first);
    const __m512i to = _mm512_set1_epi64(last);
    return met8(i, from, to) | met8(i + 8, from, to) << 8;
  }

  [[gnu::target("avx2")]] Slot* find_avx2(std::int64_t point) const { SLOTLOOKUP_FIND(meeting_avx2); }
  [[gnu::target("avx512f")]] Slot* find_avx512(std::int64_t point) const { SLOTLOOKUP_FIND(meeting_avx512); }
  template <class Visit>
  [[gnu::target("avx2")]] void visit_avx2(std::int64_t first, std::int64_t last, Visit&& visit) const {
    SLOTLOOKUP_VISIT(meeting_avx2)
  }
  template <class Visit>
  [[gnu::target("avx512f")]] void visit_avx512(std::int64_t first, std::int64_t last,
                                               Visit&& visit) const {SLOTLOOKUP_VISIT(meeting_avx512)}
#endif
#undef SLOTLOOKUP_FIND
#undef SLOTLOOKUP_VISIT

  std::size_t position(const Slot& slot) const {
    SLOTLOOKUP_TOUCH(&size_, sizeof size_);
    SLOTLOOKUP_HOP();
    for (std::size_t i = 0; i < size_; ++i) {
      SLOTLOOKUP_TOUCH(slots() + i, sizeof *slots());
      SLOTLOOKUP_EXAMINE();
      if (SLOTLOOKUP_COMPARE(slots()[i] == &slot)) return i;
    }
    throw BrokenInvariant("simd-linear: the slot to remove is not in the columns");
  }

  // It matches no question: it begins after every end and ends before every start.
  void clear(std::size_t at) {
    SLOTLOOKUP_TOUCH(starts() + at, sizeof *starts());
    SLOTLOOKUP_TOUCH(lasts() + at, sizeof *lasts());
    starts()[at] = kMax;
    lasts()[at] = kMin;
  }
  void grow() {
    columns_.reserve(std::max(columns_.room() + 1, kBlock), size_, probe_);
    for (std::size_t i = size_; i < columns_.room(); ++i) clear(i);
  }

  // Starts and lasts have their top bit inverted. All members that a scan reads are in one line.
  std::int64_t* starts() const { return columns_.template data<0>(); }
  std::int64_t* lasts() const { return columns_.template data<1>(); }
  Slot** slots() const { return columns_.template data<2>(); }

  // There is room for a multiple of sixteen.
  [[no_unique_address]] ArenaColumns<std::int64_t, std::int64_t, Slot*> columns_;
  std::uint32_t size_ = 0;
  [[maybe_unused]] Vectors widest_ = widest_vectors();
  [[no_unique_address]] Probe probe_;
};

SLOTLOOKUP_STRUCTURE("simd-linear", SimdLinear)

}  // namespace
}  // namespace slotlookup
