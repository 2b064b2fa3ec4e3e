// Whole traces through a strategy: answers to check, and replays to time.
//
// A stream is one kind of question taken from a trace, in order, cut into segments in which neither the slots nor the
// address space changes. Slot changes between segments are applied outside the clock and outside the counts.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "slotlookup/native/strategy.hpp"

namespace slotlookup {

// A row of the segment table: three unsigned 64-bit columns.
struct Segment {
  std::uint64_t end;      // one past the segment's last question
  std::uint64_t as_id;    // the address space; hva visits search both and ignore it
  std::uint64_t changes;  // the number of changes of the trace that precede the segment
};
static_assert(sizeof(Segment) == 3 * sizeof(std::uint64_t));

struct Timeline {
  std::span<const Segment> segments;
  std::span<const Change> changes;
};

struct Timed {
  std::uint64_t nanoseconds = 0;
  std::uint64_t checksum = 0;  // sum of (number + 1) over all slots found
};

// Throws std::invalid_argument if the tables do not describe `questions` questions.
void validate(const Timeline&, std::size_t questions);

// Of the spans below one element belongs to each question: as many vCPUs, ends, answers and counts as gfns or starts.
void answer_gfn(Strategy&, const Timeline&, std::span<const std::uint64_t> gfn, std::span<const std::uint16_t> vcpu,
                std::span<std::int32_t> out);
// Appends the numbers of the slots of both address spaces that meet [start, end), ascending. Returns how many they are.
std::uint64_t answer_visit(Strategy&, std::uint64_t start, std::uint64_t end, std::vector<std::int32_t>& numbers);
// The same for each visit of a stream.
void answer_hva(Strategy&, const Timeline&, std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                std::vector<std::int32_t>& numbers, std::span<std::uint64_t> count);

Timed replay_gfn(Strategy&, const Timeline&, std::span<const std::uint64_t> gfn, std::span<const std::uint16_t> vcpu,
                 const ReplayMode&);
Timed replay_hva(Strategy&, const Timeline&, std::span<const std::uint64_t> start, std::span<const std::uint64_t> end,
                 const ReplayMode&);
// A change returns no answer for which the next could wait, so mode.kind has no effect.
std::uint64_t replay_changes(Strategy&, std::span<const Change> changes, const ReplayMode&);

// Nanoseconds spent in Strategy::load.
std::uint64_t replay_load(Strategy&, std::span<const Change> changes);

}  // namespace slotlookup
