"""The counters of every native structure, derived by hand from the definitions in slotlookup/native/probe.hpp.

    E  slots_examined   a slot's range is tested against the question
    C  compares         one key comparison
    H  hops             one dereference of a pointer that was itself loaded from memory
    L  lines            distinct 64-byte lines of one operation

Lines follow from the layout. Every slot object starts on a line boundary; "s0.2" below is line 2 of the object of slot
0:

    linear, size-sorted    64 bytes before, Slot at 64: base_gfn and npages in line 1, userspace_addr and number in 2
    rbtree                 hva node at 40 (line 0), gfn node at 64, Slot at 88: gfn fields in line 1, the rest in 2
    interval-tree          hva node at 80 (line 1), gfn node at 128 (line 2), Slot at 176: gfn fields in line 2,
                           userspace_addr in line 3, number in line 4

The index object's own fields are in one line, "head". An array entry has 24 bytes: entries 0 and 1 are in "array.0",
entry 2 in array.0 and array.1. The caller that finds a slot reads its number. The empty address space 1 costs nothing.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from specs import native_specs

from slotlookup import registry
from slotlookup.address import Gfn, Hva
from slotlookup.architecture import OTHER
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import ChangeKind, Memslot, SlotChange, make_memslot
from slotlookup.strategy import Counters
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_table, creation_table, one_segment

HVA = 0x7F00_0000_0000

Counts = tuple[int, int, int, int]
"""E, C, H, L."""


def page(n: int) -> int:
    return HVA + (n << 12)


def slot(number: int, gfn: int, npages: int) -> Memslot:
    """A slot whose host pages have the numbers of its gfns, also beyond what an x86-64 host has."""
    return make_memslot(number, gfn << 12, npages << 12, page(gfn), architecture=OTHER)


def counting(spec: str, slots: list[Memslot], placement: str = "packed", seed: int = 0) -> NativeStrategy:
    strategy = registry.make_strategy(spec, counted=True, placement=placement, seed=seed)
    assert isinstance(strategy, NativeStrategy)
    strategy.apply_table(creation_table(slots))
    strategy.reset_counters()
    return strategy


def taken(strategy: NativeStrategy) -> Counts:
    """The counters since the last reset, and a reset."""
    c = strategy.counters()
    strategy.reset_counters()
    assert c.slots_examined is not None and c.compares is not None and c.hops is not None and c.lines is not None
    return c.slots_examined, c.compares, c.hops, c.lines


def lookup(strategy: NativeStrategy, gfn: int, found: int) -> Counts:
    assert strategy.lookup_gfn(Gfn(gfn)) == found
    return taken(strategy)


def visit(strategy: NativeStrategy, first: int, behind: int, met: list[int]) -> Counts:
    """A visit of the host pages [first, behind)."""
    assert strategy.visit_hva(Hva(page(first)), Hva(page(behind))) == met
    return taken(strategy)


def apply(strategy: NativeStrategy, kind: ChangeKind, changed: Memslot) -> Counts:
    strategy.apply(SlotChange(kind, changed))
    return taken(strategy)


A, B, C = slot(0, 0, 4), slot(1, 16, 4), slot(2, 8, 4)


class TestLinear:
    """Entries in order of creation: A [0, 4), B [16, 20), C [8, 12)."""

    def test_lookups(self) -> None:
        s = counting("linear", [A, B, C])
        # A: both ends are compared. Hops: to the array, to the slot. Lines: head, array.0, s0.2.
        assert lookup(s, 2, 0) == (1, 2, 2, 3)
        # A: 17 >= 0, not 17 <= 3. B: both. Lines: head, array.0, s1.2.
        assert lookup(s, 17, 1) == (2, 4, 2, 3)
        # A: two comparisons. B: 9 >= 16 fails, so one. C: two, and its entry reaches into array.1.
        assert lookup(s, 9, 2) == (3, 5, 2, 4)
        # A hole behind everything: two comparisons each; the only hop is to the array. Lines: head, array.0, array.1.
        assert lookup(s, 100, -1) == (3, 6, 1, 3)
        # A hole before B and C: A two, B and C one each.
        assert lookup(s, 5, -1) == (3, 4, 1, 3)

    def test_visits(self) -> None:
        s = counting("linear", [A, B, C])
        # No early end: all three. A: last >= start, not start <= last. B: both. C: as A.
        # Lines: head, array.0, array.1, s1.2.
        assert visit(s, 17, 18, [1]) == (3, 6, 2, 4)
        # A: both. B and C begin behind the range: one each.
        assert visit(s, 1, 2, [0]) == (3, 4, 2, 4)
        # All three are met: a hop to the array and to each, and the line of each number.
        assert visit(s, 0, 20, [0, 1, 2]) == (3, 6, 4, 6)
        # A miss: two comparisons each.
        assert visit(s, 30, 31, []) == (3, 6, 1, 3)

    def test_an_unaliased_slot_ends_the_visit(self) -> None:
        s = counting("linear,unaliased", [A, B, C])
        # A: two. B: two, and two more for whether B holds the whole range. Lines: head, array.0, s1.2.
        assert visit(s, 17, 18, [1]) == (2, 6, 2, 3)
        # [3, 5) reaches out of A: A two, and start >= but not last <= of the two more; B and C one each.
        assert visit(s, 3, 5, [0]) == (3, 6, 2, 4)

    def test_an_aliased_slot_does_not(self) -> None:
        alias = make_memslot(3, 64 << 12, 4 << 12, page(17))  # shares host pages 17 to 19 with B
        s = counting("linear,unaliased", [A, B, C, alias])
        # B is met but flagged as aliased, which is no comparison. A, B, C, alias: two each. Two hops to slots and one
        # to the array. Lines: head, array.0, array.1 (entries 2 and 3 lie in bytes 48 to 96), s1.2, s3.2.
        assert visit(s, 17, 18, [1, 3]) == (4, 8, 3, 5)

    def test_updates(self) -> None:
        s = counting("linear", [A])
        # Each index appends: a hop to its array. Lines: two heads, two arrays, s1.1 (gfn, size), s1.2 (hva).
        assert apply(s, ChangeKind.CREATE, B) == (0, 0, 2, 6)
        # Each index looks for the slot: A's entry and B's. Lines: two heads, two arrays; all lies in array.0.
        assert apply(s, ChangeKind.DELETE, B) == (4, 4, 2, 4)


class TestSizeSorted:
    """The larger in front, whatever the order of creation."""

    SMALL, BIG = slot(0, 0, 1), slot(1, 16, 8)

    def test_lookups(self) -> None:
        s = counting("size-sorted", [self.SMALL, self.BIG])
        assert lookup(s, 20, 1) == (1, 2, 2, 3)  # head, array.0, s1.2
        assert lookup(s, 0, 0) == (2, 3, 2, 3)  # 0 >= 16 fails: one; then two

    def test_visits(self) -> None:
        s = counting("size-sorted", [self.SMALL, self.BIG])
        assert visit(s, 20, 21, [1]) == (2, 4, 2, 3)
        s = counting("size-sorted,unaliased", [self.SMALL, self.BIG])
        assert visit(s, 20, 21, [1]) == (1, 4, 2, 3)  # two for meeting, two for holding the whole

    def test_insertion(self) -> None:
        s = counting("size-sorted", [self.SMALL])
        # In each index BIG is compared with SMALL, which moves up. Lines: two heads, two arrays, s1.1, s1.2.
        assert apply(s, ChangeKind.CREATE, self.BIG) == (2, 2, 2, 6)

    def test_deletion(self) -> None:
        s = counting("size-sorted", [self.SMALL, self.BIG])
        # Each index looks for the slot: BIG's entry and SMALL's. Lines: two heads, two arrays.
        assert apply(s, ChangeKind.DELETE, self.SMALL) == (4, 4, 2, 4)


# Three slots in ascending order; the tree that comes of it has s1 at the root, s0 to the left, s2 to the right.
S0, S1, S2 = slot(0, 0, 4), slot(1, 8, 4), slot(2, 16, 4)


class TestRbtree:
    def test_lookups(self) -> None:
        s = counting("rbtree", [S0, S1, S2])
        # The root: not before it, not behind it. Lines: head, s1.1 (node and range), s1.2 (number).
        assert lookup(s, 9, 1) == (1, 2, 1, 3)
        # Root: 2 >= 8 fails, one. s0: two. Lines: head, s1.1, s0.1, s0.2.
        assert lookup(s, 2, 0) == (2, 3, 2, 4)
        # Root: 17 >= 8 holds, 17 <= 11 fails, two. s2: two.
        assert lookup(s, 17, 2) == (2, 4, 2, 4)
        # A hole: right of the root (two), left of s2 (one), and nothing there. Lines: head, s1.1, s2.1.
        assert lookup(s, 13, -1) == (2, 3, 2, 3)

    def test_visits(self) -> None:
        s = counting("rbtree", [S0, S1, S2])
        # To the leftmost: s1, s0. s0 begins in time and ends in time: two. Back up to s1, which begins behind: one.
        # Lines: head, s1.0 and s0.0 (nodes), s0.2 (hva, number), s0.1 (npages), s1.2 (hva).
        assert visit(s, 1, 2, [0]) == (2, 3, 3, 6)
        # Everything is in order of start before s2: s0 two, s1 two, s2 two. Hops: s1, s0, s1, s2, and back up from s2
        # to s1, which has no parent. Lines: head, and .0, .1, .2 of all three.
        assert visit(s, 17, 18, [2]) == (3, 6, 5, 10)

    def test_insertion(self) -> None:
        s = counting("rbtree", [S0])
        # gfn: s0 is compared with; hops: to s0, to the new node, to its parent for the colour. Lines: head, s0.1, s1.1.
        # hva: the same. Lines: head, s0.0 (node), s0.2 (hva), s1.0 (node), s1.2 (hva).
        assert apply(s, ChangeKind.CREATE, S1) == (2, 2, 6, 8)

    def test_deletion(self) -> None:
        s = counting("rbtree", [S0, S1])
        # A red leaf below a black root. In each index: hops to s1 and its parent, no comparison. Lines: head and both
        # nodes.
        assert apply(s, ChangeKind.DELETE, S1) == (0, 0, 4, 6)

    def test_the_cache_in_front(self) -> None:
        s = counting("rbtree,cache=last-used", [S0, S1, S2])
        # The cache is empty: its field lies in head, nothing else is read. Then as without.
        assert lookup(s, 2, 0) == (2, 3, 2, 4)
        # A hit: one hop to the slot, both ends. Lines: head, s0.1, s0.2.
        assert lookup(s, 3, 0) == (1, 2, 1, 3)
        # Another slot: the cached s0 (not before, but behind: two), then s1 two and s2 two.
        # Lines: head, s0.1, s1.1, s2.1, s2.2.
        assert lookup(s, 17, 2) == (3, 6, 3, 5)
        # A hole is not cached: s2 is tried (13 >= 16 fails, one), then s1 two, s2 one. Lines: head, s2.1, s1.1.
        assert lookup(s, 13, -1) == (3, 4, 3, 3)
        assert lookup(s, 19, 2) == (1, 2, 1, 3)

    def test_flags_cost_nothing_in_place(self) -> None:
        s = counting("rbtree", [S0, S1, S2])
        assert apply(s, ChangeKind.FLAGS_ONLY, make_memslot(1, 8 << 12, 4 << 12, page(8), 1)) == (0, 0, 0, 0)


class TestIntervalTree:
    def test_lookups(self) -> None:
        s = counting("interval-tree", [S0, S1, S2])
        # Root s1: something ends at or after (one). Leftmost s0 begins by then (one). Nothing to the left of the root
        # ends late enough (one). s1 begins by then and ends after (two).
        # Hops: s1, s0 as leftmost, s0 as child. Lines: head, s1.2, s0.2, s1.4.
        assert lookup(s, 9, 1) == (1, 5, 3, 4)

    def test_visits(self) -> None:
        s = counting("interval-tree", [S0, S1, S2])
        # Root and leftmost: one each. s0 ends late enough (one), begins and ends right (two). Its next: no right child;
        # up to s1, which begins behind (one). Hops: s1, s0 as leftmost, s0, s1. Lines: head, s1.1, s0.1, s0.4.
        assert visit(s, 1, 2, [0]) == (2, 6, 4, 4)
        # s2: root and leftmost one each; s0 ends too early (one); s1 begins by then (one) but ends before (one); s2 has
        # something late enough (one), begins and ends right (two). Its next: up to s1, whose right child it is, then up
        # to nothing. Hops: s1, s0, s0, s2, s1. Lines: head, s1.1, s0.1, s2.1, s2.4.
        assert visit(s, 17, 18, [2]) == (2, 8, 5, 5)

    def test_misses_at_both_ends(self) -> None:
        s = counting("interval-tree", [slot(0, 100, 4), slot(1, 108, 4), slot(2, 116, 4)])
        # Before everything: the root's largest end, and the leftmost start. Lines: head, s1.1, s0.1.
        assert visit(s, 1, 2, []) == (0, 2, 2, 3)
        # Behind everything: the root's largest end.
        assert visit(s, 200, 201, []) == (0, 1, 1, 2)

    def test_insertion(self) -> None:
        s = counting("interval-tree", [S0])
        # In each index: is the largest end below s0 smaller (one), and where to (one); hops: s0, the new node, its
        # parent. gfn lines: s1.2, head, s0.2. hva lines: s1.3 (hva), head, s1.1 and s0.1 (nodes); npages is in s1.2.
        assert apply(s, ChangeKind.CREATE, S1) == (2, 4, 6, 7)

    def test_deletion(self) -> None:
        s = counting("interval-tree", [S0, S1])
        # As for rbtree; and in each index s0, which has no child left, is compared with its largest end (one).
        assert apply(s, ChangeKind.DELETE, S1) == (0, 2, 4, 6)


def scan_counts(entries: list[tuple[int, int]], point: int) -> tuple[int, int, int]:
    """E, C and H of a lookup in an array of (start, last), by its definition."""
    compares = 0
    for examined, (start, last) in enumerate(entries, 1):
        compares += 2 if point >= start else 1
        if start <= point <= last:
            return examined, compares, 2
    return len(entries), compares, 1 if entries else 0


@pytest.mark.parametrize("spec", ["linear", "size-sorted"])
def test_scans_of_many_slots(spec: str) -> None:
    chance = random.Random(3)
    slots = [slot(n, 32 * n, chance.choice((1, 2, 5, 32))) for n in chance.sample(range(60), 60)]
    order = sorted(slots, key=lambda s: -s.npages) if spec == "size-sorted" else slots
    entries: list[tuple[int, int]] = [(s.base_gfn, s.end_gfn - 1) for s in order]
    strategy = counting(spec, slots)
    for point in range(0, 60 * 32 + 5, 7):
        strategy.lookup_gfn(Gfn(point))
        examined, compares, hops, lines = taken(strategy)
        assert (examined, compares, hops) == scan_counts(entries, point)
        # head, the array up to the last entry examined, and the number of the slot found
        assert lines == 1 + math.ceil(24 * examined / 64) + (hops - 1)


@pytest.mark.parametrize("order", ["ascending", "descending", "scattered"])
def test_a_tree_is_no_deeper_than_a_red_black_tree_may_be(order: str) -> None:
    n = 1000
    numbers = list(range(n)) if order == "ascending" else list(range(n - 1, -1, -1))
    if order == "scattered":
        random.Random(1).shuffle(numbers)
    strategy = counting("rbtree", [slot(i, 4 * i, 4) for i in numbers])
    depths = []
    for i in range(n):
        assert strategy.lookup_gfn(Gfn(4 * i)) == i
        depths.append(taken(strategy)[0])
    assert max(depths) <= 2 * math.log2(n + 1)
    for level in range(1, 4):  # a full tree at the top
        assert depths.count(level) == 2 ** (level - 1)


def streams() -> tuple[GfnStream, HvaStream]:
    chance = random.Random(8)
    line = Timeline(one_segment(400), change_table([]))
    gfns = np.array([chance.randrange(900) for _ in range(400)], dtype=np.uint64)
    starts = np.array([page(chance.randrange(900)) for _ in range(400)], dtype=np.uint64)
    return GfnStream(gfns, line), HvaStream(starts, starts + np.uint64(8192), line)


SLOTS = [slot(n, 8 * n, 1 + n % 8) for n in random.Random(2).sample(range(100), 100)]


def counts_of(spec: str, placement: str, seed: int) -> list[Counters]:
    strategy = registry.make_strategy(spec, counted=True, placement=placement, seed=seed)
    kept = []
    strategy.apply_table(creation_table(SLOTS))
    kept.append(strategy.counters())
    strategy.reset_counters()
    gfns, hvas = streams()
    strategy.answer_gfns(gfns)
    kept.append(strategy.counters())
    strategy.reset_counters()
    strategy.answer_hvas(hvas)
    kept.append(strategy.counters())
    return kept


@pytest.mark.parametrize("placement", ["packed", "scattered", "slab"])
@pytest.mark.parametrize("spec", native_specs())
def test_counts_are_the_same_each_time(spec: str, placement: str) -> None:
    once = counts_of(spec, placement, seed=5)
    held = [np.zeros(n) for n in (3, 70_000, 900)]  # whatever else the process allocates
    assert counts_of(spec, placement, seed=5) == once
    assert len(held) == 3
    # Objects begin lines, so a place in memory changes the time of an operation and not its count of lines.
    assert counts_of(spec, "packed", seed=0) == once


@pytest.mark.parametrize("spec", native_specs())
def test_timed_and_counted_give_equal_answers(spec: str) -> None:
    timed, counted = registry.make_strategy(spec), counting(spec, SLOTS)
    assert isinstance(timed, NativeStrategy)
    timed.apply_table(creation_table(SLOTS))
    gfns, hvas = streams()
    found = timed.answer_gfns(gfns)
    assert found.tolist() == counted.answer_gfns(gfns).tolist()
    met, met_too = timed.answer_hvas(hvas), counted.answer_hvas(hvas)
    assert met.counts.tolist() == met_too.counts.tolist()
    assert met.numbers.tolist() == met_too.numbers.tolist()
    # A replay's checksum is the sum of number + 1 over what the answers name.
    for strategy in (timed, counted):
        assert strategy.replay_gfns(gfns)[1] == int((found.astype(np.int64) + 1).sum())
        assert strategy.replay_hvas(hvas)[1] == int((met.numbers.astype(np.int64) + 1).sum())
    assert timed.counters() == Counters(None, None, None, None)


@pytest.mark.parametrize("spec", native_specs())
def test_a_batch_counts_what_its_questions_count(spec: str) -> None:
    """Answers, replays and single questions are one and the same work; changes between segments are nobody's lookup."""
    gfns, hvas = streams()
    alone, batch, replayed = (counting(spec, SLOTS) for _ in range(3))
    for gfn in gfns.gfns.tolist():
        alone.lookup_gfn(gfn)
    batch.answer_gfns(gfns)
    replayed.replay_gfns(gfns)
    assert taken(alone) == taken(batch) == taken(replayed)
    for start, end in zip(hvas.starts.tolist(), hvas.ends.tolist(), strict=True):
        alone.visit_hva(start, end)
    batch.answer_hvas(hvas)
    replayed.replay_hvas(hvas)
    assert taken(alone) == taken(batch) == taken(replayed)

    creation = change_table([SlotChange(ChangeKind.CREATE, slot(500, 5000, 1))])
    nothing_asked = Timeline(np.array([[0, 0, 1]], dtype=np.uint64), creation)
    batch.answer_gfns(GfnStream(np.zeros(0, dtype=np.uint64), nothing_asked))
    assert len(batch) == len(SLOTS) + 1
    assert taken(batch) == (0, 0, 0, 0)
