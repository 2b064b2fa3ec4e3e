// The clock of all measurements.
#pragma once

#include <chrono>
#include <cstdint>

namespace slotlookup {

using Clock = std::chrono::steady_clock;

inline std::uint64_t nanoseconds_since(Clock::time_point begin) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count());
}

}  // namespace slotlookup
