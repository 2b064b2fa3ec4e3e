"""The counters of the structures that find overlaps, derived by hand as in test_counts.py.

The layout, in lines of a slot's object:

    implicit-intervals         Slot at 64: number in line 2
    max-array, nested-lists    rbtree serves gfns, its node at 64 and Slot at 88: number in line 2
    prio-tree                  hva node at 80 (line 1), gfn node at 128 (line 2), Slot at 176: number in line 4

Arrays begin lines. Starts and lasts have 8 bytes, entries of implicit-intervals 32, those of the other two 24.
"""

from __future__ import annotations

import pytest
from test_counts import HVA, S0, S1, S2, apply, counting, lookup, slot, visit

from slotlookup import registry
from slotlookup.address import Hva
from slotlookup.architecture import OTHER
from slotlookup.memslots import USER_SLOTS, ChangeKind, Memslot, make_memslot
from slotlookup.stream import creation_table

SPACED = [S0, S1, S2]
"""Gfns and host pages [0, 4), [8, 12), [16, 20)."""


def at_page(number: int, first: int, npages: int) -> Memslot:
    """A slot by its host pages, which may be another's."""
    return make_memslot(number, (number + 1) << 24, npages << 12, HVA + (first << 12))


ENCLOSED = [at_page(0, 0, 32), at_page(1, 4, 1), at_page(2, 6, 1), at_page(3, 8, 1), at_page(4, 10, 1)]
"""One slot and four inside it."""


class TestImplicitIntervals:
    def test_lookups(self) -> None:
        s = counting("implicit-intervals", SPACED)
        # Halving three: 8 <= 9 holds, 16 <= 9 fails, and 8 <= 9 again, for whether any starts in time. Then the end of
        # the entry. Hops: to the starts, the entries, the slot. Lines: head, starts.0, entries.0, s1.2.
        assert lookup(s, 9, 1) == (3, 4, 3, 4)
        assert lookup(s, 2, 0) == (3, 4, 3, 4)
        assert lookup(s, 17, 2) == (3, 4, 3, 4)  # entries.1 for entries.0
        assert lookup(s, 13, -1) == (3, 4, 2, 3)  # a hole: the entry ends before it
        s = counting("implicit-intervals", [slot(0, 100, 4), slot(1, 108, 4), slot(2, 116, 4)])
        assert lookup(s, 2, -1) == (3, 3, 1, 2)  # none starts in time: no entry is read

    def test_visits(self) -> None:
        s = counting("implicit-intervals", SPACED)
        # Three of halving. s2 ends late enough (one); s1 does not, nor does anything before it (two).
        # Lines: head, starts.0, entries.1, s2.2, entries.0.
        assert visit(s, 17, 18, [2]) == (5, 6, 3, 5)

    def test_left_sides_are_passed_over(self) -> None:
        s = counting("implicit-intervals", ENCLOSED)
        # Five are halved in four steps. Place 5 ends too early, something before it does not, its left side, which is
        # itself, does: three. Place 4 likewise, but its left side is all before it: three, and on to place 3, as 5.
        # From there past nothing to 2, whose left side is 1 and 2: three. Place 1 is met: one. Lines: head, starts.0,
        # entries.0 to .2, s0.2.
        assert visit(s, 12, 13, [0]) == (9, 17, 3, 6)

    def test_updates(self) -> None:
        s = counting("implicit-intervals", [S0])
        # In each index: is it in order behind s0 (one); do its left side and what is before it end later (one each).
        # Hops: to both arrays. Lines: s1.1 (gfn, size) and s1.2 (hva); head, head.1 (all fields: 72 bytes behind 8),
        # starts.0, entries.0, twice each.
        assert apply(s, ChangeKind.CREATE, S1) == (0, 6, 4, 10)
        # In each index two starts are halved in two steps, and the start there is s1's (one). Behind it is nothing.
        assert apply(s, ChangeKind.DELETE, S1) == (4, 6, 4, 10)


# In the two classes below rbtree serves gfns, with the counts of test_counts.py: (1, 1, 3) when s1 is created, and
# (0, 0, 2) when it is deleted, each with the lines head, s0.1 and s1.1.
class TestMaxArray:
    def test_visits(self) -> None:
        s = counting("max-array", SPACED)
        # Three of halving. s2 is met; s1 ends too early, and nothing before it ends later.
        # Lines: head, starts.0, entries.0 and .1 (entry 2 lies in both), s2.2.
        assert visit(s, 17, 18, [2]) == (5, 5, 3, 5)

    def test_a_branch_leads_to_the_encloser(self) -> None:
        s = counting("max-array", ENCLOSED)
        # Four of halving. Place 5 ends too early, its branch is place 1, which is met.
        # Lines: head, starts.0, entries.1, entries.0, s0.2.
        assert visit(s, 12, 13, [0]) == (6, 6, 3, 5)

    def test_nesting_makes_it_linear(self) -> None:
        """Each of n slots inside the one before, asked for a page that only the outermost has."""
        n = 128
        s = counting("max-array", [at_page(i, i, 2 * (n - i)) for i in range(n)])
        # Seven steps and one of halving; then every branch in turn, from the innermost to the outermost.
        assert visit(s, 2 * n - 1, 2 * n, [0])[:3] == (8 + n, 8 + n, 3)

    def test_updates(self) -> None:
        s = counting("max-array", [S0])
        # Is it in order behind s0; does s0 end later. Hops: to both arrays. Lines: s1.2 (hva), head, head.1, starts.0,
        # entries.0, as for implicit-intervals.
        assert apply(s, ChangeKind.CREATE, S1) == (1, 3, 5, 8)
        assert apply(s, ChangeKind.DELETE, S1) == (2, 3, 4, 8)


