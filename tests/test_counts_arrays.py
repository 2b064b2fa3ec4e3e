"""The counters of the sorted arrays, the static trees, the vector scan and the array by slot id, derived by hand.

The terms are those of test_counts.py.

Lines follow from the layout; "s0.2" is line 2 of the object of slot 0:

    without nodes    64 bytes before, Slot at 64: base_gfn and npages in line 1, userspace_addr and number in 2
    the others       the interval tree's hva node at 80, Slot at 128: base_gfn and npages in line 2,
                     userspace_addr and number in line 3

Every array starts on a line boundary. An entry of `sorted` and a place of `slot-id-array` have 24 bytes: number 2 is in
array.0 and array.1. Columns of starts, of lasts and of pointers have eight elements per line, a column of {last,
pointer} four.
"""

from __future__ import annotations

import random
from bisect import bisect_right

import pytest
from test_counts import A, B, C, apply, counting, lookup, page, slot, taken, visit

from slotlookup import registry
from slotlookup.address import Gfn, Hva
from slotlookup.architecture import OTHER
from slotlookup.memslots import ChangeKind, Memslot, SlotChange, make_memslot
from slotlookup.stream import creation_table

LATE = slot(0, 16, 4)
BTREES = ["static-btree", "static-btree-simd"]


class TestSorted:
    """Entries in order of start: A [0, 4), C [8, 12), B [16, 20)."""

    def test_lookups(self) -> None:
        s = counting("sorted", [A, B, C])
        # C's start, B's start, C's last. Hops: to the array, to the slot. Lines: head, array.0, s2.2.
        assert lookup(s, 9, 2) == (2, 3, 2, 3)
        # C, A, A's last.
        assert lookup(s, 2, 0) == (2, 3, 2, 3)
        # C, B, B's last, which lies in array.1.
        assert lookup(s, 17, 1) == (2, 3, 2, 4)
        # A hole behind A: as for A, without the slot.
        assert lookup(s, 5, -1) == (2, 3, 1, 2)
        # In front of everything no last is compared.
        assert lookup(counting("sorted", [LATE]), 3, -1) == (1, 1, 1, 2)

    def test_visits(self) -> None:
        s = counting("sorted", [A, B, C])
        # How many begin by the end: C, B. From where something reaches the start: as far as C, not; as far as B, yes.
        # B's last. Hops: both arrays and the slot. Lines: head, array.0, array.1, reach.0, s1.2.
        assert visit(s, 17, 18, [1]) == (3, 5, 3, 5)
        # In front of everything: one search alone.
        assert visit(counting("sorted", [LATE]), 3, 4, []) == (1, 1, 1, 2)

    def test_a_long_slot_in_front(self) -> None:
        s = counting("sorted", [slot(0, 0, 32), aliased(1, 4), slot(2, 40, 4)])
        # Begins by the end: slot 1 does, slot 2 does not. Reaches the start: up to slot 1 yes, up to slot 0 yes. Then
        # both are tried; slot 1 ends too early. Lines: head, array.0, reach.0, s0.2.
        assert visit(s, 10, 11, [0]) == (4, 6, 3, 4)

    def test_updates(self) -> None:
        s = counting("sorted", [A])
        # In each index A's start is compared; for hvas B's last with how far A reaches. A hop to each array.
        # Lines: two heads, two arrays, reach.0, s1.1, s1.2.
        assert apply(s, ChangeKind.CREATE, B) == (2, 3, 2, 7)
        # In each index B's start, in the middle of two; nothing stands behind it. Lines: two heads, two arrays, s1.1
        # and s1.2, where B's starts are.
        assert apply(s, ChangeKind.DELETE, B) == (2, 2, 2, 6)


def aliased(number: int, first: int) -> Memslot:
    """Four pages far away in the guest, at the host pages from `first` on."""
    return make_memslot(number, (1000 + 10 * number) << 12, 4 << 12, page(first))


