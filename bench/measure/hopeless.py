"""Which rows are not run further: scans of thousands of slots, next to searches that need a dozen steps.

Every row first answers a part of the questions. A row whose part took so long that all questions would take HOPELESS
times as long as the cheapest row's, and longer than WAITED_FOR, is asked as many as fit that time, and then cut.
The time that it has taken, divided by all questions, is a lower bound of its cost per operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from slotlookup.errors import BrokenStrategy
from slotlookup.strategy import Strategy

from ..results.model import RoleResult
from ..results.verdict import significant
from .rows import Contender, Group
from .run_options import HOPELESS, WAITED_FOR
from .tasks import TASKS, Task

FIRST = 32
"""Questions of the first part: few, since a change of an array of 32,764 slots takes milliseconds in some."""
Clock = Callable[[], float]
Load = Callable[[Task, str], Strategy]


def cut_hopeless(task: Task, found: Sequence[Group[RoleResult]], load: Load, clock: Clock = perf_counter) -> None:
    """Cut the hopeless ones of the rows `found`. All answers are checked; a wrong one is the contender's fault.

    `load` makes a strategy with the starting slots; `clock` gives seconds.
    """
    if task.operations <= FIRST:
        return
    first = _first(task, FIRST)
    took: list[tuple[float, Contender, Group[RoleResult]]] = []
    for group in found:
        member = group.choice()
        if member is not None and (seconds := _seconds(first, member, load, clock)) is not None:
            took.append((seconds, member, group))
    if not took:
        return
    # The cheapest of the parts answers everything: its part alone is too short to be a measure.
    seconds, member, _ = min(took, key=lambda one: one[0])
    whole = _seconds(task, member, load, clock)
    if whole is None:
        return
    limit = max(WAITED_FOR, HOPELESS * whole)
    for seconds, member, group in took:
        if seconds / FIRST * task.operations <= limit:
            continue
        asked = FIRST
        spent: float | None = seconds
        if seconds < limit:
            asked = min(task.operations, max(FIRST, int(limit / (seconds / FIRST)) + 1))
            spent = _seconds(_first(task, asked), member, load, clock)
        if spent is None or spent < limit / 2:
            continue  # the first part was slow by chance, or an answer is wrong
        group.at_least_ns = spent * 1e9 / task.operations
        group.cut = (
            f"not run further: its first {asked:,} of {task.operations:,} operations took {significant(spent)} s, "
            f"and the cheapest row takes {significant(whole)} s for all"
        )


def _first(task: Task, operations: int) -> Task:
    return TASKS[task.role](task.questions, operations, task.make)


def _seconds(task: Task, member: Contender, load: Load, clock: Clock) -> float | None:
    """The seconds in which a contender answers; None if an answer is wrong."""
    try:
        strategy = load(task, member.text)
        started = clock()
        task.verify(strategy)
        return clock() - started
    except (BrokenStrategy, AssertionError) as error:
        member.fault = str(error) or type(error).__name__
    return None
