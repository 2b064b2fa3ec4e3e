"""A run: one workload through many strategies, each answer checked, each operation counted and timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TypeVar

from slotlookup.errors import BrokenStrategy, UsageError, present
from slotlookup.families.native import NativeStrategy
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import describe, describe_available, make_strategy
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy
from slotlookup.structure import PATIENCE, Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import Operation, Placement, TimingMode

from ..results.model import Figures, RoleResult, RunResult, SetupResult, Timing
from ..results.statistics import Interval, median_interval, ratio_interval
from .machine import describe_machine
from .rows import Contender, Group, groups, strategy_results
from .selection import REFERENCES
from .setup import SetupTask
from .tasks import TASKS, MakeStrategy, Task, make_task
from .timing import CONTROL, EMPTY, LEAST_ROUNDS, Make, Samples, native_mode, time_task

NATIVE_SECONDS = 4.0
"""Seconds per role, shared by its timings."""
PYTHON_SECONDS = 0.7
SETUP_SECONDS = 0.4
"""Seconds per family for loading the starting slots repeatedly."""
DISPLACED = 64 << 10
"""Larger than any first-level cache, smaller than a second-level one, like the memory that a fault touches."""

T = TypeVar("T")
Report = Callable[[str, float], None]
"""Receives the current activity and the completed share of the whole run."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of a run.

    `budget` scales the time spent on timing; `displaced` is the number of bytes walked between cold operations;
    `placement` is the placement of native strategies' slots (`packed`, `scattered` or `slab`). `timings` that a role
    does not have are ignored. `patience` is the number of seconds that a structure from a file may take for one answer.
    """

    counts_only: bool = False
    seed: int = 0
    budget: float = 1.0
    displaced: int = DISPLACED
    placement: str = Placement.PACKED
    patience: float = PATIENCE
    timings: tuple[TimingMode, ...] = tuple(TimingMode)

    @property
    def make(self) -> MakeStrategy:
        """The function that makes the strategies of a run."""
        return partial(make_strategy, placement=self.placement, patience=self.patience)

    def stored(self) -> dict[str, object]:
        """The options in a result: all except the seed, which is stored with the workload."""
        kept = {key: value for key, value in asdict(self).items() if key != "seed"}
        return kept | {"timings": list(self.timings)}


@dataclass(slots=True)
class _Findings:
    """The findings so far, by role."""

    groups: dict[str, list[Group[RoleResult]]]
    empty: dict[str, dict[str, Interval]] = field(default_factory=dict)
    control: dict[str, dict[str, Interval]] = field(default_factory=dict)


def run(
    trace: Trace,
    workload: Mapping[str, object],
    texts: Sequence[str],
    options: RunOptions,
    report: Report,
    absent: Mapping[str, str] | None = None,
) -> RunResult:
    """Replay `trace` through the strategies `texts`. Wrong answers void a row; they do not raise.

    `workload` describes the workload for the result. `absent` has the strategies that cannot take part, each with the
    reason; their rows have no figures. Raises SpecError for a strategy of `texts` that cannot be made.
    """
    report("deriving questions", 0.0)
    questions = questions_of(trace, options.seed)
    if not len(questions.gfn) and not len(questions.update):
        raise UsageError(f"{trace.name}: there are no slots and no questions")
    contenders = [_contender(text) for text in dict.fromkeys(texts)]
    contenders += [_contender(text, why) for text, why in (absent or {}).items()]
    findings = _Findings({role: groups(contenders, role) for role in TASKS})
    setup: list[Group[SetupResult]] = groups(contenders, "setup")
    families = [family for family in Family if any(c.family is family and c.sound for c in contenders)]
    asked: set[str] = set()
    steps = len(families) * (len(TASKS) + 1)
    done = 0
    for family in families:
        members = [contender for contender in contenders if contender.family is family]
        held: dict[str, Strategy] = {}
        for role in (*TASKS, "setup"):
            share = done / steps

            def tell(what: str, part: float, share: float = share, role: str = role) -> None:
                report(f"{what} {role}", share + part / steps)

            if role == "setup":
                _measure_setup(_of(family, setup), questions, options, tell)
            else:
                task = make_task(role, family, questions, options.make)
                if task.operations:
                    asked.add(role)
                    _run_task(task, members, family, options, findings, tell, held)
            done += 1
    return RunResult(
        {**workload, "origin": questions.origin},
        describe_machine(),
        options.stored(),
        {str(family): name for family, name in REFERENCES.items()},
        strategy_results(contenders, findings.groups),
        {role: tuple(g.row() for g in found) if role in asked else () for role, found in findings.groups.items()},
        tuple(group.row() for group in setup),
        findings.empty,
        findings.control,
    )


def _contender(text: str, absent: str | None = None) -> Contender:
    """Raises SpecError for a strategy that does not exist or, unless it is absent, lacks something."""
    described = describe_available(text) if absent is None else describe(text)
    return Contender(text, described.spec, described.family, described.note, absent=absent)


def _of(family: Family, found: Sequence[Group[Figures]]) -> list[Group[Figures]]:
    return [group for group in found if group.members[0].family is family]


def _run_task(
    task: Task,
    members: Sequence[Contender],
    family: Family,
    options: RunOptions,
    findings: _Findings,
    report: Report,
    held: dict[str, Strategy],
) -> None:
    for i, member in enumerate(members):
        report("checking", 0.2 * i / len(members))
        if member.sound:
            _guarded(member, partial(_verify, task, member, held))
    found = _of(family, findings.groups[task.role])
    for i, group in enumerate(found):
        report("counting", 0.2 + 0.2 * i / len(found))
        _count(task, group)
    measured = [(group.measured, group) for group in found if group.measured is not None and group.measured.sound]
    if options.counts_only or not measured:
        return
    reference = REFERENCES[family]
    # The reference and the empty loop take part even if their rows are not requested.
    extra = [reference, CONTROL, EMPTY] if family is Family.NATIVE else [reference]
    texts = list(dict.fromkeys([*(member.text for member, _ in measured), *extra]))
    modes = [mode for mode in (task.modes if family is Family.NATIVE else task.modes[:1]) if mode in options.timings]
    times: dict[str, dict[str, Timing]] = {member.text: {} for member, _ in measured}
    make: Make = lambda text: _loaded(task, text, held)  # noqa: E731
    for i, name in enumerate(modes):
        seconds = (NATIVE_SECONDS if family is Family.NATIVE else PYTHON_SECONDS) * options.budget / len(modes)
        part = 0.6 / len(modes)
        tell = lambda share, i=i, name=name, part=part: report(f"timing {name}", 0.4 + part * (i + share))  # noqa: E731
        samples = time_task(task, texts, make, seconds, tell, native_mode(name, options.displaced))
        for member, _ in measured:
            member.fault = member.fault or samples.faults.get(member.text)
            if member.sound:
                times[member.text][name] = _timing(samples, member.text, reference, net=name.cold)
        if EMPTY in samples.ns:
            findings.empty.setdefault(task.role, {})[name] = median_interval(samples.ns[EMPTY])
        if CONTROL in samples.ns and reference in samples.ns:
            ratio = _timing(samples, CONTROL, reference, net=name.cold).ratio
            if ratio is not None:
                findings.control.setdefault(task.role, {})[name] = ratio
    for member, group in measured:
        group.figures = replace(present(group.figures, "what was counted"), ns=times[member.text])


def _verify(task: Task, member: Contender, held: dict[str, Strategy]) -> None:
    strategy = _loaded(task, member.text, held)
    if (strategy.name, strategy.spec) != (member.text, str(member.spec)):
        raise BrokenStrategy(f"{member.text}: what ran is {strategy.name}, {strategy.spec}")
    task.verify(strategy)


def _count(task: Task, group: Group[RoleResult]) -> None:
    """Count the operations of one member for all members, or of the next one if its counting instance answers wrong."""
    while (member := group.choice()) is not None:
        figures = _guarded(member, partial(task.count, member.text))
        if figures is not None:
            group.measured, group.figures = member, figures
            return


def _guarded(member: Contender, work: Callable[[], T]) -> T | None:
    """The result of `work`; None if an answer is wrong, which becomes the member's fault."""
    try:
        return work()
    except (BrokenStrategy, AssertionError) as error:
        member.fault = str(error) or type(error).__name__
    return None