class TestSortedBranchless:
    def test_lookups(self) -> None:
        s = counting("sorted-branchless", [A, B, C])
        # Three starts whatever is asked: C, then B or C again, then the one that is left; and a last.
        # Hops: to either column, to the slot. Lines: head, starts.0, rest.0, and the slot's.
        assert lookup(s, 9, 2) == (3, 4, 3, 4)
        assert lookup(s, 2, 0) == (3, 4, 3, 4)
        assert lookup(s, 17, 1) == (3, 4, 3, 4)
        assert lookup(s, 5, -1) == (3, 4, 2, 3)
        assert lookup(counting("sorted-branchless", [LATE]), 3, -1) == (1, 1, 1, 2)

    def test_insertion(self) -> None:
        s = counting("sorted-branchless", [A])
        # gfn: A's start; a hop to the column. Lines: head, starts.0, rest.0, s1.2 (gfn, size).
        # hva, an interval tree: (1, 2, 3), with lines head, s0.1 and s1.1 (nodes), s1.3 (hva).
        assert apply(s, ChangeKind.CREATE, B) == (2, 3, 4, 8)

    def test_deletion(self) -> None:
        s = counting("sorted-branchless", [A, B])
        # gfn: B's start twice, in two steps; a hop to the column. Lines: head, starts.0, rest.0, s1.2 (gfn).
        # hva, an interval tree: (0, 1, 2), with lines head, s0.1 and s1.1.
        assert apply(s, ChangeKind.DELETE, B) == (2, 3, 3, 7)


class TestSlotIdArray:
    """A place for each slot id from 0 on: A [0, 4) in 0, B [16, 20) in 1, C [8, 12) in 2; gaps are empty ranges."""

    def test_lookups(self) -> None:
        s = counting("slot-id-array", [C, B, A])
        # By id, not in order of creation. A: both ends. Hops: to the array, to the slot. Lines: head, array.0, s0.2.
        assert lookup(s, 2, 0) == (1, 2, 2, 3)
        # A: 9 < 4 fails, two. B: 9 >= 16 fails, one. C: two, and its place reaches into array.1.
        assert lookup(s, 9, 2) == (3, 5, 2, 4)
        # A hole behind everything: two each. Lines: head, array.0, array.1.
        assert lookup(s, 100, -1) == (3, 6, 1, 3)

    def test_gaps_are_examined(self) -> None:
        # Id 1 was never held: its place is [0, 0). Two for A, the gap and C each.
        s = counting("slot-id-array", [A, C])
        assert lookup(s, 9, 2) == (3, 6, 2, 4)
        assert visit(s, 9, 10, [2]) == (3, 6, 2, 4)
        # A leaves a gap at its start, in which no gfn is: two. B: one. C: two.
        s = counting("slot-id-array", [A, B, C])
        s.apply(SlotChange(ChangeKind.DELETE, A))
        taken(s)
        assert lookup(s, 9, 2) == (3, 5, 2, 4)
        # B and C are met: three hops. Lines: head, array.0, array.1, s1.2, s2.2.
        assert visit(s, 0, 20, [1, 2]) == (3, 6, 3, 5)

    def test_visits(self) -> None:
        s = counting("slot-id-array", [A, B, C])
        # No early end. A: last >= start, not start < end. B: both. C: as A. Lines: head, array.0, array.1, s1.2.
        assert visit(s, 17, 18, [1]) == (3, 6, 2, 4)
        # A: both. B and C begin behind the range: one each.
        assert visit(s, 1, 2, [0]) == (3, 4, 2, 4)

    def test_updates(self) -> None:
        s = counting("slot-id-array", [A])
        # The place is found by the id, without a comparison: a hop to each array.
        # Lines: two heads, two arrays, s1.1 (gfn, size), s1.2 (hva, number).
        assert apply(s, ChangeKind.CREATE, B) == (0, 0, 2, 6)
        # Neither range of the slot is read. Lines: two heads, two arrays, s1.2.
        assert apply(s, ChangeKind.DELETE, B) == (0, 0, 2, 5)


