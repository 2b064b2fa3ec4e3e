"""The Python structures: their libraries' own comparisons are counted, and visits examine the expected ranges."""

from __future__ import annotations

import pytest
from specs import of_family

from slotlookup import registry
from slotlookup.address import Gfn, Hva
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import make_memslot
from slotlookup.strategy import Strategy
from slotlookup.stream import creation_table
from slotlookup.structure import Family, PythonStructure, RangeIndex

HVA = 0x7F00_0000_0000
PYTHON = [s.name for s in of_family(Family.PYTHON)]
COUNTING = [s.name for s in of_family(Family.PYTHON) if isinstance(s, PythonStructure) and s.compares]


def counting(name: str, sizes: list[int]) -> Strategy:
    """A slot of each size (in pages), side by side from gfn 0 and from HVA on, with a gap of one page behind each."""
    strategy = registry.make_strategy(name, counted=True)
    at = 0
    slots = []
    for number, size in enumerate(sizes):
        slots.append(make_memslot(number, at << 12, size << 12, HVA + (at << 12)))
        at += size + 1
    strategy.apply_table(creation_table(slots))
    strategy.reset_counters()
    return strategy


def compares(strategy: Strategy) -> int:
    """Comparisons since the last reset, and a reset."""
    count = strategy.counters().compares
    strategy.reset_counters()
    assert count is not None
    return count


def test_a_list_compares_both_ends() -> None:
    s = counting("py-linear", [4, 4, 4])  # [0, 4), [5, 9), [10, 14)
    assert s.lookup_gfn(Gfn(6)) == 1
    assert compares(s) == 4  # [0, 3]: 0 <= 6, not 6 <= 3; [5, 8]: both
    assert s.lookup_gfn(Gfn(4)) == -1
    assert compares(s) == 4  # [0, 3]: both; [5, 8] and [10, 13] begin behind: one each
    assert s.visit_hva(Hva(HVA + (6 << 12)), Hva(HVA + (7 << 12))) == [1]
    assert compares(s) == 5  # two, two, and one for the last, which begins behind
    assert s.visit_hva(Hva(HVA + 5), Hva(HVA + 5)) == []
    assert compares(s) == 0


def test_the_last_used_slot_is_compared_with_first() -> None:
    s = counting("py-linear,cache=last-used", [4, 4, 4])
    assert s.lookup_gfn(Gfn(6)) == 1
    assert compares(s) == 4  # as above: nothing is cached
    assert s.lookup_gfn(Gfn(7)) == 1
    assert compares(s) == 2  # both ends of the cached slot
    assert s.lookup_gfn(Gfn(2)) == 0
    assert compares(s) == 3  # 2 >= 5 fails; then [0, 3]: both


def test_bisection_compares_with_every_halving() -> None:
    s = counting("py-sortedcontainers", [1] * 15)
    # One list of 15: its largest key (14 pairs from 0: 28) by bisection of one, then four halvings of 15, then the end.
    assert s.lookup_gfn(Gfn(12)) == 6
    assert compares(s) == 1 + 4 + 1


@pytest.mark.parametrize("name", ["py-sortedcontainers", "py-bintrees", "py-intervaltree"])
def test_lookups_grow_with_the_logarithm(name: str) -> None:
    """From 64 slots to 4,096 a search goes 6 levels deeper; a scan would compare 64 times as often."""
    few, many = (counting(name, [1] * n) for n in (64, 4096))
    for strategy, n in ((few, 64), (many, 4096)):
        for number in range(0, n, n // 64):
            assert strategy.lookup_gfn(Gfn(2 * number)) == number
    assert compares(many) < 4 * compares(few)


@pytest.mark.parametrize("name", ["py-sortedcontainers", "py-bintrees", "py-intervaltree"])
def test_visits_of_equal_slots_do_not_look_at_all(name: str) -> None:
    few, many = (counting(name, [1] * n) for n in (64, 4096))
    for strategy, n in ((few, 64), (many, 4096)):
        for number in range(0, n, n // 64):
            assert strategy.visit_hva(Hva(HVA + (2 * number << 12)), Hva(HVA + (2 * number << 12) + 1)) == [number]
    assert compares(many) < 4 * compares(few)


@pytest.mark.parametrize("name", ["py-sortedcontainers", "py-bintrees"])
def test_one_long_slot_makes_visits_look_back(name: str) -> None:
    """Documented: these libraries know no ends, so the longest range bounds the look back."""
    equal, uneven = counting(name, [1] * 64), counting(name, [200, *[1] * 63])
    assert equal.visit_hva(Hva(HVA + (126 << 12)), Hva(HVA + (127 << 12))) == [63]
    assert uneven.visit_hva(Hva(HVA + (325 << 12)), Hva(HVA + (326 << 12))) == [63]
    assert compares(uneven) > 2 * compares(equal)


@pytest.mark.parametrize("name", COUNTING)
def test_python_structures_know_compares_alone(name: str) -> None:
    s = counting(name, [4, 4])
    s.lookup_gfn(Gfn(2))
    counters = s.counters()
    assert counters.compares
    assert (counters.slots_examined, counters.hops, counters.lines) == (None, None, None)
    assert s.bytes() is None


def index(name: str) -> RangeIndex:
    structure = registry.structures()[name]
    assert structure.family is Family.PYTHON
    return structure.make()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", PYTHON)
def test_equal_ranges_and_the_last_address(name: str) -> None:
    made = index(name)
    top: int = registry.structures()[name].limit  # type: ignore[union-attr]
    made.insert(0, top, 7)
    made.insert(top, top, 8)
    made.insert(5, 9, 1)
    made.insert(5, 9, 2)
    made.insert(5, 5, 3)
    made.check()
    assert sorted(made.visit(0, top)) == [1, 2, 3, 7, 8]
    assert sorted(made.visit(top, top)) == [7, 8]
    assert sorted(made.visit(5, 5)) == [1, 2, 3, 7]
    assert sorted(made.visit(6, 9)) == [1, 2, 7]
    assert sorted(made.visit(0, 4)) == [7]
    made.remove(5, 9, 1)
    made.check()
    assert sorted(made.visit(9, 10)) == [2, 7]
    made.remove(0, top, 7)
    made.check()
    assert sorted(made.visit(9, 10)) == [2]
    assert sorted(made.visit(10, top - 1)) == []
    assert len(made) == 3


@pytest.mark.parametrize("name", PYTHON)
def test_a_damaged_structure_fails_its_check(name: str) -> None:
    made = index(name)
    made.insert(5, 9, 1)
    made.insert(20, 29, 2)
    inside = vars(made)
    if "_longest" in inside:
        inside["_longest"] = 3
    elif "_tree" in inside:
        made._tree.all_intervals.clear()  # type: ignore[attr-defined]
    elif "_held" in inside:
        made.settle()
        made.check()
        inside["_held"][1] = (5, 8)
    else:
        inside["_ranges"].append((5, 9, 1))
    with pytest.raises((BrokenStrategy, AssertionError)):  # libraries' own checks assert
        made.check()
