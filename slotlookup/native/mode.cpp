#include "slotlookup/native/mode.hpp"

namespace slotlookup {

std::uint64_t Displacer::walk(std::uint64_t wait_for) const {
  constexpr std::size_t step = kLineBytes / sizeof(std::uint64_t);
  const std::uint64_t* from = words_.data() + wait_for;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + step <= words_.size(); i += step) sum += from[i];
  return sum;
}

}  // namespace slotlookup
