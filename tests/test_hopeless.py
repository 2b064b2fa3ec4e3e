"""Which rows are cut, by a clock of the test's own, and the moment of most slots in a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from slotlookup.bench.measure.hopeless import FIRST, cut_hopeless
from slotlookup.bench.measure.rows import Contender, groups
from slotlookup.bench.measure.run_options import HOPELESS, WAITED_FOR, RunOptions
from slotlookup.bench.measure.runner import measure_size
from slotlookup.bench.measure.tasks import GfnTask, Task
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import find_workload, make_strategy, parse_spec
from slotlookup.strategy import Strategy
from slotlookup.structure import Family

OPERATIONS = 10_000


@dataclass
class Timed:
    """Answers as the real strategy does; `now` moves by the seconds that each question takes, after `warm` more."""

    strategy: Strategy
    time: Clock
    cost: float
    warm: float = 0.0

    def answer_gfns(self, stream: Any) -> Any:
        self.time.now += self.warm + self.cost * len(stream.gfns)
        self.warm = 0.0
        return self.strategy.answer_gfns(stream)


@dataclass
class Clock:
    """Seconds that pass only in answers."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def task() -> GfnTask:
    questions = questions_of(find_workload("synthetic-uniform").build(slots=8, events=OPERATIONS), 0)
    return GfnTask(questions, len(questions.gfn))


def cut(task: Task, costs: Mapping[str, float], warm: Mapping[str, float] | None = None) -> dict[str, tuple[Any, Any]]:
    """The reason and the bound of each row by structure, None where it was not cut."""
    contenders = [Contender(name, parse_spec(name), Family.NATIVE) for name in costs]
    found = groups(contenders, "gfn")
    clock = Clock()

    def load(of: Task, text: str) -> Any:
        return Timed(of.load(text), clock, costs[text], (warm or {}).get(text, 0.0))

    cut_hopeless(task, found, load, clock)
    return {group.uses: (group.cut, group.at_least_ns) for group in found}


def test_what_takes_ten_times_as_long_and_longer_than_the_wait_is_cut(task: GfnTask) -> None:
    cheap = WAITED_FOR / 4 / task.operations  # a quarter of the wait for all questions
    found = cut(task, {"rbtree": cheap, "linear": cheap * HOPELESS * 1.2, "sorted": cheap * HOPELESS * 0.8})
    assert found["rbtree"] == found["sorted"] == (None, None)
    reason, bound = found["linear"]
    assert "not run further" in reason
    # It was asked for ten times the cheapest's time, which spread over all questions is the bound.
    assert bound == pytest.approx(cheap * HOPELESS * 1e9, rel=0.01)


def test_nothing_is_cut_within_the_wait(task: GfnTask) -> None:
    cheap = WAITED_FOR / 1000 / task.operations
    found = cut(task, {"rbtree": cheap, "linear": cheap * 900})
    assert found == {"rbtree": (None, None), "linear": (None, None)}


def test_a_first_part_beyond_the_limit_is_the_last(task: GfnTask) -> None:
    cheap = WAITED_FOR / 100 / task.operations
    dear = 2 * WAITED_FOR / FIRST
    reason, bound = cut(task, {"rbtree": cheap, "linear": dear})["linear"]
    assert f"its first {FIRST} of {task.operations:,} operations took 0.6 s" in reason
    assert bound == pytest.approx(dear * FIRST * 1e9 / task.operations)


def test_a_slow_start_alone_cuts_nothing(task: GfnTask) -> None:
    cheap = WAITED_FOR / 100 / task.operations
    assert cut(task, {"rbtree": cheap, "linear": cheap}, {"linear": WAITED_FOR / 3})["linear"] == (None, None)


def test_few_questions_are_all_asked() -> None:
    questions = questions_of(find_workload("synthetic-uniform").build(slots=8, events=FIRST), 0)
    few = GfnTask(questions, min(FIRST, len(questions.gfn)))
    assert cut(few, {"rbtree": 1e-9, "linear": 1.0})["linear"] == (None, None)


def test_a_wrong_answer_is_a_fault_and_no_cut(task: GfnTask) -> None:
    found = groups([Contender(name, parse_spec(name), Family.NATIVE) for name in ("rbtree", "linear")], "gfn")

    def load(of: Task, text: str) -> Any:
        return of.load(text) if text == "rbtree" else make_strategy(text)  # without any slot

    cut_hopeless(task, found, load)
    by_use = {group.uses: group for group in found}
    assert "gfn lookup" in str(by_use["linear"].members[0].fault) and by_use["linear"].cut is None
    assert by_use["rbtree"].members[0].sound


@pytest.mark.parametrize("name", ["q35-4G-numa64-boot", "q35-2G-dynamic", "balloon-16", "hotplug", "precopy"])
def test_sizes_are_those_at_the_first_moment_of_most_slots(name: str) -> None:
    workload = find_workload(name)
    questions = questions_of(workload.build(events=400), 0)
    for text in ("linear", "kvm-5.17"):
        member = Contender(text, parse_spec(text), Family.NATIVE)
        found = measure_size(member, questions, RunOptions())
        assert found.bytes_per_slot == pytest.approx(replayed(questions, text))


def replayed(questions: Questions, text: str) -> float:
    """The same, with every change replayed one by one."""
    strategy = make_strategy(text)
    strategy.load_table(questions.start)
    best = (len(strategy), strategy.bytes())
    if not questions.update_is_closed:
        for i in range(len(questions.update)):
            strategy.apply_table(questions.update[i : i + 1])
            if len(strategy) > best[0]:
                best = (len(strategy), strategy.bytes())
    slots, size = best
    assert size is not None
    return size / slots


def test_some_workloads_have_more_slots_later() -> None:
    later = 0
    for name in ("q35-4G-numa64-boot", "q35-2G-dynamic", "hotplug"):
        questions = questions_of(find_workload(name).build(events=400), 0)
        kinds = questions.update[:, 0]
        later += int(np.any(np.cumsum((kinds == 0).astype(int) - (kinds == 1)) > 0)) and not questions.update_is_closed
    assert later > 0
