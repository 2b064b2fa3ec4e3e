"""Counting: strategies answer all questions of a workload; every answer is checked and every operation counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slotlookup.errors import BrokenStrategy
from slotlookup.questions import Questions
from slotlookup.registry import family_of
from slotlookup.strategy import Strategy
from slotlookup.structure import Family

from ..results.model import RoleResult
from .tasks import TASKS, MakeStrategy, Task, make_task


@dataclass
class Counts:
    """Counts by strategy and role, and faults by strategy. A strategy with a fault has no counts."""

    roles: dict[str, dict[str, RoleResult]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def count(questions: Questions, strategies: Sequence[str], make: MakeStrategy) -> Counts:
    """Check and count every strategy in every role. A wrong answer becomes a fault of the result and does not raise."""
    counts = Counts({strategy: {} for strategy in strategies})
    families: dict[Family, list[str]] = {}
    for strategy in strategies:
        families.setdefault(family_of(strategy), []).append(strategy)
    for family, members in families.items():
        for role in TASKS:
            task = make_task(role, family, questions, make)
            if task.operations:
                _count_role(task, members, counts)
    return counts


def _count_role(task: Task, strategies: Sequence[str], counts: Counts) -> None:
    for strategy in strategies:
        if strategy in counts.faults:
            continue
        try:
            counts.roles[strategy][task.role] = verify_and_count(task, strategy, task.load)
        except BrokenStrategy as error:
            counts.faults[strategy] = str(error)
            counts.roles[strategy] = {}


def verify_and_count(task: Task, text: str, load: Callable[[str], Strategy]) -> RoleResult:
    """A strategy's counts in one role. `load` returns the instance that is timed, with the starting slots.

    Raises BrokenStrategy if an answer of either instance is wrong or an invariant does not hold.
    """
    try:
        task.verify(load(text))
        return task.count(text)
    except AssertionError as error:
        raise BrokenStrategy(str(error) or type(error).__name__) from error
