"""The form of questions and slot changes for strategies: NumPy tables, which native strategies read directly.

A stream is one kind of question taken from a trace, in order, cut into segments in which neither the slots nor the
address space changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from slotlookup.address import Gfn, Hva, SlotNumber
from slotlookup.arrays import Numbers, Vcpus, Words
from slotlookup.memslots import ChangeKind, Memslot, SlotChange

CHANGE_COLUMNS = 6
"""kind, slot number, base_gfn, npages, userspace_addr, flags."""
SEGMENT_COLUMNS = 3
"""end (one past the last question), as_id, number of preceding changes."""


def change_table(changes: Iterable[SlotChange]) -> Words:
    """Accepted changes as uint64[n, 6]."""
    rows = [
        (c.kind, c.slot.number, c.slot.base_gfn, c.slot.npages, c.slot.userspace_addr, c.slot.flags) for c in changes
    ]
    return np.array(rows, dtype=np.uint64).reshape(-1, CHANGE_COLUMNS)


def creation_table(slots: Iterable[Memslot]) -> Words:
    """The changes that create `slots`, in order, as uint64[n, 6]."""
    return change_table(SlotChange(ChangeKind.CREATE, slot) for slot in slots)


def change_at(table: Words, row: int) -> SlotChange:
    """One row of a change table, in the form of the core."""
    kind, number, base_gfn, npages, hva, flags = (int(v) for v in table[row])
    return SlotChange(ChangeKind(kind), Memslot(SlotNumber(number), Gfn(base_gfn), npages, Hva(hva), flags))


def one_segment(questions: int, as_id: int = 0) -> Words:
    """The segment table of a stream without changes."""
    return np.array([[questions, as_id, 0]], dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Segments (uint64[m, 3]) and the changes between them (uint64[k, 6])."""

    segments: Words
    changes: Words

    @property
    def static(self) -> bool:
        """Whether the slots never change, so that a replay leaves a strategy unchanged."""
        return not len(self.segments) or int(self.segments[-1, 2]) == 0

    def changes_before(self, question: int) -> int:
        """How many changes precede a question."""
        return int(self.segments[self._segment_of(question), 2]) if len(self.segments) else 0

    def same_slots_until(self, question: int) -> int:
        """The first question after `question` that meets other slots, or the number of questions."""
        at = int(np.searchsorted(self.segments[:, 2], self.changes_before(question), side="right"))
        return int(self.segments[at - 1, 0]) if len(self.segments) else 0

    def _segment_of(self, question: int) -> int:
        return int(np.searchsorted(self.segments[:, 0], question, side="right"))

    def part(self, begin: int, end: int, applied: int = 0) -> Timeline:
        """The timeline of questions [begin, end) alone; the changes before them come first, but for `applied` ones."""
        ends = np.clip(self.segments[:, 0].astype(np.int64), begin, end) - begin
        kept = np.diff(ends, prepend=0) > 0
        segments = self.segments[kept].copy()
        segments[:, 0] = ends[kept]
        segments[:, 2] -= np.uint64(applied)
        return Timeline(segments, self.changes[applied:])


@dataclass(frozen=True, slots=True)
class GfnStream:
    """gfn lookups: `gfns` is uint64[n], `vcpus` uint16[n] (the asking vCPUs; all 0 if unknown)."""

    gfns: Words
    timeline: Timeline
    vcpus: Vcpus = field(default_factory=lambda: np.zeros(0, dtype=np.uint16))

    def __post_init__(self) -> None:
        if not len(self.vcpus):
            object.__setattr__(self, "vcpus", np.zeros(len(self.gfns), dtype=np.uint16))

    def __len__(self) -> int:
        return len(self.gfns)

    def part(self, begin: int, end: int, applied: int = 0) -> GfnStream:
        """The lookups [begin, end), with the slots at that time, for a strategy that followed `applied` changes."""
        if begin == 0 and end >= len(self) and not applied:
            return self
        timeline = self.timeline.part(begin, min(end, len(self)), applied)
        return GfnStream(self.gfns[begin:end], timeline, self.vcpus[begin:end])


@dataclass(frozen=True, slots=True)
class HvaStream:
    """hva visits: `starts` and `ends` are uint64[n], half-open and never empty."""

    starts: Words
    ends: Words
    timeline: Timeline

    def __len__(self) -> int:
        return len(self.starts)

    def part(self, begin: int, end: int, applied: int = 0) -> HvaStream:
        """The visits [begin, end), with the slots at that time, for a strategy that followed `applied` changes."""
        if begin == 0 and end >= len(self) and not applied:
            return self
        timeline = self.timeline.part(begin, min(end, len(self)), applied)
        return HvaStream(self.starts[begin:end], self.ends[begin:end], timeline)


@dataclass(frozen=True, slots=True)
class HvaAnswers:
    """`counts` (uint64[n]): slots that overlap each range; `numbers` (int32[sum]): their numbers, range after range.

    The numbers of one range ascend.
    """

    counts: Words
    numbers: Numbers

    def ordered(self) -> HvaAnswers:
        """The same answers, brought into that order."""
        question = np.repeat(np.arange(len(self.counts)), self.counts.astype(np.int64))
        return HvaAnswers(self.counts, self.numbers[np.lexsort((self.numbers, question))])