class TestEytzinger:
    def test_lookups(self) -> None:
        s = counting("eytzinger", [A, B, C])
        # Two levels, a last; one slot is examined. Hops: to the keys, to {last, pointer}, to the slot.
        # Lines: head, keys.0, rest.0, s2.3.
        assert lookup(s, 9, 2) == (1, 3, 3, 4)
        assert lookup(s, 100, -1) == (1, 3, 2, 3)
        assert lookup(counting("eytzinger", [LATE]), 3, -1) == (0, 1, 1, 2)
        # A fourth slot makes a third level, filled up.
        s = counting("eytzinger", [A, B, C, slot(3, 24, 4)])
        assert lookup(s, 2, 0) == (1, 4, 3, 4)
        assert lookup(s, 25, 3) == (1, 4, 3, 4)

    def test_updates(self) -> None:
        s = counting("eytzinger", [A])
        # As for sorted-branchless, and keys.0 is written. The length of keys is 64 bytes behind the index's start, in
        # head.1: 8 bytes, 32 of the columns, 8, and 16 of keys.
        assert apply(s, ChangeKind.CREATE, B) == (2, 3, 4, 10)
        # As for sorted-branchless, with the same two lines.
        assert apply(s, ChangeKind.DELETE, B) == (2, 3, 3, 9)


@pytest.mark.parametrize("spec", BTREES)
class TestStaticBtrees:
    def test_lookups(self, spec: str) -> None:
        s = counting(spec, [A, B, C])
        # One leaf, of eight keys, and a last. Hops: to the leaves, to {last, pointer}, to the slot.
        # Lines: head, leaf.0, rest.0, s2.3.
        assert lookup(s, 9, 2) == (1, 9, 3, 4)
        assert lookup(s, 5, -1) == (1, 9, 2, 3)
        assert lookup(counting(spec, [LATE]), 3, -1) == (0, 8, 1, 2)

    def test_two_levels(self, spec: str) -> None:
        s = counting(spec, [slot(n, 8 * n, 4) for n in range(20)])
        # A node above three leaves. One more hop, eight more comparisons, one more line.
        assert lookup(s, 8 * 17 + 1, 17) == (1, 17, 4, 5)
        assert lookup(s, 8 * 7 + 4, -1) == (1, 17, 3, 4)

    def test_updates(self, spec: str) -> None:
        s = counting(spec, [A])
        # As for sorted-branchless: there is no inner node, and padding lies beside the starts. The length of the inner
        # nodes is in head.1, as for eytzinger.
        assert apply(s, ChangeKind.CREATE, B) == (2, 3, 4, 9)
        # As for sorted-branchless, with the same line.
        assert apply(s, ChangeKind.DELETE, B) == (2, 3, 3, 8)


class TestSimdLinear:
    def test_lookups(self) -> None:
        s = counting("simd-linear", [A, B, C])
        # A block of three slots, both ends of each. Hops: to starts, lasts and pointers, to the slot.
        # A block is read whole. Lines: head, two of starts, two of lasts, pointers.0, s2.2.
        assert lookup(s, 9, 2) == (3, 6, 4, 7)
        assert lookup(s, 5, -1) == (3, 6, 2, 5)

    def test_blocks(self) -> None:
        s = counting("simd-linear", [slot(n, 8 * n, 4) for n in range(20)])
        assert lookup(s, 8 * 9, 9) == (16, 32, 4, 7)  # one block: head, two lines of either column, pointers.1, s9.2
        assert lookup(s, 8 * 19, 19) == (20, 40, 4, 11)  # the second block holds four
        assert lookup(s, 8 * 19 + 5, -1) == (20, 40, 2, 9)

    def test_visits(self) -> None:
        s = counting("simd-linear", [slot(n, 8 * n, 4) for n in range(20)])
        # Always everything. Hops: to starts and lasts; to the pointers, and to each slot met.
        # Lines: head, four of either column, pointers.0 and pointers.1, two slots.
        assert visit(s, 8 * 7, 8 * 8 + 1, [7, 8]) == (20, 40, 5, 13)
        assert visit(s, 200, 201, []) == (20, 40, 2, 9)

    def test_updates(self) -> None:
        s = counting("simd-linear", [A])
        # Each index appends to three columns. Lines: two heads, six columns, s1.1, s1.2.
        assert apply(s, ChangeKind.CREATE, B) == (0, 0, 6, 10)
        # Each index looks for the slot among the pointers: A's and B's. The columns close up. Lines: all but s1's.
        assert apply(s, ChangeKind.DELETE, B) == (4, 4, 2, 8)


