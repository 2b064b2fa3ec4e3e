// Which vector instructions there are. The module is compiled for any CPU of its architecture, so whoever uses vectors
// asks when it is made and has a scalar way beside. A build may set SLOTLOOKUP_VECTORS to 1 for nothing wider than AVX2
// and to 0 for scalar code alone: tests compare the three.
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

// AVX2 compares signed. Numbers turned this way compare as the unsigned ones that they were.
inline std::int64_t turned(std::uint64_t value) { return static_cast<std::int64_t>(value ^ std::uint64_t{1} << 63); }

}  // namespace slotlookup
