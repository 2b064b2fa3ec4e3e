"""The counters of each cache for gfn lookups, derived by hand; test_counts.py defines E, C, H and L.

All are used with an rbtree of three slots, [0, 4), [8, 12) and [16, 20), with s1 at the root. Without a cache a lookup
in s1 costs (1, 2, 1, 3): head, s1.1, s1.2. In s0 (2, 3, 2, 4) and in s2 (2, 4, 2, 4), through the root.

A cached slot that contains the gfn costs (1, 2, 1, 2) and the cache's own line. One that does not costs one comparison
if the gfn is before it and two if it is after it, a hop, an examination and the line of its range, which the search may
need as well. The places of the caches:

    last-used, mru-section   in head
    direct-mapped            entry 0 in head, the last ones in the index's second line, "head.1"
    per-vcpu                 generation in head, and a table of 16 bytes per vCPU in separate lines, "table.N"
"""

from __future__ import annotations

import pytest
from test_counts import S0, S1, S2, Counts, apply, counting, slot, taken

from slotlookup.address import Gfn
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import ChangeKind, Memslot, make_memslot

FLAGGED = make_memslot(1, 8 << 12, 4 << 12, S1.userspace_addr, 1)
FAR = slot(3, 100, 4)
HIT = (1, 2, 1, 3)
"""What a hit costs that reads its cache in one line."""


def ask(strategy: NativeStrategy, gfn: int, found: int, vcpu: int = 0) -> Counts:
    assert strategy.lookup_gfn(Gfn(gfn), 0, vcpu) == found
    return taken(strategy)


def three(cache: str, update: str = "in-place", more: tuple[Memslot, ...] = ()) -> NativeStrategy:
    return counting(f"rbtree,cache={cache},update={update}", [S0, S1, S2, *more])


def test_without_a_cache() -> None:
    s = three("none")
    for _ in range(2):
        assert ask(s, 2, 0) == (2, 3, 2, 4)
        assert ask(s, 9, 1) == (1, 2, 1, 3)
        assert ask(s, 17, 2) == (2, 4, 2, 4)
        assert ask(s, 13, -1) == (2, 3, 2, 3)


@pytest.mark.parametrize("cache", ["last-used", "mru-section"])
class TestOneForTheVm:
    def test_lookups(self, cache: str) -> None:
        s = three(cache)
        assert ask(s, 2, 0) == (2, 3, 2, 4)  # empty
        assert ask(s, 3, 0) == HIT  # head, s0.1, s0.2
        # Whoever asks: vCPU 1 hits what vCPU 0 found, and then displaces it.
        assert ask(s, 3, 0, vcpu=1) == HIT
        # s0 is tried: two, for 17 lies behind it. Lines: head, s0.1, s1.1, s2.1, s2.2.
        assert ask(s, 17, 2, vcpu=1) == (3, 6, 3, 5)
        # s2 is tried: one, for 3 lies before it. Lines: head, s2.1, s1.1, s0.1, s0.2.
        assert ask(s, 3, 0) == (3, 4, 3, 5)

    def test_a_miss_is_not_cached(self, cache: str) -> None:
        s = three(cache)
        ask(s, 3, 0)
        # s0 is tried (two), then the root (two) and s2 (one). Lines: head, s0.1, s1.1, s2.1. The second time the same.
        assert ask(s, 13, -1) == (3, 5, 3, 4)
        assert ask(s, 13, -1) == (3, 5, 3, 4)
        assert ask(s, 3, 0) == HIT


def test_last_used_outlives_other_slots_changes() -> None:
    s = three("last-used", more=(FAR,))
    ask(s, 9, 1)
    apply(s, ChangeKind.CREATE, slot(4, 200, 4))
    assert ask(s, 10, 1) == HIT
    apply(s, ChangeKind.DELETE, FAR)
    assert ask(s, 10, 1) == HIT
    apply(s, ChangeKind.FLAGS_ONLY, FLAGGED)
    assert ask(s, 10, 1) == HIT
    apply(s, ChangeKind.MOVE, slot(0, 300, 4))
    assert ask(s, 10, 1) == HIT
    # Moved itself, it is forgotten: what lay at its place is looked for in the tree alone, which is one slot deep less
    # by whichever slot stands at the root. Both of a lookup's lines of the cache and of the root are head.
    apply(s, ChangeKind.MOVE, slot(1, 400, 4))
    examined, _, hops, _ = ask(s, 10, -1)
    assert examined == hops  # each slot examined is a node; a cached one would be examined twice