class TestNestedLists:
    def test_visits(self) -> None:
        s = counting("nested-lists", SPACED)
        # Halving three by their ends: 3 < 17, 11 < 17, and 19 >= 17. The start of s2 (one); behind it the list ends.
        # Hops: to the three arrays and the slot. Lines: head, head.1 (the lists, behind 8 bytes, the number of entries
        # and two arrays of 24 bytes), lists.0, lasts.0, entries.0 and .1, s2.2.
        assert visit(s, 17, 18, [2]) == (4, 4, 4, 7)

    def test_a_list_below(self) -> None:
        s = counting("nested-lists", ENCLOSED)
        # The outermost list holds slot 0, in place 4: its end and its start. The four below it are halved twice, and
        # the last one's end is too early. Lines: head, head.1, lists.0, lasts.0, entries.1, s0.2.
        assert visit(s, 12, 13, [0]) == (5, 5, 4, 6)

    def test_updates(self) -> None:
        s = counting("nested-lists", [S0])
        # s1 waits (a hop to what waits); then the list's one start is compared (one examined, a hop to the list), and
        # s0 neither encloses it nor has its start (two). Lines: s1.2 (hva), three of the index (all fields: 128 bytes
        # behind 8), waiting.0, lists.0, lasts.0, entries.0.
        assert apply(s, ChangeKind.CREATE, S1) == (2, 4, 5, 11)
        # The start in the middle of two is s1's; what it has below and how far it reaches is not asked. Lines: s1.2,
        # three of the index, lists.0, entries.0.
        assert apply(s, ChangeKind.DELETE, S1) == (1, 1, 3, 9)


class TestPrioTree:
    def test_lookups(self) -> None:
        s = counting("prio-tree", SPACED)
        # Each slot needed more bits than the tree had and became its root: s2, left of it s1, left of it s0. s2 ends
        # late enough but starts too late, s1 ends late enough and starts in time. Lines: head, s2.2, s1.2, s1.4.
        assert lookup(s, 9, 1) == (2, 4, 2, 4)
        assert lookup(s, 2, 0) == (3, 6, 3, 5)
        # A hole: s1 ends too early.
        assert lookup(s, 13, -1) == (1, 3, 2, 3)
        # Behind everything.
        assert lookup(s, 100, -1) == (0, 1, 1, 2)

    def test_visits(self) -> None:
        s = counting("prio-tree", SPACED)
        # The highest bits of these hvas are ones, so each slot pushed what ends before it to the right.
        # s2 ends and starts right (two); to its right starts can be early enough (one), but s1 ends too early (one).
        # Lines: head, s2.1, s2.4, s1.1.
        assert visit(s, 17, 18, [2]) == (1, 4, 2, 4)
        # s2 ends late enough but starts too late; so does s1, after the bound on its start; s0 is met after the same.
        # Hops: down three, up two. Lines: head, s2.1, s1.1, s0.1, s0.4.
        assert visit(s, 1, 2, [0]) == (3, 8, 5, 5)

    def test_equal_ranges_are_tested_once(self) -> None:
        s = counting("prio-tree", [at_page(0, 0, 4), at_page(1, 0, 4)])
        # One node, end and start; a hop to it and one along its list. Lines: head, .1 and .4 of both.
        assert visit(s, 1, 2, [0, 1]) == (1, 2, 2, 5)

    def test_updates(self) -> None:
        s = counting("prio-tree", [S0])
        # gfn: s1 ends at 11, which needs more bits than s0's 3 (one), and becomes the root, with s0 below it: a hop.
        # Lines: s1.2 (gfn, size, node), head, s0.2.
        # hva: as many bits as s0 (one). It is another range (one), and ends later (one), so it takes the place of s0,
        # which goes to the right: a hop. Lines: s1.3 (hva), s1.1 (node), head, s0.1.
        assert apply(s, ChangeKind.CREATE, S1) == (1, 4, 2, 7)
        # In each index: the only child goes up without a comparison. Hops: s1, s0, and s0 as the parent of s1, which is
        # a leaf then. Lines: head and both nodes.
        assert apply(s, ChangeKind.DELETE, S1) == (0, 0, 6, 6)


NAMES = ["implicit-intervals", "max-array", "nested-lists", "prio-tree"]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_behind_all_others_is_found_cheaply_when_it_goes(name: str) -> None:
    """A slot at the end comes and goes without the others being moved."""
    s = counting(name, [slot(n, 8 * n, 4) for n in range(1000)])
    lines = [apply(s, kind, slot(1000, 8000, 4))[3] for kind in (ChangeKind.CREATE, ChangeKind.DELETE)]
    assert max(lines) < 100


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["one in another", "alike", "same start", "same end", "steps"])
def test_a_full_vm_of_aliases(name: str, shape: str) -> None:
    """As many slots as there can be, in the shapes that these structures like least, near the end of user memory."""
    n = USER_SLOTS
    top = (1 << 63) - (4 * n << 12)

    def range_of(i: int) -> tuple[int, int]:
        return {
            "one in another": (i, 2 * (n - i)),
            "alike": (7, 5),
            "same start": (0, i + 1),
            "same end": (i, n - i),
            "steps": (2 * i, 3),
        }[shape]

    slots = []
    for i in range(n):
        first, npages = range_of(i)
        slots.append(make_memslot(i, i << 30, npages << 12, top + (first << 12), architecture=OTHER))
    strategy = registry.make_strategy(name)
    strategy.load_table(creation_table(slots))
    strategy.check()
    for page in (0, 1, 7, 2 * n - 1, 4 * n - 1):
        start, end = top + (page << 12) + 5, top + (page << 12) + 6
        right = [s.number for s in slots if s.userspace_addr < end and s.userspace_end > start]
        assert sorted(strategy.visit_hva(Hva(start), Hva(end))) == right
