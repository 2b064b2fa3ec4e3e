"""The oracle against two nested loops, written here."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotlookup import oracle
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import ChangeKind, Memslot, SlotChange, make_memslot
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, Timeline, change_table, one_segment

HVA = 0x7F00_0000_0000
SECOND = 1 << 16
TOP = (1 << 64) - 1

Segments = list[tuple[int, int, int]]
"""(one past the last question, address space asked, changes that precede)."""


def slot(number: int, gfn: int, npages: int, page: int) -> Memslot:
    return make_memslot(number, gfn << 12, npages << 12, HVA + (page << 12))


def timeline(segments: Segments, changes: list[SlotChange]) -> Timeline:
    return Timeline(np.array(segments, dtype=np.uint64).reshape(-1, 3), change_table(changes))


def slots_at(start: list[Memslot], changes: list[SlotChange], applied: int) -> dict[int, Memslot]:
    held: dict[int, Memslot] = {s.number: s for s in start}
    for change in changes[:applied]:
        held.pop(change.slot.number, None)
        if change.kind != ChangeKind.DELETE:
            held[change.slot.number] = change.slot
    return held


def naive_gfns(start: list[Memslot], changes: list[SlotChange], segments: Segments, gfns: list[int]) -> list[int]:
    answers = []
    begin = 0
    for end, as_id, applied in segments:
        for gfn in gfns[begin:end]:
            answer = -1
            for s in slots_at(start, changes, applied).values():
                if s.number >> 16 == as_id and s.base_gfn <= gfn and gfn < s.base_gfn + s.npages:
                    answer = s.number
            answers.append(answer)
        begin = end
    return answers


def naive_hvas(
    start: list[Memslot], changes: list[SlotChange], segments: Segments, ranges: list[tuple[int, int]]
) -> list[list[int]]:
    answers = []
    begin = 0
    for end, _, applied in segments:
        for first, behind in ranges[begin:end]:
            met = []
            for s in slots_at(start, changes, applied).values():
                if not (behind <= s.userspace_addr or s.userspace_addr + s.npages * 4096 <= first):
                    met.append(int(s.number))
            answers.append(sorted(met))
        begin = end
    return answers


def compare(start: list[Memslot], changes: list[SlotChange], segments: Segments, gfns: list[int]) -> None:
    stream = GfnStream(np.array(gfns, dtype=np.uint64), timeline(segments, changes))
    assert oracle.expected_gfns(start, stream).tolist() == naive_gfns(start, changes, segments, gfns)


def compare_visits(
    start: list[Memslot], changes: list[SlotChange], segments: Segments, ranges: list[tuple[int, int]]
) -> None:
    table = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
    line = timeline(segments, changes)
    given = oracle.expected_hvas(start, HvaStream(table[:, 0].copy(), table[:, 1].copy(), line))
    right = naive_hvas(start, changes, segments, ranges)
    assert given.counts.tolist() == [len(met) for met in right]
    assert given.numbers.tolist() == [number for met in right for number in met]
    assert given.counts.dtype == np.uint64
    assert given.numbers.dtype == np.int32


START = [slot(0, 0, 8, 0), slot(1, 8, 8, 4), slot(5, 64, 1, 100), slot(SECOND, 4, 8, 2)]
CHANGES = [
    SlotChange(ChangeKind.MOVE, slot(0, 32, 8, 0)),
    SlotChange(ChangeKind.CREATE, slot(9, 0, 4, 3)),
    SlotChange(ChangeKind.DELETE, slot(1, 8, 8, 4)),
    SlotChange(ChangeKind.FLAGS_ONLY, make_memslot(5, 64 << 12, 4096, HVA + (100 << 12), 1)),
    SlotChange(ChangeKind.DELETE, slot(SECOND, 4, 8, 2)),
]
GFNS = [0, 3, 4, 7, 8, 15, 16, 32, 39, 40, 63, 64, 65, TOP]
RANGES = [(HVA + a * 2048, HVA + b * 2048) for a in range(0, 30) for b in (a + 1, a + 2, a + 9)]
WIDE = [(0, TOP), (0, HVA), (0, HVA + 1), (HVA + (101 << 12) - 1, TOP), (HVA + (101 << 12), TOP), (TOP - 1, TOP)]


def test_slots_that_stay() -> None:
    for as_id in (0, 1):
        compare(START, [], [(len(GFNS), as_id, 0)], GFNS)
    compare_visits(START, [], [(len(RANGES + WIDE), 0, 0)], RANGES + WIDE)


def test_slots_that_change_between_segments() -> None:
    """Each prefix of the changes, in both address spaces; the last segment leaves two changes for nobody."""
    segments = [((n + 1) * len(GFNS), n % 2, min(n // 2, 3)) for n in range(8)]
    compare(START, CHANGES, segments, GFNS * 8)
    asked = RANGES + WIDE
    compare_visits(START, CHANGES, [((n + 1) * len(asked), 0, n) for n in range(6)], asked * 6)


def test_nothing_asked_and_nothing_held() -> None:
    compare(START, [], [], [])
    compare_visits(START, [], [], [])
    compare([], [], [(2, 0, 0)], [0, TOP])
    compare_visits([], [], [(2, 0, 0)], [(0, TOP), (5, 6)])
    compare(START, CHANGES, [(0, 0, 1), (1, 0, 2), (1, 1, 2), (2, 0, 5)], [0, 1])


def test_no_visit_meets_anything() -> None:
    compare_visits(START, [], [(2, 0, 0)], [(0, 1), (TOP - 1, TOP)])


def test_two_slots_of_one_gfn_are_refused() -> None:
    stream = GfnStream(np.array([8], dtype=np.uint64), Timeline(one_segment(1), change_table([])))
    with pytest.raises(BrokenStrategy, match="same gfn"):
        oracle.expected_gfns([slot(0, 0, 9, 0), slot(1, 8, 4, 9)], stream)


def test_many_visits_of_very_different_lengths() -> None:
    """Visits are taken in classes by length: 500 of 1 byte to half the address space, each against 300 slots."""
    chance = random.Random(5)
    start = [slot(n, 64 * n, 1 + n % 60, chance.randrange(4000)) for n in range(300)]
    ranges = []
    for _ in range(500):
        first = HVA + chance.randrange(-4096, 4100 * 4096)
        ranges.append((first, min(TOP, first + (1 << chance.randrange(63)) + chance.randrange(3))))
    compare_visits(start, [], [(500, 0, 0)], ranges)


def test_many_changes_of_many_slots() -> None:
    """Each of 4,000 changes moves one of 4,000 slots away and is followed by a question at its old and new place."""
    count = 4_000
    start = [slot(n, 2 * n, 1, 2 * n) for n in range(count)]
    changes = [SlotChange(ChangeKind.MOVE, slot(n, 2 * n + 1, 1, 2 * n)) for n in range(count)]
    segments = np.array([(2 * n + 2, 0, n + 1) for n in range(count)], dtype=np.uint64)
    asked = np.arange(2 * count, dtype=np.uint64)
    line = Timeline(segments, change_table(changes))
    assert oracle.expected_gfns(start, GfnStream(asked, line)).tolist() == [x for n in range(count) for x in (-1, n)]
    starts = HVA + asked * np.uint64(4096)
    answers = oracle.expected_hvas(start, HvaStream(starts, starts + np.uint64(1), line))
    assert answers.counts.tolist() == [1, 0] * count
    assert answers.numbers.tolist() == list(range(count))


def test_answers_in_order_are_sorted_within_each_question_alone() -> None:
    answers = HvaAnswers(np.array([2, 0, 3], dtype=np.uint64), np.array([9, 1, 5, 4, 6], dtype=np.int32))
    assert answers.ordered().numbers.tolist() == [1, 9, 4, 5, 6]


small_slots = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=8)


@given(
    small_slots,
    st.lists(st.integers(0, 80), max_size=30),
    st.lists(st.tuples(st.integers(0, 40 * 4096), st.integers(1, 30 * 4096)), max_size=30),
)
@settings(deadline=None, derandomize=True)
def test_any_slots(drawn: list[tuple[int, int, int]], gfns: list[int], visits: list[tuple[int, int]]) -> None:
    start = [slot(as_id << 16 | i, 8 * i, npages, page) for i, (npages, page, as_id) in enumerate(drawn)]
    gone = [SlotChange(ChangeKind.DELETE, start[0])]
    half = len(gfns) // 2
    compare(start, gone, [(half, 0, 0), (len(gfns), 1, 1)], gfns)
    ranges = [(HVA + first, HVA + first + length) for first, length in visits]
    compare_visits(start, gone, [(len(ranges) // 2, 0, 0), (len(ranges), 0, 1)], ranges)


@given(st.data())
@settings(deadline=None, derandomize=True, max_examples=50)
def test_any_changes(data: st.DataObject) -> None:
    """Slots of eight numbers in two address spaces come, go, move and change flags between questions of both spaces."""
    held: dict[int, Memslot] = {}
    changes: list[SlotChange] = []
    segments: Segments = []
    gfns: list[int] = []
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 3))):
            number = data.draw(st.integers(0, 3)) | data.draw(st.sampled_from([0, SECOND]))
            place = 8 * (number & 7) + data.draw(st.integers(0, 3))
            new = slot(number, place, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 9)))
            if number not in held:
                change = SlotChange(ChangeKind.CREATE, new)
            else:
                old = held[number]
                change = data.draw(
                    st.sampled_from(
                        [
                            SlotChange(ChangeKind.DELETE, old),
                            SlotChange(
                                ChangeKind.MOVE, Memslot(old.number, new.base_gfn, old.npages, old.userspace_addr)
                            ),
                            SlotChange(ChangeKind.FLAGS_ONLY, old._replace(flags=1 - old.flags)),
                        ]
                    )
                )
            changes.append(change)
            held = slots_at([], changes, len(changes))
        gfns += data.draw(st.lists(st.integers(0, 40), max_size=6))
        segments.append((len(gfns), data.draw(st.integers(0, 1)), len(changes)))
    compare([], changes, segments, gfns)
    lengths = data.draw(st.lists(st.sampled_from([1, 4096, 40960]), min_size=len(gfns), max_size=len(gfns)))
    ranges = [(HVA + (gfn % 16) * 2048, HVA + (gfn % 16) * 2048 + n) for gfn, n in zip(gfns, lengths, strict=True)]
    compare_visits([], changes, segments, ranges)
