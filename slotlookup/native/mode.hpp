// The pause between two operations of a replay.
//
//   throughput, hot    nothing: operations are independent and may overlap in the processor
//   latency            each question waits for the previous answer, as a page fault handler waits for its slot
//   cold               a declared amount of memory is walked between operations, so that caches are as
//                      after other work; the walk itself is timed too, and is subtracted by measuring a strategy
//                      that finds nothing in the same rounds
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "slotlookup/native/names.hpp"
#include "slotlookup/native/probe.hpp"

namespace slotlookup {

// Zero, unknown to the compiler: `value & opaque_zero()` carries a dependency and no information.
inline std::uint64_t opaque_zero() {
  std::uint64_t zero = 0;
  asm volatile("" : "+r"(zero));
  return zero;
}

inline void consume(std::uint64_t value) { asm volatile("" : : "r"(value)); }

// A compiler barrier for all memory, so that no root or array pointer stays in a register from one
// operation to the next: a hypervisor's lookups are separate calls.
inline void forget_memory() { asm volatile("" ::: "memory"); }

class Displacer {
 public:
  explicit Displacer(std::size_t bytes) : words_(bytes / sizeof(std::uint64_t) + 1, 0) {}

  // Reads every line and returns zero. `wait_for` must be zero; no read begins before it is known. Not inlined: the
  // walk whose cost is subtracted must be the same instructions for every strategy.
  [[gnu::noinline]] std::uint64_t walk(std::uint64_t wait_for) const;

 private:
  std::vector<std::uint64_t> words_;
};

// Whether the next operation waits for this one.
enum class ReplayKind { throughput, latency };
inline constexpr Named<ReplayKind> kReplayKinds[] = {{"throughput", ReplayKind::throughput},
                                                     {"latency", ReplayKind::latency}};

struct ReplayMode {
  ReplayKind kind = ReplayKind::throughput;
  const Displacer* displacer = nullptr;  // null: hot
};

template <ReplayKind kind, class Loop>
std::uint64_t with_caches(const ReplayMode& mode, Loop&& loop) {
  return mode.displacer ? loop.template operator()<kind, true>() : loop.template operator()<kind, false>();
}

// Calls `loop.template operator()<kind, cold>()` for the mode asked. What is counted is the same in all modes, so there is
// one loop for a counting probe.
template <class Probe, class Loop>
std::uint64_t with_mode([[maybe_unused]] const ReplayMode& mode, Loop&& loop) {
  if constexpr (Probe::counting) {
    return loop.template operator()<ReplayKind::throughput, false>();
  } else {
    switch (mode.kind) {
      case ReplayKind::latency:
        return with_caches<ReplayKind::latency>(mode, loop);
      case ReplayKind::throughput:
        break;
    }
    return with_caches<ReplayKind::throughput>(mode, loop);
  }
}

// The value that one operation passes to the next: nothing, or its answer, through the walk if the caches are cold.
template <ReplayKind kind, bool cold>
class Chain {
  static constexpr bool latency = kind == ReplayKind::latency;

 public:
  explicit Chain(const Displacer* displacer) : displacer_(displacer), zero_(opaque_zero()) {}

  // To be added to the next question: zero, available only with the previous answer.
  std::uint64_t before_question() {
    if constexpr (cold) {
      const std::uint64_t walked = displacer_->walk(latency ? answer_ & zero_ : 0);
      consume(walked);
      return latency ? walked & zero_ : 0;
    }
    return latency ? answer_ & zero_ : 0;
  }
  void after_answer(std::uint64_t answer) {
    if constexpr (latency) answer_ = answer;
  }

 private:
  [[maybe_unused]] const Displacer* displacer_;
  std::uint64_t zero_;
  std::uint64_t answer_ = 0;
};

}  // namespace slotlookup