def levels_of_btree(n: int) -> int:
    """Lines from the root to a leaf."""
    leaves, levels = -(-n // 8), 1
    while leaves > 1:
        leaves, levels = -(-leaves // 9), levels + 1
    return levels


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 63, 64, 65, 72, 73, 127, 128, 648, 649])
@pytest.mark.parametrize("spec", ["sorted-branchless", "eytzinger", *BTREES])
def test_every_lookup_takes_the_same_steps(spec: str, n: int) -> None:
    chance = random.Random(n)
    slots = [slot(i, 8 * i + 5, 1 + i % 8) for i in chance.sample(range(n), n)]
    strategy = counting(spec, slots)
    depth = levels_of_btree(n) if spec in BTREES else n.bit_length()
    keys = 8 * depth if spec in BTREES else depth
    if spec == "sorted-branchless":  # the larger part is kept at each step
        keys, left = 1, n
        while left > 1:
            keys, left = keys + 1, left - left // 2
    starts = [8 * i + 5 for i in range(n)]
    for point in chance.choices(range(8 * n + 12), k=40):
        rank = bisect_right(starts, point)
        inside = rank > 0 and point < starts[rank - 1] + 1 + (rank - 1) % 8
        assert strategy.lookup_gfn(Gfn(point)) == (rank - 1 if inside else -1)
        examined, compares, _, lines = taken(strategy)
        assert compares == keys + (rank > 0)
        assert examined == (keys if spec == "sorted-branchless" else int(rank > 0))
        if spec == "eytzinger":  # three levels share the first line
            assert lines == 1 + max(1, depth - 2) + (rank > 0) + inside
        elif spec in BTREES:
            assert lines == 1 + depth + (rank > 0) + inside


@pytest.mark.parametrize("spec", ["sorted", "sorted-branchless", "eytzinger", *BTREES, "simd-linear"])
def test_as_many_slots_as_there_may_be(spec: str) -> None:
    n = 32_764
    top = (1 << 52) - 16 * n - 1
    numbers = random.Random(4).sample(range(n), n)
    strategy = registry.make_strategy(spec)
    slots = [make_memslot(i, (top + 16 * i) << 12, 8 << 12, page(8 * i), architecture=OTHER) for i in numbers]
    strategy.apply_table(creation_table(slots))
    for i in (0, 1, 7, 8, 9, 4095, 4096, 20_000, n - 2, n - 1):
        first = top + 16 * i
        found = [strategy.lookup_gfn(Gfn(gfn)) for gfn in (first - 1, first, first + 7, first + 8)]
        assert found == [-1, i, i, -1]
        assert strategy.visit_hva(Hva(page(8 * i + 7)), Hva(page(8 * i + 9))) in ([i, i + 1][: n - i], [i + 1, i])
    for gfn in (0, 1 << 52, (1 << 63) - 1, 1 << 63, (1 << 64) - 1):
        assert strategy.lookup_gfn(Gfn(gfn)) == -1
    held = strategy.bytes()
    assert held is not None and held / n <= 400
    strategy.check()
