"""The criteria of the pytest-benchmark suites, without timing: twins, and when equal work is reported as different."""

from __future__ import annotations

import numpy as np
import pytest

from slotlookup.bench.measure import timing
from slotlookup.bench.measure.tasks import Task
from slotlookup.bench.results.statistics import Interval
from slotlookup.bench.suites import bench_identical_work as suite
from slotlookup.families.native import Mode
from slotlookup.registry import make_strategy, parse_spec, presets, structures
from slotlookup.strategy import Strategy
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import Operation

NATIVE = sorted([name for name, s in structures().items() if isinstance(s, NativeStructure)] + list(presets()))
OPERATIONS = 1_000
NS = 1_000.0
"""An operation: so long that a block is one pass over all of them."""


def test_every_native_strategy_has_a_twin() -> None:
    pairs = suite.twins()
    assert sorted(text for text, _ in pairs) == NATIVE
    for text, twin in pairs:
        ours, theirs = make_strategy(text), make_strategy(twin)
        assert (ours.name, theirs.name) == (text, twin) and text != twin
        assert (ours.spec, ours.capabilities) == (theirs.spec, theirs.capabilities)


@pytest.mark.parametrize(
    "twin",
    [
        "kvm-5.15",
        "kvm-5.15,cache=none",
        "gfn=sorted,hva=linear,cache=per-vcpu",
        "gfn=sorted-branchless,hva=linear,cache=per-vcpu,update=copy",
    ],
)
def test_what_differs_in_a_key_or_not_even_in_its_name_is_no_twin(twin: str) -> None:
    suite.require_twins("kvm-5.15", "gfn=sorted,hva=linear,cache=per-vcpu,update=copy")
    with pytest.raises(AssertionError):
        suite.require_twins("kvm-5.15", twin)


def test_the_pair_that_must_differ_is_no_pair_of_twins() -> None:
    assert parse_spec(suite.DIFFERENT[0]) != parse_spec(suite.DIFFERENT[1])


class _Clock(Task):
    """A task whose operations take times drawn at random; `second` scales what whoever follows another takes."""

    role = Operation.GFN
    operations = OPERATIONS
    sliceable = restarts = False

    def __init__(self, second: float = 1.0, slower: str = "") -> None:
        self._draw = np.random.default_rng(1)
        self._second, self._slower = second, slower
        self._asked: list[str] = []

    def verify(self, strategy: Strategy) -> None:
        """There are no answers."""

    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        # Two calls calibrate; then each strategy of a pair has two in its turn, one to warm up.
        self._asked.append(strategy.name)
        follows = (len(self._asked) - 3) // 2 % 2 == 1
        scale = (self._second if follows else 1.0) * (1.2 if strategy.name == self._slower else 1.0)
        return int(self._draw.lognormal(0, 0.02) * scale * NS * (end - begin))


def _rate(second: float = 1.0, slower: str = "") -> float:
    """The share called different of 60 pairs, each on a clock of its own."""
    found = suite.Comparisons()
    for _ in range(60):
        task = _Clock(second, slower)
        part = suite.compare(task, [("linear", suite.twin_of("linear"))], 0.0, make_strategy)
        found.compared += part.compared
        found.different += part.different
    return found.rate


def test_equals_are_seldom_called_different_even_where_the_second_finds_warmer_caches() -> None:
    assert _rate() <= suite.FALSE_POSITIVES
    assert _rate(second=0.8) <= suite.FALSE_POSITIVES


def test_work_that_differs_is_called_different() -> None:
    assert _rate(slower="linear") > suite.MOST_CALLED_DIFFERENT


def test_a_difference_that_recurs_is_told_from_one_that_does_not() -> None:
    found = suite.Comparisons()
    for what, ratio in (("gfn a", 1.0), ("gfn a", 0.93), ("hva a", 0.93), ("gfn b", 1.07), ("gfn b", 1.04)):
        found.add(what, Interval(ratio, ratio - 0.001, ratio + 0.001))
    assert (found.compared, found.rate, len(found.misleading), found.repeated) == (5, 0.8, 3, [])
    found.add("gfn b", Interval(1.06, 1.05, 1.07))
    assert found.repeated == ["gfn b"]


def test_turns_that_favour_one_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_turns", lambda runners, round_: runners)
    assert _rate(second=0.8) > suite.MOST_CALLED_DIFFERENT
