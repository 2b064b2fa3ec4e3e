"""A run: one workload through many strategies, each answer checked, each operation counted and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from slotlookup.errors import BrokenStrategy, UsageError
from slotlookup.families.native import NativeStrategy
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import describe_available, make_strategy
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy
from slotlookup.structure import PATIENCE, Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import Operation, Placement, TimingMode

from ..results.model import RunResult, StrategyResult, Timing
from ..results.statistics import Interval, median_interval, ratio_interval
from .counting import verify_and_count
from .machine import describe_machine
from .selection import REFERENCES
from .tasks import TASKS, MakeStrategy, Task, make_task
from .timing import CONTROL, EMPTY, Make, Samples, native_mode, time_task

NATIVE_SECONDS = 4.0
"""For each role, shared by its timings."""
PYTHON_SECONDS = 0.7
DISPLACED = 64 << 10
"""More than any first-level cache holds, less than a second-level one: what a fault's other work leaves behind."""

Report = Callable[[str, float], None]
"""Told what is going on and the share of the whole run that is done."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run does besides verifying.

    `budget` scales the time spent on timing; `displaced` is how many bytes are walked between cold operations;
    `placement` is where native strategies' slots lie (`packed`, `scattered` or `slab`); `patience` is how many seconds
    a structure from a file may take for one answer.
    """

    counts_only: bool = False
    seed: int = 0
    budget: float = 1.0
    displaced: int = DISPLACED
    placement: str = Placement.PACKED
    patience: float = PATIENCE

    @property
    def make(self) -> MakeStrategy:
        """How a run makes its strategies."""
        return partial(make_strategy, placement=self.placement, patience=self.patience)

    def stored(self) -> dict[str, object]:
        """What results keep: all that shapes figures. The seed is kept with the workload, whose questions it shapes."""
        return {key: value for key, value in asdict(self).items() if key not in ("seed", "patience")}


def run(
    trace: Trace,
    workload: dict[str, object],
    texts: Sequence[str],
    options: RunOptions,
    report: Report,
    timings: Sequence[TimingMode] = tuple(TimingMode),
) -> RunResult:
    """Put `trace` through the strategies `texts`. Wrong answers void a row; they do not raise.

    `workload` describes the workload for the result; of `timings`, those that make sense in a role are taken. Raises
    SpecError for a strategy that cannot be made.
    """
    report("deriving questions", 0.0)
    questions = questions_of(trace, options.seed)
    if not len(questions.gfn) and not len(questions.update):
        raise UsageError(f"{trace.name}: there are no slots and nothing to ask")
    rows: dict[str, StrategyResult] = {}
    families: dict[Family, list[str]] = {Family.NATIVE: [], Family.PYTHON: []}
    for text in dict.fromkeys(texts):
        described = describe_available(text)
        families[described.family].append(text)
        rows[text] = StrategyResult(text, str(described.spec), str(described.family), described.note)
    empty: dict[str, dict[str, Interval]] = {}
    control: dict[str, dict[str, Interval]] = {}
    steps = sum(1 for names in families.values() if names) * len(TASKS)
    done = 0
    for family, names in families.items():
        if not names:
            continue
        held: dict[str, Strategy] = {}
        for role in TASKS:
            task = make_task(role, family, questions, options.make)
            share = done / steps

            def tell(what: str, part: float, share: float = share, task: Task = task) -> None:
                report(f"{what} {task.role}", share + part / steps)

            if task.operations:
                _run_task(task, [rows[name] for name in names], family, options, timings, empty, control, tell, held)
            done += 1
    for row in rows.values():
        if row.verified and row.family == Family.NATIVE:  # no strategy knows the bytes of Python objects
            _measure_size(row, questions, options.patience)
    description = {**workload, "origin": questions.origin}
    references = {str(family): name for family, name in REFERENCES.items()}
    rows_in_order = list(rows.values())
    return RunResult(description, describe_machine(), rows_in_order, empty, references, options.stored(), control)


