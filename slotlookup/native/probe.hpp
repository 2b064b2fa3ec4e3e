// Counting hooks: one structure source, instantiated with NoProbe for timing and with CountProbe for counting.
//
// A structure has a member `probe_` and contains the hooks below at the places of the events. They never change control
// flow.
//   SLOTLOOKUP_EXAMINE()      a slot's range is tested against the question ("lookups" in the 2008 thread)
//   SLOTLOOKUP_COMPARE(expr)  one key comparison; yields expr
//   SLOTLOOKUP_HOP()          one dereference of a pointer that was itself loaded from memory
//   SLOTLOOKUP_TOUCH(p, n)    the n bytes at p are read or written; distinct 64-byte lines are counted per operation
// With SLOTLOOKUP_STRIP_HOOKS the preprocessor removes the hooks, so that a test can compare the machine code of the
// timed instance with code without hooks. With SLOTLOOKUP_TRACED each report is also passed to reported(), so that a test
// can compare the reports with the memory that the timed instance accesses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace slotlookup {

inline constexpr std::size_t kLineBytes = 64;

struct Counters {
  std::uint64_t slots_examined = 0;
  std::uint64_t compares = 0;
  std::uint64_t hops = 0;
  std::uint64_t lines = 0;
};
inline constexpr const char* kCounterNames[] = {"slots_examined", "compares", "hops", "lines"};

#ifdef SLOTLOOKUP_TRACED
void reported(const void* p, std::size_t bytes);  // defined by the test
#endif

// Counts events and distinct lines. Lines are numbered from the start of the strategy's own arena, which has the
// declared placement, so that addresses of the host's allocator do not affect counts.
class Meter {
 public:
  Meter(const void* arena_base, std::size_t arena_bytes)
      : base_(reinterpret_cast<std::uintptr_t>(arena_base)), bytes_(arena_bytes) {}
  ~Meter() {
    if (in_use == this) in_use = nullptr;
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  // The meter to which this thread's hooks report. A counted strategy sets it whenever it is called.
  [[gnu::tls_model("initial-exec")]] static constinit inline thread_local Meter* in_use = nullptr;

  // Lines are distinct within one operation.
  void begin_operation() { ++stamp_; }

  // Of no bytes nothing is read, and what is on the stack is in no arena.
  void touch(const void* p, std::size_t bytes) {
    const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(p) - base_;
    if (offset >= bytes_ || bytes == 0) return;
#ifdef SLOTLOOKUP_TRACED
    reported(p, bytes);
#endif
    const std::size_t last = (offset + bytes - 1) / kLineBytes;
    if (last >= seen_.size()) seen_.resize(last + 1 + last / 2, 0);
    for (std::size_t line = offset / kLineBytes; line <= last; ++line) {
      if (seen_[line] != stamp_) {
        seen_[line] = stamp_;
        ++counters.lines;
      }
    }
  }

  Counters counters;

 private:
  std::uintptr_t base_;
  std::size_t bytes_;
  std::uint64_t stamp_ = 0;
  std::vector<std::uint64_t> seen_;
};

struct NoProbe {
  static constexpr bool counting = false;
  void begin_operation() const {}
  bool compare(bool outcome) const { return outcome; }
  void examine() const {}
  void hop() const {}
  void touch(const void*, std::size_t) const {}
};

// Reports to the meter that is in use. Empty like NoProbe: a pointer in it would lengthen what a structure keeps, and the
// counted instance would have lines that the timed one has not.
struct CountProbe {
  static constexpr bool counting = true;
  void begin_operation() const { Meter::in_use->begin_operation(); }
  bool compare(bool outcome) const {
    ++Meter::in_use->counters.compares;
    return outcome;
  }
  void examine() const { ++Meter::in_use->counters.slots_examined; }
  void hop() const { ++Meter::in_use->counters.hops; }
  void touch(const void* p, std::size_t bytes) const { Meter::in_use->touch(p, bytes); }
};
static_assert(std::is_empty_v<CountProbe> && std::is_empty_v<NoProbe>);

}  // namespace slotlookup

#ifdef SLOTLOOKUP_STRIP_HOOKS
#define SLOTLOOKUP_EXAMINE() ((void)0)
#define SLOTLOOKUP_COMPARE(expr) (expr)
#define SLOTLOOKUP_HOP() ((void)0)
#define SLOTLOOKUP_TOUCH(p, n) ((void)0)
#define SLOTLOOKUP_BEGIN_OPERATION() ((void)0)
#else
// Discarded statements if nothing is counted: calls of empty functions would still affect the compiler's decisions
// about inlining.
#define SLOTLOOKUP_HOOK(call)                                     \
  do {                                                            \
    if constexpr (std::decay_t<decltype(probe_)>::counting) call; \
  } while (false)
#define SLOTLOOKUP_EXAMINE() SLOTLOOKUP_HOOK(probe_.examine())
#define SLOTLOOKUP_COMPARE(expr) (std::decay_t<decltype(probe_)>::counting ? probe_.compare(expr) : (expr))
#define SLOTLOOKUP_HOP() SLOTLOOKUP_HOOK(probe_.hop())
#define SLOTLOOKUP_TOUCH(p, n) SLOTLOOKUP_HOOK(probe_.touch(p, n))
#define SLOTLOOKUP_BEGIN_OPERATION() SLOTLOOKUP_HOOK(probe_.begin_operation())
#endif
