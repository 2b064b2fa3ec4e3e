// NumPy arrays as arguments of bindings: contiguous, one-dimensional, not copied.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>
#include <stdexcept>

namespace slotlookup {

template <class T>
using ArrayOf = nanobind::ndarray<const T, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using Words = ArrayOf<std::uint64_t>;

template <class T>
std::span<const T> elements(const ArrayOf<T>& array) {
  return {array.data(), array.shape(0)};
}

inline void require_same_length(const Words& start, const Words& end) {
  if (start.shape(0) != end.shape(0)) throw std::invalid_argument("as many starts as ends are needed");
}

}  // namespace slotlookup
