// The available vector instructions. The module is compiled for any CPU of its architecture, so a structure with
// vectors tests for them at creation and also has scalar code. A build may set SLOTLOOKUP_VECTORS to 1 for at most AVX2
// and to 0 for scalar code only: tests compare the three.
#pragma once

#include <cstdint>

#ifndef SLOTLOOKUP_VECTORS
#define SLOTLOOKUP_VECTORS 2
#endif

#if defined(__x86_64__) && SLOTLOOKUP_VECTORS > 0
#include <immintrin.h>
#define SLOTLOOKUP_AVX 1
#endif

namespace slotlookup {

enum class Vectors : std::uint8_t { none, avx2, avx512 };

inline Vectors widest_vectors() {
#ifdef SLOTLOOKUP_AVX
  if (SLOTLOOKUP_VECTORS > 1 && __builtin_cpu_supports("avx512f")) return Vectors::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) return Vectors::avx2;
#endif
  return Vectors::none;
}

// AVX2 has signed comparison only. With the top bit inverted, it orders unsigned numbers.
inline std::int64_t turned(std::uint64_t value) { return static_cast<std::int64_t>(value ^ std::uint64_t{1} << 63); }

}  // namespace slotlookup