def _run_task(
    task: Task,
    rows: list[StrategyResult],
    family: Family,
    options: RunOptions,
    timings: Sequence[TimingMode],
    empty: dict[str, dict[str, Interval]],
    control: dict[str, dict[str, Interval]],
    report: Report,
    held: dict[str, Strategy],
) -> None:
    for i, row in enumerate(rows):
        report("checking and counting", 0.4 * i / len(rows))
        if row.fault is None:
            row.fault = _verify_and_count(task, row, held)
    sound = [row for row in rows if row.fault is None]
    if options.counts_only or not sound:
        return
    reference = REFERENCES[family]
    texts = [row.strategy for row in sound]
    # The reference and the empty loop take part even where nobody asked for their rows.
    extra = [reference, CONTROL, EMPTY] if family is Family.NATIVE else [reference]
    texts += [text for text in extra if text not in texts]
    modes = [mode for mode in (task.modes if family is Family.NATIVE else task.modes[:1]) if mode in timings]
    make: Make = lambda text: _loaded(task, text, held)  # noqa: E731
    for i, name in enumerate(modes):
        seconds = (NATIVE_SECONDS if family is Family.NATIVE else PYTHON_SECONDS) * options.budget / len(modes)
        part = 0.6 / len(modes)
        tell = lambda share, i=i, name=name, part=part: report(f"timing {name}", 0.4 + part * (i + share))  # noqa: E731
        samples = time_task(task, texts, make, seconds, tell, native_mode(name, options.displaced))
        for row in sound:
            row.fault = row.fault or samples.faults.get(row.strategy)
            if row.fault is None:
                row.roles[task.role].ns[name] = _timing(samples, row.strategy, reference, net=name.cold)
        if EMPTY in samples.ns:
            empty.setdefault(task.role, {})[name] = median_interval(samples.ns[EMPTY])
        if CONTROL in samples.ns and reference in samples.ns:
            ratio = _timing(samples, CONTROL, reference, net=name.cold).ratio
            if ratio is not None:
                control.setdefault(task.role, {})[name] = ratio


def _loaded(task: Task, text: str, held: dict[str, Strategy]) -> Strategy:
    """A strategy with the starting slots: from `held` where lookups and visits have left it as it was loaded.

    Loading 32,764 slots takes a Python tree seconds, and each role and timing would load them again.
    """
    if task.restarts or task.role == Operation.UPDATE:
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


def _verify_and_count(task: Task, row: StrategyResult, held: dict[str, Strategy]) -> str | None:
    """The fault, if an answer of the timed or of the counting instance is wrong."""
    try:
        row.roles[task.role] = verify_and_count(task, row.strategy, lambda text: _loaded(task, text, held))
    except BrokenStrategy as error:
        return str(error)
    return None


def _timing(samples: Samples, text: str, reference: str, *, net: bool) -> Timing:
    """One strategy's samples as a timing. Cold ones are taken net of the walk, which the empty strategy paid too."""
    walk = samples.ns.get(EMPTY) if net else None
    values = _without(samples.ns[text], walk)
    base = _without(samples.ns[reference], walk) if reference in samples.ns else []
    paired = bool(base) and min(values) > 0 and min(base) > 0
    return Timing(tuple(values), median_interval(values), ratio_interval(values, base) if paired else None)


def _without(values: list[float], walk: list[float] | None) -> list[float]:
    return values if walk is None else [value - paid for value, paid in zip(values, walk, strict=True)]


def _measure_size(row: StrategyResult, questions: Questions, patience: float) -> None:
    """Bytes a slot with the most slots that the workload ever holds; the changes are replayed to find that moment."""
    try:
        _replay_for_size(row, questions, patience)
    except BrokenStrategy as error:
        row.fault = str(error)


def _replay_for_size(row: StrategyResult, questions: Questions, patience: float) -> None:
    strategy = make_strategy(row.strategy, patience=patience)
    strategy.load_table(questions.start)
    row.note = strategy.note  # what is only known once it has run
    if strategy.bytes() is None:
        return
    best = (len(strategy), strategy.bytes())
    for i in range(len(questions.update) if not questions.update_is_closed else 0):
        strategy.apply_table(questions.update[i : i + 1])
        if len(strategy) > best[0]:
            best = (len(strategy), strategy.bytes())
    slots, size = best
    row.bytes_per_slot = size / slots if size is not None and slots else None
