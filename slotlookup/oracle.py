"""The independent oracle, with which every answer is compared outside the timed region.

It shares no code and no algorithm with any structure. Instead of finding the slot of each question, it goes through the
slots one by one, linearly, and assigns to each the questions that it answers. A slot that is changed counts as several,
each of which answers questions from one change to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slotlookup.address import HOLE
from slotlookup.arrays import Bools, Ints, Numbers, Words
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import ChangeKind, Memslot
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, Timeline, change_at

_CLASS = 16
"""Visits of one class are at most this many times as long as those of the class before."""


@dataclass(frozen=True, slots=True)
class _Lives:
    """Every state of every slot: its number and address space, its range, and when it is in force.

    `first` and `last` are inclusive; `since` and `until` are numbers of questions, half-open.
    """

    number: Numbers
    as_id: Ints
    first: Words
    last: Words
    since: Ints
    until: Ints

    def of(self, kept: Bools) -> _Lives:
        return _Lives(
            self.number[kept], self.as_id[kept], self.first[kept], self.last[kept], self.since[kept], self.until[kept]
        )


def _lives(start: Iterable[Memslot], timeline: Timeline, questions: int, *, hva: bool) -> _Lives:
    """The states of the slots, with the range of hvas or of gfns.

    `slotlookup.memslots.follow` follows changes too. It is not used here, because the oracle must not share a mistake
    with the code that asks the questions.
    """
    ends, precede = timeline.segments[:, 0].astype(np.int64), timeline.segments[:, 2].astype(np.int64)
    begins = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    # The first question that each change precedes.
    applied = int(precede[-1]) if len(precede) else 0
    takes_effect = begins[np.searchsorted(precede, np.arange(applied), side="right")].tolist()
    slots: list[Memslot] = []
    since: list[int] = []
    until: list[int] = []
    current: dict[int, int] = {}

    def begin(slot: Memslot, at: int) -> None:
        current[slot.number] = len(slots)
        slots.append(slot)
        since.append(at)
        until.append(questions)

    for slot in start:
        begin(slot, 0)
    for row, at in enumerate(takes_effect):
        change = change_at(timeline.changes, row)
        number = change.slot.number
        if number in current or change.kind is ChangeKind.DELETE:
            until[current.pop(number)] = at
        if change.kind is not ChangeKind.DELETE:
            begin(change.slot, at)
    edges = [(s.userspace_addr, s.userspace_end - 1) if hva else (s.base_gfn, s.end_gfn - 1) for s in slots]
    range_ = np.array(edges, dtype=np.uint64).reshape(-1, 2)
    lives = _Lives(
        np.array([s.number for s in slots], dtype=np.int32),
        np.array([s.as_id for s in slots], dtype=np.int64),
        range_[:, 0].copy(),
        range_[:, 1].copy(),
        np.array(since, dtype=np.int64),
        np.array(until, dtype=np.int64),
    )
    return lives.of(lives.since < lives.until)


def expected_gfns(start: Iterable[Memslot], stream: GfnStream) -> Numbers:
    """The right answer to each lookup. int32[n], -1 for a hole."""
    lives = _lives(start, stream.timeline, len(stream), hva=False)
    segments = stream.timeline.segments.astype(np.int64)
    space = np.repeat(segments[:, 1], np.diff(segments[:, 0], prepend=0))
    out = np.full(len(stream), HOLE, dtype=np.int32)
    for as_id in sorted(set(segments[:, 1].tolist())):
        asked = np.flatnonzero(space == as_id)
        gfns = stream.gfns[asked]
        question, number = _claim(lives.of(lives.as_id == as_id), asked, gfns, gfns)
        out[question] = number
        if len(question) != int((out[asked] != HOLE).sum()):
            raise BrokenStrategy("two slots of one address space contain the same gfn; the workload is broken")
    return out


def expected_hvas(start: Iterable[Memslot], stream: HvaStream) -> HvaAnswers:
    """The right answer to each visit, the slots of each in ascending order."""
    lives = _lives(start, stream.timeline, len(stream), hva=True)
    last = stream.ends - np.uint64(1)
    question, number = _claim(lives, np.arange(len(stream)), stream.starts, last)
    order = np.lexsort((number, question))
    return HvaAnswers(np.bincount(question, minlength=len(stream)).astype(np.uint64), number[order])


def _claim(lives: _Lives, asked: Ints, first: Words, last: Words) -> tuple[Ints, Numbers]:
    """Each pair of a question and a slot that it meets. The questions `asked`, ascending, are inclusive ranges.

    They are sorted in classes of similar length, so that those that a slot may meet are contiguous by their start.
    """
    questions: list[Ints] = [np.zeros(0, dtype=np.int64)]
    numbers: list[Numbers] = [np.zeros(0, dtype=np.int32)]
    left = np.arange(len(asked))
    longest = 0
    while len(left):
        length = last[left] - first[left]
        fits = length <= np.uint64(longest)
        group, left = left[fits], left[~fits]
        longest = min(max(longest * _CLASS, _CLASS), (1 << 64) - 1)
        if len(group):
            for i, met in _meet(lives, asked[group], first[group], last[group], length[fits].max()):
                questions.append(asked[group[met]])
                numbers.append(np.full(len(met), lives.number[i], dtype=np.int32))
    return np.concatenate(questions), np.concatenate(numbers)


def _meet(lives: _Lives, asked: Ints, first: Words, last: Words, reach: np.uint64) -> Iterable[tuple[int, Ints]]:
    """For each slot that meets any: its index, and the indices of the questions. `reach` is the longest `last - first`.

    Only those that start near the slot are looked at, or those asked while it is in force, whichever are fewer.
    """
    order = np.argsort(first, kind="stable")
    ordered = first[order]
    from_start = np.where(lives.first > reach, lives.first - reach, np.uint64(0))
    low = np.searchsorted(ordered, from_start, side="left")
    high = np.searchsorted(ordered, lives.last, side="right")
    since = np.searchsorted(asked, lives.since, side="left")
    until = np.searchsorted(asked, lives.until, side="left")
    for i in np.flatnonzero((low < high) & (since < until)).tolist():
        begin, end = since[i], until[i]
        if high[i] - low[i] <= end - begin:
            near = order[low[i] : high[i]]
            if end - begin < len(asked):
                near = near[(near >= begin) & (near < end)]
        else:
            near = np.arange(begin, end)
        met = near[(first[near] <= lives.last[i]) & (last[near] >= lives.first[i])]
        if len(met):
            yield i, met
