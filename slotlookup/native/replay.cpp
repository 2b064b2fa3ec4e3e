#include "slotlookup/native/replay.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "slotlookup/native/clock.hpp"

namespace slotlookup {
namespace {

// Brings the slots to the state at a segment; its cost is not part of any lookup.
void advance(Strategy& strategy, const Timeline& timeline, std::size_t& applied, std::size_t wanted) {
  const Counters kept = strategy.counters();
  for (; applied < wanted; ++applied) strategy.apply(timeline.changes[applied]);
  strategy.set_counters(kept);
}

template <class Each>
void for_each_segment(Strategy& strategy, const Timeline& timeline, Each&& each) {
  std::size_t applied = 0;
  std::size_t begin = 0;
  for (const Segment& segment : timeline.segments) {
    advance(strategy, timeline, applied, segment.changes);
    each(segment, begin);
    begin = segment.end;
  }
}

}  // namespace

void validate(const Timeline& timeline, std::size_t questions) {
  std::uint64_t end = 0;
  std::uint64_t changes = 0;
  for (std::size_t i = 0; i < timeline.segments.size(); ++i) {
    const Segment& segment = timeline.segments[i];
    const bool ordered = segment.end >= end && segment.changes >= changes;
    if (!ordered || segment.changes > timeline.changes.size() || segment.as_id >= kAddressSpaces) {
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

void answer_gfn(Strategy& strategy, const Timeline& timeline, std::span<const std::uint64_t> gfn,
                std::span<const std::uint16_t> vcpu, std::span<std::int32_t> out) {
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    const std::size_t n = segment.end - begin;
    strategy.gfn(static_cast<unsigned>(segment.as_id))
        .answer(gfn.subspan(begin, n), vcpu.subspan(begin, n), out.subspan(begin, n));
  });
}

std::uint64_t answer_visit(Strategy& strategy, std::uint64_t start, std::uint64_t end,
                           std::vector<std::int32_t>& numbers) {
  const auto before = static_cast<std::ptrdiff_t>(numbers.size());
  std::uint64_t count = 0;
  for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
    HvaIndex& index = strategy.hva(as_id);
    if (index.size()) index.answer({&start, 1}, {&end, 1}, numbers, {&count, 1});
  }
  // Here and not in the structures: replays, which are timed, hand no answers over.
  std::sort(numbers.begin() + before, numbers.end());
  return count;
}

void answer_hva(Strategy& strategy, const Timeline& timeline, std::span<const std::uint64_t> start,
                std::span<const std::uint64_t> end, std::vector<std::int32_t>& numbers,
                std::span<std::uint64_t> count) {
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    for (std::size_t i = begin; i < segment.end; ++i) count[i] = answer_visit(strategy, start[i], end[i], numbers);
  });
}

Timed replay_gfn(Strategy& strategy, const Timeline& timeline, std::span<const std::uint64_t> gfn,
                 std::span<const std::uint16_t> vcpu, const ReplayMode& mode) {
  Timed timed;
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    GfnIndex& index = strategy.gfn(static_cast<unsigned>(segment.as_id));
    const std::size_t n = segment.end - begin;
    index.foresee(gfn.subspan(begin, n));
    const Clock::time_point started = Clock::now();
    timed.checksum += index.replay(gfn.subspan(begin, n), vcpu.subspan(begin, n), mode);
    timed.nanoseconds += nanoseconds_since(started);
  });
  return timed;
}

Timed replay_hva(Strategy& strategy, const Timeline& timeline, std::span<const std::uint64_t> start,
                 std::span<const std::uint64_t> end, const ReplayMode& mode) {
  Timed timed;
  for_each_segment(strategy, timeline, [&](const Segment& segment, std::size_t begin) {
    const std::size_t n = segment.end - begin;
    for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
      strategy.hva(as_id).foresee(start.subspan(begin, n), end.subspan(begin, n));
    }
    const Clock::time_point started = Clock::now();
    for (unsigned as_id = 0; as_id < kAddressSpaces; ++as_id) {
      HvaIndex& index = strategy.hva(as_id);
      if (index.size()) timed.checksum += index.replay(start.subspan(begin, n), end.subspan(begin, n), mode);
    }
    timed.nanoseconds += nanoseconds_since(started);
  });
  return timed;
}

std::uint64_t replay_changes(Strategy& strategy, std::span<const Change> changes, const ReplayMode& mode) {
  const Clock::time_point started = Clock::now();
  for (const Change& change : changes) {
    if (mode.displacer) consume(mode.displacer->walk(0));
    strategy.apply(change);
  }
  return nanoseconds_since(started);
}

std::uint64_t replay_load(Strategy& strategy, std::span<const Change> changes) {
  const Clock::time_point started = Clock::now();
  strategy.load(changes);
  return nanoseconds_since(started);
}

}  // namespace slotlookup