@pytest.mark.parametrize("cache", ["mru-section", "direct-mapped", "per-vcpu"])
@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (ChangeKind.CREATE, slot(4, 200, 4)),
        (ChangeKind.DELETE, FAR),
        (ChangeKind.MOVE, slot(3, 300, 4)),
        (ChangeKind.FLAGS_ONLY, make_memslot(3, 100 << 12, 4 << 12, FAR.userspace_addr, 1)),
    ],
)
def test_any_change_empties(cache: str, kind: ChangeKind, changed: Memslot) -> None:
    """Through two sets, of which each has a cache: what either found before the change is void after it."""
    s, plain = three(cache, "two-sets", (FAR,)), three("none", "two-sets", (FAR,))
    for vcpu in (0, 1):
        ask(s, 9, 1, vcpu)
    apply(s, kind, changed)
    apply(plain, kind, changed)
    for vcpu in (0, 1) if cache == "per-vcpu" else (0,):
        assert ask(s, 9, 1, vcpu)[:2] == ask(plain, 9, 1)[:2]  # nothing is examined but what the tree shows
        assert ask(s, 9, 1, vcpu)[:2] == (1, 2)
    # In place, other flags reach no index, so nothing is forgotten.
    s = three(cache)
    ask(s, 17, 2)
    apply(s, ChangeKind.FLAGS_ONLY, FLAGGED)
    assert ask(s, 17, 2)[:2] == (1, 2)


def test_last_used_follows_the_slot_that_replaces_it() -> None:
    s = three("last-used", "two-sets")
    for expected in (HIT, HIT):
        ask(s, 9, 1)
        apply(s, ChangeKind.FLAGS_ONLY, FLAGGED)  # the set that is swapped in has found nothing yet, nor its cache
        ask(s, 9, 1)
        assert ask(s, 9, 1) == expected


class TestPerVcpu:
    def test_lookups(self) -> None:
        s = three("per-vcpu")
        # A table whose generation is the slots': the entry is empty. One hop to the table.
        # Lines: head, table.0, s1.1, s0.1, s0.2.
        assert ask(s, 2, 0) == (2, 3, 3, 5)
        # A hit: hops to the table and to the slot; the root is not read. Lines: head, table.0, s0.1, s0.2.
        assert ask(s, 3, 0) == (1, 2, 2, 4)
        # Nobody else's: vCPU 1 has its own entry, in table.0 too.
        assert ask(s, 3, 0, vcpu=1) == (2, 3, 3, 5)
        assert ask(s, 17, 2, vcpu=1) == (3, 6, 4, 6)
        assert ask(s, 17, 2, vcpu=1) == (1, 2, 2, 4)
        assert ask(s, 3, 0) == (1, 2, 2, 4)  # vCPU 0 still has s0

    def test_table(self) -> None:
        s = three("per-vcpu")
        ask(s, 3, 0, vcpu=5)  # table.1
        # vCPU 1029 has the entry of vCPU 5, and what is there is tested, not trusted.
        assert ask(s, 3, 0, vcpu=1029) == (1, 2, 2, 4)
        assert ask(s, 17, 2, vcpu=1029) == (3, 6, 4, 6)
        assert ask(s, 17, 2, vcpu=5) == (1, 2, 2, 4)

    def test_a_miss_is_not_cached(self) -> None:
        s = three("per-vcpu")
        ask(s, 3, 0)
        assert ask(s, 13, -1) == (3, 5, 4, 5)  # s0 two, root two, s2 one; head, table.0, s0.1, s1.1, s2.1
        assert ask(s, 3, 0) == (1, 2, 2, 4)

    def test_a_change_voids_each_entry_once(self) -> None:
        s = three("per-vcpu", more=(FAR,))
        for vcpu in range(3):
            ask(s, 3, 0, vcpu)
        apply(s, ChangeKind.DELETE, FAR)
        for vcpu in range(3):
            assert ask(s, 3, 0, vcpu) == (2, 3, 3, 5)  # the entry's slot is not looked at: it may be gone
            assert ask(s, 3, 0, vcpu) == (1, 2, 2, 4)


