"""A timing pass: every strategy of a run timed in every role, in one process.

A run has one pass, in its own process, or several, each in a new process (`processes.py`). Where code and memory lie
differs from process to process, which moves figures by more than the noise within one process. With several passes a
sample is therefore the median of one pass, and an interval over such samples holds between runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slotlookup.families.native import HOT, NativeStrategy
from slotlookup.questions import Questions
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy
from slotlookup.structure import Family
from slotlookup.vocabulary import Operation

from ..results.statistics import median
from .run_options import NATIVE_SECONDS, PYTHON_SECONDS, SETUP_SECONDS, Report, RunOptions
from .selection import REFERENCES
from .setup import SetupTask
from .tasks import EMPTY, PERFECT, Task, make_task
from .timing import CONTROL, LEAST_ROUNDS, ROUNDS, Samples, native_mode, time_task

SETUP = "setup"
"""Takes the place of a role, and of a timing, where the set-up is timed."""
PASS_ROUNDS, LEAST_PASS_ROUNDS = 5, 3
"""Rounds of a pass that is one of several."""

Key = tuple[Family, str, str]
"""Family, role and timing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass times: the strategies by family and role (or SETUP), and each family's reference."""

    questions: Questions
    options: RunOptions
    texts: Mapping[tuple[Family, str], tuple[str, ...]]
    references: Mapping[Family, str] = field(default_factory=lambda: REFERENCES)

    def without(self, left_out: set[str]) -> Plan:
        """The same plan without some strategies."""
        kept = {key: tuple(text for text in texts if text not in left_out) for key, texts in self.texts.items()}
        return replace(self, texts={key: texts for key, texts in kept.items() if texts})


@dataclass(frozen=True, slots=True)
class Readings:
    """Nanoseconds per operation by strategy, one reading per round or per pass; `net` of the walk between operations.

    Readings of one place in the lists are pairs.
    """

    net: dict[str, list[float]]
    raw: dict[str, list[float]]


def time_pass(plan: Plan, report: Report, held: dict[str, Strategy]) -> dict[Key, Samples]:
    """Time everything in `plan`. `held` are strategies that have the starting slots already; others are added to it."""
    found: dict[Key, Samples] = {}
    faulty: set[str] = set()
    for done, ((family, role), asked) in enumerate(plan.texts.items()):
        # The reference and the empty loop take part even if their rows are not requested.
        reference = plan.references[family]
        extra = [reference, CONTROL, EMPTY] if family is Family.NATIVE else [reference]
        if plan.options.floor and family is Family.NATIVE and role != Operation.UPDATE:
            extra.append(PERFECT)
        if role == SETUP:
            extra = extra[:1]
        texts = [text for text in dict.fromkeys([*asked, *extra]) if text not in faulty]

        def tell(what: str, share: float, done: int = done) -> None:
            report(what, (done + share) / len(plan.texts))

        of_role = _time_setup if role == SETUP else _time_role
        for mode, samples in of_role(plan, family, role, texts, tell, held).items():
            found[family, role, mode] = samples
            faulty |= set(samples.faults)
    return found


def _time_role(
    plan: Plan, family: Family, role: str, texts: Sequence[str], report: Report, held: dict[str, Strategy]
) -> dict[str, Samples]:
    options = plan.options
    task = make_task(role, family, plan.questions, options.make)
    if not task.operations:
        return {}
    native = family is Family.NATIVE
    modes = [mode for mode in (task.modes if native else task.modes[:1]) if mode in options.timings]
    seconds = (NATIVE_SECONDS if native else PYTHON_SECONDS) * options.budget / max(len(modes), 1) / options.processes
    found: dict[str, Samples] = {}
    for i, mode in enumerate(modes):
        found[mode] = time_task(
            task,
            texts,
            lambda text: loaded(task, text, held, options.stride, plan.references[family]),
            seconds,
            lambda share, i=i, mode=mode: report(f"timing {mode} {role}", (i + share) / len(modes)),  # type: ignore[misc]
            native_mode(mode, options.displaced),
            *_rounds(options.processes, LEAST_ROUNDS),
        )
    return found


def _time_setup(
    plan: Plan, family: Family, role: str, texts: Sequence[str], report: Report, held: dict[str, Strategy]
) -> dict[str, Samples]:
    options = plan.options
    samples = time_task(
        SetupTask(plan.questions, options.make),
        texts,
        options.make,
        SETUP_SECONDS * options.budget / options.processes,
        lambda share: report(f"timing {role}", share),
        HOT,
        *_rounds(options.processes, LEAST_ROUNDS if family is Family.NATIVE else 1),
    )
    return {SETUP: samples}


def _rounds(processes: int, least: int) -> tuple[int, int]:
    """The number of rounds to aim at, and the least."""
    return (ROUNDS, least) if processes == 1 else (PASS_ROUNDS, min(LEAST_PASS_ROUNDS, least))


def loaded(
    task: Task,
    text: str,
    held: dict[str, Strategy],
    stride: int = 0,
    reference: str = REFERENCES[Family.NATIVE],
) -> Strategy:
    """A strategy with the starting slots: from `held` if only lookups and visits were replayed since it was loaded.

    CONTROL is another instance of `reference`.

    Loading 32,764 slots into a Python tree takes seconds, and each role and timing would load them again.
    """
    if not task.timeline.static or task.role == Operation.UPDATE:
        return _make_loaded(task, text, stride, reference)
    if text not in held:
        held[text] = _make_loaded(task, text, stride, reference)
    return held[text]


def _make_loaded(task: Task, text: str, stride: int, reference: str) -> Strategy:
    if text == CONTROL:
        return task.load(reference)
    if text not in (EMPTY, PERFECT):
        return task.load(text)
    strategy = NativeStrategy(text, StrategySpec(text, text), (), stride=stride)
    strategy.apply_table(task.questions.start)
    return strategy


def readings(passes: Sequence[Samples], *, cold: bool) -> Readings:
    """The readings of one role and timing: one per round of a single pass, or the median of each of several.

    In cold ones the walk is subtracted, as measured with the empty strategy in the same rounds.
    """
    texts = [text for text in passes[0].ns if all(text in each.ns for each in passes)]
    raw: dict[str, list[float]] = {text: [] for text in texts}
    net: dict[str, list[float]] = {text: [] for text in texts}
    for each in passes:
        for text in texts:
            read = each.ns[text]
            less = _without(read, each.ns[EMPTY]) if cold and EMPTY in each.ns else read
            raw[text] += read if len(passes) == 1 else [median(read)]
            net[text] += less if len(passes) == 1 else [median(less)]
    return Readings(net, raw)


def _without(values: list[float], walk: list[float]) -> list[float]:
    return [value - paid for value, paid in zip(values, walk, strict=True)]
