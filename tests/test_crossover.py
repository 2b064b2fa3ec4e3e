"""Crossovers and verdicts of curves whose crossings are known, against figures calculated by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_points import MODE, point, role

from slotlookup.bench.results.statistics import Interval
from slotlookup.bench.sweep.crossover import Crossing, Standing, crossings, describe, reigns, side, standing
from slotlookup.bench.sweep.curves import panels


def within(median: float, factor: float = 1.0) -> Interval:
    return Interval(median, median / factor, median * factor)


def only(found: list[Crossing]) -> Crossing:
    assert len(found) == 1
    return found[0]


def test_a_known_crossing() -> None:
    # a costs N, b always 16: the ratio is 1/4 at 4 slots and 4 at 64. Logarithms to 2: -2 at 2 and 2 at 6, so 0 at 4.
    # Intervals of a factor of 2 make the upper line go from -1 to 3, which is 0 at 3, and the lower one 0 at 5.
    found = only(crossings("a", "b", (4, 64), [within(1 / 4, 2), within(4, 2)]))
    assert (found.below, found.above, found.after, found.before) == ("a", "b", 4, 64)
    assert (found.low, found.estimate, found.high) == pytest.approx((8, 16, 32))


def test_the_other_way_round_it_is_the_same_crossing() -> None:
    found = only(crossings("b", "a", (4, 64), [within(4, 2), within(1 / 4, 2)]))
    assert (found.below, found.above) == ("a", "b")
    assert (found.low, found.estimate, found.high) == pytest.approx((8, 16, 32))


def test_slot_counts_with_a_tie_lie_within_the_interval() -> None:
    # At 16 slots the ratio is somewhere in 1/2 to 2. Upper line: -1 at 2, 1 at 4, so 0 at 3. Lower: -1 at 4, 1 at 6.
    found = only(crossings("a", "b", (4, 16, 64), [within(1 / 4, 2), within(1, 2), within(4, 2)]))
    assert (found.after, found.before) == (4, 64)
    assert (found.low, found.estimate, found.high) == pytest.approx((8, 16, 32))


@pytest.mark.parametrize("unknown", [Interval(1.0, None, None), None])
def test_a_point_without_interval_bounds_nothing(unknown: Interval | None) -> None:
    found = only(crossings("a", "b", (4, 16, 64), [within(1 / 4, 2), unknown, within(4, 2)]))
    assert (found.low, found.estimate, found.high) == pytest.approx((4, 16, 64))


@pytest.mark.parametrize(
    "ratios",
    [
        [within(1 / 4), within(1 / 2), within(1 / 3)],  # a is always cheaper
        [within(1 / 2, 3), within(1, 3), within(2, 3)],  # always a tie, whatever the medians are
        [within(1 / 4), within(2, 3), within(1 / 4)],  # told to be cheaper on both sides of a noisy point
        [within(1.0), within(1.0), within(1.0)],  # equals
        [within(1 / 4), within(1 / 2, 3), within(2, 3)],  # the turn is never told
        [None, within(2), None],
    ],
)
def test_no_crossing(ratios: list[Interval | None]) -> None:
    assert crossings("a", "b", (1, 4, 16), ratios) == []


def test_several_crossings() -> None:
    # -1 at 0, 1 at 2, -1 at 4, in logarithms to 2: roots at 1 and 3.
    first, second = crossings("a", "b", (1, 4, 16), [within(1 / 2), within(2), within(1 / 2)])
    assert (first.below, first.above, first.after, first.before) == ("a", "b", 1, 4)
    assert (second.below, second.above, second.after, second.before) == ("b", "a", 4, 16)
    assert (first.estimate, second.estimate) == pytest.approx((2, 8))


def test_a_tie_over_some_slot_counts_is_the_interval() -> None:
    found = only(crossings("a", "b", (1, 2, 8, 16), [within(1 / 2), within(1), within(1), within(2)]))
    assert (found.low, found.estimate, found.high) == pytest.approx((2, 4, 8))
    assert (found.after, found.before) == (1, 16)


def test_a_tie_at_one_slot_count_is_the_crossing() -> None:
    found = only(crossings("a", "b", (4, 8, 16), [within(1 / 3), within(1), within(5)]))
    assert (found.low, found.estimate, found.high) == pytest.approx((8, 8, 8))


def test_a_count_of_zero_makes_no_error() -> None:
    found = only(crossings("a", "b", (1, 4), [within(0.0), within(2)]))
    assert 1 <= found.low <= found.estimate <= found.high <= 4


RATIO = st.tuples(st.floats(0.01, 100), st.floats(1, 10)).map(lambda pair: within(*pair))


@given(st.lists(st.one_of(RATIO, st.none(), st.just(Interval(1.5, None, None))), min_size=2, max_size=12))
def test_crossings_are_where_they_can_be(ratios: list[Interval | None]) -> None:
    slots = [1 << i for i in range(len(ratios))]
    found = crossings("a", "b", slots, ratios)
    told = [s for s in map(side, ratios) if s]
    assert len(found) == sum(one != next_ for one, next_ in pairwise(told))
    nearly = 1 + 1e-9
    for crossing in found:
        assert crossing.after <= crossing.low * nearly
        assert crossing.low <= crossing.estimate <= crossing.high
        assert crossing.high <= crossing.before * nearly
        below_first = side(ratios[slots.index(crossing.after)]) < 0
        assert (crossing.below, crossing.above) == (("a", "b") if below_first else ("b", "a"))


def test_standing_names_all_that_cannot_be_told_from_the_best() -> None:
    ratios = {"b": within(0.9, 1.2), "c": within(0.5, 1.2), "d": None}
    found = standing(8, {"a": 9.0, "b": 10.0, "c": 18.0, "d": 11.0}, lambda best, other: ratios[other])
    assert found == Standing(8, "a", ("b", "d"))


def verdict(*points: tuple[int, str]) -> str:
    """Contenders are letters, the best first."""
    words: str = describe(reigns([Standing(n, names[0], tuple(names[1:])) for n, names in points]))
    return words


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([(4, "a")], "at 4 slots a"),
        ([(1, "a"), (4, "a")], "from 1 to 4 slots a"),
        ([(1, "a"), (4, "a"), (8, "b"), (16, "b")], "up to 4 slots a; from 8 slots on b"),
        ([(1, "a"), (4, "a"), (8, "ba"), (16, "b")], "up to 4 slots a; at 8 slots b and a tied; at 16 slots b"),
        # a is the cheapest at the slot counts on both sides, so the tie between them does not end its stretch.
        ([(1, "a"), (2, "ba"), (4, "a")], "from 1 to 4 slots a (at 2 tied with b)"),
        # One slot count of four at which a is first decides nothing.
        ([(1, "ab"), (2, "a"), (4, "ba"), (8, "ab")], "from 1 to 8 slots a and b tied"),
        # a is among the cheapest throughout, but at no slot count distinguished from all others.
        ([(1, "ab"), (2, "ac")], "from 1 to 2 slots a, b and c tied"),
        ([(1, "abc"), (2, "ab"), (4, "ba")], "from 1 to 4 slots a and b tied (at 1 tied with c)"),
        ([(1, "a"), (1000, "b"), (2000, "a")], "at 1 slot a; at 1,000 slots b; at 2,000 slots a"),
    ],
)
def test_the_verdict_in_words(points: list[tuple[int, str]], words: str) -> None:
    assert verdict(*points) == words


@pytest.mark.parametrize(("apart", "told"), [(1.01, True), (1.05, False)])
def test_a_difference_smaller_than_that_of_identical_work_is_a_tie(apart: float, told: bool) -> None:
    # In every round a takes 100 and b 103.
    points = {4: point(4, {"a": {"gfn": role(100.0)}, "b": {"gfn": role(103.0)}}, control=within(1.0, apart))}
    (panel,) = panels(points, MODE)
    assert panel.noise == pytest.approx((apart - 1,))
    assert panel.standings() == [Standing(4, "a", () if told else ("b",))]


def test_ratios_are_taken_round_by_round() -> None:
    # The machine slows down by 10 in the middle, and b is always twice as dear.
    drift = (10.0, 10.0, 10.0, 100.0, 100.0, 100.0, 100.0)
    points = {4: point(4, {"a": {"gfn": role(drift)}, "b": {"gfn": role([2 * d for d in drift])}})}
    (panel,) = panels(points, MODE)
    ratio = panel.ratio(0, "b", "a")
    assert ratio is not None
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((2, 2, 2))


def test_too_few_rounds_tell_nothing() -> None:
    points = {4: point(4, {"a": {"gfn": role([1.0] * 5)}, "b": {"gfn": role([9.0] * 5)}})}
    (panel,) = panels(points, MODE)
    assert panel.standings() == [Standing(4, "a", ("b",))]


def test_families_are_never_compared() -> None:
    # By the figures alone, p would cross a.
    points = {
        n: point(n, {"a": {"gfn": role(float(n))}, "b": {"gfn": role(4.0)}}, {"p": {"gfn": role(8.0)}})
        for n in (1, 2, 8, 64)
    }
    native, python = panels(points, MODE)
    assert (native.family, python.family) == ("native", "python")
    assert [(c.below, c.above) for c in native.crossovers()] == [("a", "b")]
    # 1/4, 1/2, 2, 16: the root is between 2 and 8, half way in logarithms.
    assert native.crossovers()[0].estimate == pytest.approx(4)
    assert python.crossovers() == []


def test_counts_cross_exactly() -> None:
    points = {n: point(n, {"a": {"gfn": role(compares=n)}, "b": {"gfn": role(compares=8.0)}}) for n in (4, 8, 16)}
    (panel,) = panels(points, "compares")
    crossing = only(panel.crossovers())
    assert (crossing.low, crossing.estimate, crossing.high) == pytest.approx((8, 8, 8))
    assert [s.contenders for s in panel.standings()] == [("a",), ("a", "b"), ("b",)]


def test_a_count_of_zero_is_cheaper_than_one() -> None:
    points = {1: point(1, {"a": {"gfn": role(compares=1.0)}, "b": {"gfn": role(compares=0.0)}})}
    (panel,) = panels(points, "compares")
    assert panel.standings() == [Standing(1, "b", ())]


def test_a_strategy_that_is_void_somewhere_is_compared_elsewhere() -> None:
    points = {n: point(n, {"a": {"gfn": role(1.0)}, "b": {"gfn": role(2.0)}}) for n in (1, 2)}
    points[1]["roles"]["gfn"][0] |= {"state": "void", "reason": "planted", "figures": None}
    (panel,) = panels(points, MODE)
    assert [s.best for s in panel.standings()] == ["b", "a"]
    assert panel.ratio(0, "a", "b") is None


def test_a_net_time_below_zero_tells_nothing() -> None:
    points = {1: point(1, {"a": {"gfn": role([-1.0] * 7)}, "b": {"gfn": role(2.0)}})}
    (panel,) = panels(points, MODE)
    assert panel.ratio(0, "a", "b") is None
    assert math.isclose(panel.figures["b"][0].value if panel.figures["b"][0] else 0, 2.0)