def _loaded(task: Task, text: str, held: dict[str, Strategy]) -> Strategy:
    """A strategy with the starting slots: from `held` if only lookups and visits were replayed since it was loaded.

    Loading 32,764 slots into a Python tree takes seconds, and each role and timing would load them again.
    """
    if not task.timeline.static or task.role == Operation.UPDATE:
        return _make_loaded(task, text)
    if text not in held:
        held[text] = _make_loaded(task, text)
    return held[text]


def _make_loaded(task: Task, text: str) -> Strategy:
    if text == CONTROL:
        return task.load(REFERENCES[Family.NATIVE])
    if text != EMPTY:
        return task.load(text)
    strategy = NativeStrategy(EMPTY, StrategySpec(EMPTY, EMPTY), ())
    strategy.apply_table(task.questions.start)
    return strategy


def _timing(samples: Samples, text: str, reference: str, *, net: bool) -> Timing:
    """One strategy's samples as a timing. In cold ones the walk is subtracted, as measured with the empty strategy."""
    walk = samples.ns.get(EMPTY) if net else None
    raw = samples.ns[text]
    values = _without(raw, walk)
    base = _without(samples.ns[reference], walk) if reference in samples.ns else []
    paired = bool(base) and min(values) > 0 and min(base) > 0
    return Timing(
        tuple(values),
        median_interval(values),
        ratio_interval(values, base) if paired else None,
        None if walk is None else tuple(raw),
    )


