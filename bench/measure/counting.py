"""The gate's own run: every workload of a suite through every strategy, answers checked and operations counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from slotlookup.errors import BrokenStrategy, UsageError
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import family_of, make_strategy
from slotlookup.structure import PATIENCE, Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import Count

from ..results.figures import Figures, WorkloadFigures
from ..results.model import RoleResult
from .runner import Report
from .tasks import TASKS, MakeStrategy, Task, make_task


@dataclass(frozen=True)
class SuiteWorkload:
    """A workload to replay. `slots` is the most that exist at one time; `name` is what the trace was found under."""

    title: str
    name: str
    slots: int
    seed: int
    trace: Trace


@dataclass(frozen=True)
class Suite:
    """What is checked: strategies by name or spec, workloads, and where native strategies' slots lie.

    `patience` is how many seconds a structure from a file may take for one answer.
    """

    strategies: tuple[str, ...]
    workloads: tuple[SuiteWorkload, ...]
    placement: str
    patience: float = PATIENCE

    @property
    def make(self) -> MakeStrategy:
        """How the strategies of the suite are made."""
        return partial(make_strategy, placement=self.placement, patience=self.patience)


@dataclass(frozen=True)
class Fault:
    """A wrong answer, which voids all figures of the strategy on the workload."""

    workload: str
    strategy: str
    message: str


@dataclass
class Counted:
    """Figures by workload, and the wrong answers. `questions` are kept for whoever times them."""

    workloads: dict[str, WorkloadFigures] = field(default_factory=dict)
    questions: dict[str, Questions] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def count(suite: Suite, report: Report) -> Counted:
    """Check and count. Wrong answers are told in the result; they do not raise."""
    counted = Counted()
    by_family: dict[Family, list[str]] = {}
    for strategy in suite.strategies:
        by_family.setdefault(family_of(strategy), []).append(strategy)
    for i, workload in enumerate(suite.workloads):
        report(workload.title, i / len(suite.workloads))
        questions = questions_of(workload.trace, workload.seed)
        if not len(questions.gfn) and not len(questions.update):
            raise UsageError(f"workload '{workload.title}': there are no slots and nothing to ask; check another")
        held: dict[str, dict[str, Figures]] = {strategy: {} for strategy in suite.strategies}
        for family, strategies in by_family.items():
            for role in TASKS:
                task = make_task(role, family, questions, suite.make)
                if task.operations:
                    _count_task(task, workload.title, strategies, held, counted.faults)
        counted.questions[workload.title] = questions
        counted.workloads[workload.title] = WorkloadFigures(
            name=workload.name,
            slots=workload.slots,
            events=len(workload.trace.events),
            seed=workload.seed,
            fingerprint=workload.trace.fingerprint,
            questions=questions_fingerprint(questions),
            strategies={strategy: roles for strategy, roles in held.items() if roles},  # type: ignore[misc]
        )
    report("", 1.0)
    return counted


def _count_task(
    task: Task, workload: str, strategies: Sequence[str], held: dict[str, dict[str, Figures]], faults: list[Fault]
) -> None:
    for strategy in strategies:
        if any((fault.workload, fault.strategy) == (workload, strategy) for fault in faults):
            continue
        try:
            task.verify(task.load(strategy))
            held[strategy][task.role] = totals(task.count(strategy))
        except (BrokenStrategy, AssertionError) as error:
            faults.append(Fault(workload, strategy, str(error) or type(error).__name__))
            held[strategy] = {}


def totals(result: RoleResult) -> Figures:
    """Sums from means. Exact: a total below 2^51 is nearer to mean * operations than to any other integer."""
    means = {name: getattr(result, name) for name in Count}
    sums = {name: None if mean is None else round(mean * result.operations) for name, mean in means.items()}
    return Figures(operations=result.operations, **sums)


def questions_fingerprint(questions: Questions) -> str:
    """What a run asks, derived streams included, as 16 hex digits."""
    digest = hashlib.sha256()
    streams = (questions.gfn.gfns, questions.hva.starts, questions.hva.ends)
    lines = (questions.gfn.timeline, questions.hva.timeline)
    tables = (questions.start, questions.update, *(t for line in lines for t in (line.segments, line.changes)))
    for table in (*streams, *tables):
        # The length keeps apart what would be equal end to end.
        digest.update(len(table).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(table, dtype="<u8").tobytes())
    return digest.hexdigest()[:16]
