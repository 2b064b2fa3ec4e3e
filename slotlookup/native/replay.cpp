#include "slotlookup/native/replay.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

namespace slotlookup {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t nanoseconds_since(Clock::time_point begin) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count());
}

// Brings the slots to where a segment needs them; what that costs is nobody's lookup.
void advance(Strategy& strategy, const Timeline& timeline, std::size_t& applied, std::size_t wanted) {
  const Counters kept = strategy.counters();
  for (; applied < wanted; ++applied) strategy.apply(timeline.changes[applied]);
  strategy.set_counters(kept);
}

template <class Each>
void for_each_segment(Strategy& strategy, const Timeline& timeline, Each&& each) {
  std::size_t applied = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < timeline.segment_count; ++i) {
    const Segment& segment = timeline.segments[i];
    advance(strategy, timeline, applied, segment.changes);
    each(segment, begin);
    begin = segment.end;
  }
}

}  // namespace

void validate(const Timeline& timeline, std::size_t questions) {
  std::uint64_t end = 0;
  std::uint64_t changes = 0;
  for (std::size_t i = 0; i < timeline.segment_count; ++i) {
    const Segment& segment = timeline.segments[i];
    const bool ordered = segment.end >= end && segment.changes >= changes;
    if (!ordered || segment.changes > timeline.change_count || segment.as_id >= kAddressSpaces) {
      throw std::invalid_argument("segment " + std::to_string(i) + " is out of order or out of range");
    }
    end = segment.end;
    changes = segment.changes;
  }
  if (end != questions) {
    throw std::invalid_argument("the segments end at " + std::to_string(end) + " of " + std::to_string(questions) +
                                " questions");
  }
}

void answer_gfn(Strategy& strategy, const Timeline& timeline, const std::uint64_t* gfn, const std::uint16_t* vcpu,
                std::size_t, std::int32_t* out) {
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    strategy.gfn(static_cast<unsigned>(segment.as_id))
        .answer(gfn + begin, vcpu + begin, segment.end - begin, out + begin);
  });
}

void answer_hva(Strategy& strategy, const Timeline& timeline, const std::uint64_t* start, const std::uint64_t* end,
                std::size_t n, std::vector<std::int32_t>& numbers, std::uint64_t* count) {
  std::fill(count, count + n, 0);
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    for (std::size_t i = begin; i < segment.end; ++i) {
      for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
        HvaIndex& index = strategy.hva(as_id);
        if (index.size()) index.answer(start + i, end + i, 1, numbers, count + i);
      }
    }
  });
}

Timed replay_gfn(Strategy& strategy, const Timeline& timeline, const std::uint64_t* gfn, const std::uint16_t* vcpu,
                 std::size_t, const ReplayMode& mode) {
  Timed timed;
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    GfnIndex& index = strategy.gfn(static_cast<unsigned>(segment.as_id));
    const Clock::time_point started = Clock::now();
    timed.checksum += index.replay(gfn + begin, vcpu + begin, segment.end - begin, mode);
    timed.nanoseconds += nanoseconds_since(started);
  });
  return timed;
}

Timed replay_hva(Strategy& strategy, const Timeline& timeline, const std::uint64_t* start, const std::uint64_t* end,
                 std::size_t, const ReplayMode& mode) {
  Timed timed;
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    const std::size_t n = segment.end - begin;
    const Clock::time_point started = Clock::now();
    for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
      HvaIndex& index = strategy.hva(as_id);
      if (index.size()) timed.checksum += index.replay(start + begin, end + begin, n, mode);
    }
    timed.nanoseconds += nanoseconds_since(started);
  });
  return timed;
}

std::uint64_t replay_changes(Strategy& strategy, const Change* changes, std::size_t n, const ReplayMode& mode) {
  const Clock::time_point started = Clock::now();
  for (std::size_t i = 0; i < n; ++i) {
    if (mode.displacer) consume(mode.displacer->walk(0));
    strategy.apply(changes[i]);
  }
  return nanoseconds_since(started);
}

}  // namespace slotlookup