def _without(values: list[float], walk: list[float] | None) -> list[float]:
    return values if walk is None else [value - paid for value, paid in zip(values, walk, strict=True)]


def _measure_setup(
    found: Sequence[Group[SetupResult]], questions: Questions, options: RunOptions, report: Report
) -> None:
    """Size and set-up cost of each combination of structures, and the notes that are known only after a run."""
    for i, group in enumerate(found):
        report("measuring the size of", 0.4 * i / len(found))
        while (member := group.choice()) is not None:
            figures = _guarded(member, partial(_measure_size, member, questions, options.patience))
            if figures is not None:
                group.measured, group.figures = member, figures
                for same in group.members:
                    same.note = member.note
                break
    measured = [(group.measured, group) for group in found if group.measured is not None]
    if options.counts_only or not measured or not questions.start_slots:
        return
    family = found[0].members[0].family
    reference = REFERENCES[family]
    samples = time_task(
        SetupTask(questions, options.make),
        list(dict.fromkeys([*(member.text for member, _ in measured), reference])),
        options.make,
        SETUP_SECONDS * options.budget,
        lambda share: report("timing", 0.4 + 0.6 * share),
        least_rounds=LEAST_ROUNDS if family is Family.NATIVE else 1,
    )
    for member, group in measured:
        member.fault = samples.faults.get(member.text)
        if member.sound:
            figures = present(group.figures, "the size of what was loaded")
            group.figures = replace(figures, ns=_timing(samples, member.text, reference, net=False))


def _measure_size(member: Contender, questions: Questions, patience: float) -> SetupResult:
    """Bytes per slot at the maximum number of slots of the workload; the changes are replayed up to that moment."""
    strategy = make_strategy(member.text, patience=patience)
    strategy.load_table(questions.start)
    member.note = strategy.note  # notes that are known only after the run
    loaded = len(questions.start_slots)
    if strategy.bytes() is None:
        return SetupResult(loaded)
    best = (len(strategy), strategy.bytes())
    for i in range(len(questions.update) if not questions.update_is_closed else 0):
        strategy.apply_table(questions.update[i : i + 1])
        if len(strategy) > best[0]:
            best = (len(strategy), strategy.bytes())
    slots, size = best
    return SetupResult(loaded, size / slots if size is not None and slots else None)