class TestDirectMapped:
    """Entries by gfn bits 8 to 10, so by MiB modulo 8."""

    WIDE = slot(3, 0x100, 0x800)  # place 1 to 7, and 0 again

    def test_lookups(self) -> None:
        s = three("direct-mapped", more=(self.WIDE,))
        ask(s, 2, 0)
        assert ask(s, 3, 0) == HIT
        assert ask(s, 3, 0, vcpu=9) == HIT
        # The slot is entered at the place asked for: elsewhere nothing is tried, so each place misses once.
        first = ask(s, 0x100, 3)
        again = ask(s, 0x1FF, 3)
        assert again[:3] == HIT[:3]
        other = ask(s, 0x200, 3)
        assert other[:3] == first[:3]
        assert ask(s, 0x2FF, 3)[:3] == HIT[:3]
        # Place 0 still has s0, and gfn 0x800 displaces it there and nowhere else: s0 is tried in vain (two).
        assert ask(s, 3, 0) == HIT
        examined, compares, hops, _ = ask(s, 0x800, 3)
        assert (examined, compares, hops) == (first[0] + 1, first[1] + 2, first[2] + 1)
        assert ask(s, 0x8FF, 3) == HIT
        assert ask(s, 0x100, 3)[:3] == HIT[:3]

    def test_the_last_places_lie_in_the_second_line(self) -> None:
        s = three("direct-mapped", more=(self.WIDE,))
        lines = []
        for place in (1, 7):
            ask(s, place << 8, 3)
            assert ask(s, place << 8, 3)[:3] == HIT[:3]
            lines.append(ask(s, place << 8, 3)[3])
        assert lines == [3, 3]  # each hit reads one line of the cache
        s = three("direct-mapped", more=(self.WIDE,))
        near, far = ask(s, 0x100, 3), ask(s, 0x700, 3)
        assert far[3] == near[3] + 1  # head.1, besides head for the root

    def test_a_miss_is_not_cached(self) -> None:
        s = three("direct-mapped")
        ask(s, 3, 0)
        assert ask(s, 13, -1) == (3, 5, 3, 4)
        assert ask(s, 13, -1) == (3, 5, 3, 4)
        assert ask(s, 3, 0) == HIT


def test_what_caches_add_to_a_change() -> None:
    """Lines alone. A deletion of s2, which is a leaf and lies in no cache, in both trees."""
    added = {}
    base = apply(three("none"), ChangeKind.DELETE, S2)
    for cache in ("last-used", "mru-section", "direct-mapped", "per-vcpu"):
        examined, compares, hops, lines = apply(three(cache), ChangeKind.DELETE, S2)
        assert (examined, compares, hops) == base[:3]
        added[cache] = lines - base[3]
    # Is it this slot (head); empty it (head); empty eight places (head and head.1); the next generation (head). The
    # tree's number of slots is in head too.
    assert added == {"last-used": 0, "mru-section": 0, "direct-mapped": 1, "per-vcpu": 0}


def test_python_caches_compare_the_slot_found_last_with_any_vcpus_gfn() -> None:
    from slotlookup.registry import make_strategy
    from slotlookup.stream import creation_table

    s = make_strategy("py-linear,cache=last-used", counted=True)
    s.apply_table(creation_table([S0, S1, S2]))
    s.reset_counters()
    assert [s.lookup_gfn(Gfn(9), 0, vcpu) for vcpu in (0, 1)] == [1, 1]
    assert s.counters().compares == 4 + 2  # s0 and s1, two each; then both ends of s1
