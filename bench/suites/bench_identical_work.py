"""Identical work must be reported as a tie: every native strategy against itself under another name.

A strategy's twin is its spec written out in full: the same structures, cache and update discipline, under another name.
`test_identical_work_shows_no_difference` times all pairs many times and reports the false-positive rate: the share of
comparisons whose 95 % interval of the paired ratio excludes 1. The sign test guarantees at most 5 %; noise between
blocks that are not exactly simultaneous adds to that. Each comparison creates two new instances. Once in some hundreds
of comparisons the placement of an instance makes it faster than its twin for its lifetime, by some percent; that is
printed. If it happens to one strategy more than once, the method favours one of a pair, and the case fails.

The short form runs in CI, on machines of unknown noise, so no number of nanoseconds decides there:

- Counts of twins must be equal.
- Of all pairs, each timed briefly, at most MOST_CALLED_DIFFERENT may be reported as different. Noise that affects both
  of a pair equally does not raise that share above 5 %; an order or a pairing that favours one of them raises it to 100
  %.
- Strategies that do different work must be reported as different in most comparisons, so that a share of 0 % is
  meaningful.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from slotlookup.questions import questions_of
from slotlookup.registry import find_workload, parse_spec, presets, structures
from slotlookup.strategy import Strategy
from slotlookup.structure import Family, NativeStructure

from ..measure.run_options import NATIVE_SECONDS
from ..measure.tasks import GfnTask, HvaTask, Task, make_task
from ..measure.timing import time_task
from ..results.statistics import Interval, ratio_interval

STRATEGIES = [name for name, s in structures().items() if isinstance(s, NativeStructure)] + list(presets())
REPEATS = 3
EVENTS = 200_000
EFFECT = 0.05
"""A difference of this size between equal strategies would mislead; smaller ones would not be quoted."""
FALSE_POSITIVES = 0.15
SHORT_EVENTS = 20_000
MOST_CALLED_DIFFERENT = 1 / 3
DIFFERENT = ("linear", "rbtree")
"""With DIFFERENT_SLOTS slots, one takes many times as long as the other in either role."""
DIFFERENT_SLOTS = 512


def twin_of(text: str) -> str:
    """Another name of the same strategy: its spec written out in full."""
    return str(parse_spec(text))


def require_twins(text: str, twin: str) -> None:
    """Raise AssertionError if two names are equal, or their specs differ in any key."""
    assert text != twin, f"{text}: a strategy is compared with itself under another name, not under the same"
    assert parse_spec(text) == parse_spec(twin), f"{text} is {parse_spec(text)}, and {twin} is {parse_spec(twin)}"


@dataclass
class Comparisons:
    """How many pairs were compared; those reported as different, and those whose ratio would mislead, in words."""

    compared: int = 0
    different: list[str] = field(default_factory=list)
    misleading: list[str] = field(default_factory=list)

    @property
    def repeated(self) -> list[str]:
        """The strategies with a misleading ratio more than once."""
        times = Counter(line.partition(":")[0] for line in self.misleading)
        return [what for what, n in times.items() if n > 1]

    @property
    def rate(self) -> float:
        """The share of comparisons reported as different."""
        return len(self.different) / self.compared

    def add(self, what: str, ratio: Interval) -> None:
        """Count one comparison."""
        self.compared += 1
        if ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high:
            self.different.append(f"{what}: {ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]")
            if abs(ratio.median - 1) > EFFECT:
                self.misleading.append(self.different[-1])


def compare(
    task: Task, pairs: Iterable[tuple[str, str]], budget: float, make: Callable[[str], Strategy] | None = None
) -> Comparisons:
    """Time each pair on a task for `budget` seconds."""
    found = Comparisons()
    for text, other in pairs:
        samples = time_task(task, [text, other], make or task.load, budget, lambda share: None)
        assert not samples.faults, samples.faults
        found.add(f"{task.role} {text}", ratio_interval(samples.ns[text], samples.ns[other]))
    return found


def twins() -> list[tuple[str, str]]:
    """Every native strategy and its twin."""
    pairs = [(text, twin_of(text)) for text in STRATEGIES]
    for text, twin in pairs:
        require_twins(text, twin)
    return pairs


@cache
def _tasks(events: int) -> tuple[Task, ...]:
    questions = questions_of(find_workload("q35-4G-numa64").build(events=events), seed=0)
    return GfnTask(questions, events), HvaTask(questions, min(events, 20_000))


def test_identical_work_shows_no_difference(benchmark: Any) -> None:
    found = Comparisons()

    def compare_all() -> None:
        for task in _tasks(EVENTS):
            part = compare(task, twins() * REPEATS, NATIVE_SECONDS / 8)
            found.compared += part.compared
            found.different += part.different
            found.misleading += part.misleading

    benchmark.pedantic(compare_all, rounds=1)
    benchmark.extra_info.update(
        compared=found.compared, false_positives=found.different, rate=found.rate, misleading=found.misleading
    )
    print(f"\nidentical work: {found.rate:.1%} of {found.compared} comparisons reported as different")
    for line in found.different:
        print(f"  {line}")
    assert not found.repeated, f"identical work differs by more than {EFFECT:.0%}: {found.misleading}"
    assert found.rate <= FALSE_POSITIVES


@pytest.mark.short
@pytest.mark.parametrize("role", ["gfn", "hva", "update"])
def test_twins_count_the_same(role: str) -> None:
    questions = questions_of(find_workload("q35-2G-dynamic").build(events=2_000), seed=0)
    task = make_task(role, Family.NATIVE, questions)
    for text, twin in twins():
        assert task.count(text) == task.count(twin), text


@pytest.mark.short
def test_identical_work_is_seldom_called_different() -> None:
    for task in _tasks(SHORT_EVENTS):
        found = compare(task, twins(), 0.0)
        print(f"\n{task.role}: {len(found.different)} of {found.compared} pairs reported as different")
        assert found.rate <= MOST_CALLED_DIFFERENT, found.different


@pytest.mark.short
def test_different_work_is_called_different() -> None:
    trace = find_workload("synthetic-uniform").build(slots=DIFFERENT_SLOTS, events=SHORT_EVENTS)
    questions = questions_of(trace, seed=0)
    for task in (GfnTask(questions, SHORT_EVENTS), HvaTask(questions, SHORT_EVENTS)):
        # An interruption can make one comparison fail, but hardly half of them.
        assert compare(task, [DIFFERENT] * 9, 0.0).rate > 0.5, task.role


if __name__ == "__main__":
    pytest.main([__file__, "-s"])
