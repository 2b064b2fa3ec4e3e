"""The independent oracle, with which every answer is compared outside the timed region.

It shares no code and no algorithm with any structure. Instead of finding the slot of each question, it goes through the
slots one by one, linearly, and assigns to each the questions that it answers.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from slotlookup.address import HOLE
from slotlookup.arrays import Numbers, Words
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import ChangeKind, Memslot
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, Timeline, change_at

_VISITS_AT_ONCE = 1 << 16


class _Slots:
    """The slots in force, followed through a timeline.

    `slotlookup.memslots.follow` does the same. It is not used here, because the oracle must not share a mistake with
    the code that asks the questions.
    """

    def __init__(self, start: Iterable[Memslot], timeline: Timeline) -> None:
        self._by_number = {slot.number: slot for slot in start}
        self._changes = timeline.changes
        self._applied = 0

    def advance(self, wanted: int) -> None:
        for row in range(self._applied, wanted):
            change = change_at(self._changes, row)
            if change.kind is ChangeKind.DELETE:
                del self._by_number[change.slot.number]
            else:
                self._by_number[change.slot.number] = change.slot
        self._applied = wanted

    def of_space(self, as_id: int) -> list[Memslot]:
        return [slot for slot in self._by_number.values() if slot.as_id == as_id]

    def all(self) -> list[Memslot]:
        return list(self._by_number.values())


def expected_gfns(start: Iterable[Memslot], stream: GfnStream) -> Numbers:
    """The right answer to each lookup. int32[n], -1 for a hole."""
    slots = _Slots(start, stream.timeline)
    out = np.full(len(stream), HOLE, dtype=np.int32)
    begin = 0
    for end, as_id, changes in stream.timeline.segments.tolist():
        slots.advance(changes)
        out[begin:end] = _claim_gfns(slots.of_space(as_id), stream.gfns[begin:end])
        begin = end
    return out


def _claim_gfns(slots: list[Memslot], gfns: Words) -> Numbers:
    order = np.argsort(gfns, kind="stable")
    ordered = gfns[order]
    first = np.searchsorted(ordered, np.array([s.base_gfn for s in slots], dtype=np.uint64), side="left")
    behind = np.searchsorted(ordered, np.array([s.end_gfn for s in slots], dtype=np.uint64), side="left")
    claimed = np.full(len(gfns), HOLE, dtype=np.int32)
    for slot, lo, hi in zip(slots, first.tolist(), behind.tolist(), strict=True):
        claimed[lo:hi] = slot.number
    if int((behind - first).sum()) != int((claimed != HOLE).sum()):
        raise BrokenStrategy("two slots of one address space contain the same gfn; the workload is broken")
    out = np.empty_like(claimed)
    out[order] = claimed
    return out


def expected_hvas(start: Iterable[Memslot], stream: HvaStream) -> HvaAnswers:
    """The right answer to each visit, the slots of each in ascending order."""
    slots = _Slots(start, stream.timeline)
    counts: list[Words] = [np.zeros(0, dtype=np.uint64)]
    numbers: list[Numbers] = [np.zeros(0, dtype=np.int32)]
    begin = 0
    for segment_end, _, changes in stream.timeline.segments.tolist():
        slots.advance(changes)
        held = slots.all()
        while begin < segment_end:
            end = min(begin + _VISITS_AT_ONCE, segment_end)
            part = _claim_visits(held, stream.starts[begin:end], stream.ends[begin:end])
            counts.append(part.counts)
            numbers.append(part.numbers)
            begin = end
    return HvaAnswers(np.concatenate(counts), np.concatenate(numbers))


def _claim_visits(slots: list[Memslot], starts: Words, ends: Words) -> HvaAnswers:
    """Visits are sorted in classes of similar length, so that those a slot may overlap are contiguous by start."""
    slot_start = np.array([s.userspace_addr for s in slots], dtype=np.uint64)
    slot_end = np.array([s.userspace_end for s in slots], dtype=np.uint64)
    slot_number = np.array([s.number for s in slots], dtype=np.int32)
    visit_parts: list[np.ndarray] = [np.zeros(0, dtype=np.intp)]
    number_parts: list[Numbers] = [np.zeros(0, dtype=np.int32)]
    longest = np.uint64(1)
    left = np.arange(len(starts))
    while len(left) and len(slots):
        lengths = ends[left] - starts[left]
        fits = lengths <= longest if int(longest) < 1 << 63 else np.ones(len(left), dtype=bool)
        group, left = left[fits], left[~fits]
        if len(group):
            group = group[np.argsort(starts[group], kind="stable")]
            reach = lengths[fits].max()
            from_start = np.where(slot_start > reach, slot_start - reach, np.uint64(0))
            lo = np.searchsorted(starts[group], from_start, side="left")
            hi = np.searchsorted(starts[group], slot_end, side="left")
            width = np.maximum(hi - lo, 0)
            slot_of = np.repeat(np.arange(len(slots)), width)
            within = np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)
            visit = group[np.repeat(lo, width) + within]
            met = (ends[visit] > slot_start[slot_of]) & (starts[visit] < slot_end[slot_of])
            visit_parts.append(visit[met])
            number_parts.append(slot_number[slot_of[met]])
        longest = np.uint64(min(int(longest) * 16, 1 << 63))
    visit = np.concatenate(visit_parts)
    number = np.concatenate(number_parts)
    order = np.lexsort((number, visit))
    return HvaAnswers(np.bincount(visit, minlength=len(starts)).astype(np.uint64), number[order])
