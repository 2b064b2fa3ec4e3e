"""The gate's suite: the configured workloads and strategies, and their counts.

A time gate for a strategy that is not checked, a tolerance that matches nothing, or a strategy that nothing gates is
refused before counting starts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from slotlookup.config.load import Config
from slotlookup.config.settings import CheckWorkload, Settings, TimeGate
from slotlookup.conformance.checks import Failure
from slotlookup.errors import ConfigError, Incomparable, UsageError
from slotlookup.questions import Questions, questions_of
from slotlookup.registry import describe, family_of, make_strategy, names_a_trace, unknown
from slotlookup.structure import PATIENCE, Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import RANKED, Count

from ..measure import counting
from ..measure.conforming import SHORT_ROUNDS, failures_of
from ..measure.run_options import Report, RunOptions
from ..measure.selection import load_trace, most_slots, native_strategies, require_available
from ..measure.tasks import MakeStrategy
from ..results.figures import Figures, WorkloadFigures
from ..results.model import RoleResult
from .baseline import key_of


@dataclass(frozen=True)
class SuiteWorkload:
    """A workload to replay. `slots` is the maximum number at one time; `name` is the name or path of the trace."""

    title: str
    name: str
    slots: int
    seed: int
    trace: Trace


@dataclass(frozen=True)
class Suite:
    """The suite: strategies by name or spec, workloads, and the placement of native strategies' slots.

    `patience` is the number of seconds that a structure from a file may take for one answer.
    """

    strategies: tuple[str, ...]
    workloads: tuple[SuiteWorkload, ...]
    placement: str
    patience: float = PATIENCE

    @property
    def make(self) -> MakeStrategy:
        """The function that makes the strategies of the suite."""
        return partial(make_strategy, placement=self.placement, patience=self.patience)

    def run_options(self, settings: Settings) -> RunOptions:
        """The options with which times that gate are measured."""
        return RunOptions(
            budget=settings.budget,
            displaced=settings.displaced,
            placement=self.placement,
            patience=self.patience,
            processes=settings.processes,
        )

    @property
    def titles(self) -> tuple[str, ...]:
        """The labels of the workloads."""
        return tuple(workload.title for workload in self.workloads)


@dataclass(frozen=True)
class Fault:
    """A wrong answer, which voids all figures of the strategy on the workload, or on all of them if that is None."""

    workload: str | None
    strategy: str
    message: str

    @property
    def where(self) -> str:
        """The strategy, and the workload if there is one."""
        return self.strategy if self.workload is None else f"{self.strategy} on {self.workload}"


@dataclass
class Counted:
    """Figures by workload, and the wrong answers. `questions` are stored for the gated times."""

    workloads: dict[str, WorkloadFigures] = field(default_factory=dict)
    questions: dict[str, Questions] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def make_suite(config: Config) -> Suite:
    """The configured suite, with every trace built.

    Raises ConfigError if it is empty or a trace cannot be built, and SpecError for a strategy that cannot be made.
    """
    check = config.settings.check
    key = "check.strategies" if check.strategies is not None else "strategies"
    chosen = check.strategies if check.strategies is not None else config.settings.strategies
    if not chosen and check.strategies is None:
        chosen = native_strategies()
    if not chosen:
        raise config.error(key, "there is no strategy to check; name one, or remove the key to check all native ones")
    if not check.workloads:
        raise config.error("check.workloads", "there is no workload to check; name one, or remove the key")
    require_available(chosen)
    workloads = tuple(_build(config, i, asked) for i, asked in enumerate(check.workloads))
    return Suite(tuple(dict.fromkeys(chosen)), workloads, config.settings.placement, config.settings.patience)


def _build(config: Config, index: int, asked: CheckWorkload) -> SuiteWorkload:
    seed = config.settings.seed if asked.seed is None else asked.seed
    name = str(config.directory / asked.name) if names_a_trace(asked.name) else asked.name
    try:
        trace = load_trace(name, asked.slots, asked.events, seed)
    except ConfigError:
        raise
    except UsageError as error:
        raise config.error(f"check.workloads.{index}", str(error)) from None
    return SuiteWorkload(asked.title, asked.name, most_slots(trace), seed, trace)


def time_gates(config: Config, suite: Suite) -> tuple[TimeGate, ...]:
    """The configured times. Raises ConfigError if one names something that is not in the suite, or if two are equal."""
    seen: set[tuple[str, str]] = set()
    for i, gate in enumerate(config.settings.check.times):
        key = f"check.times.{i}"
        for part, name in (("strategy", gate.strategy), ("against", gate.against)):
            if name not in suite.strategies:
                raise config.error(f"{key}.{part}", unknown("strategy that is checked", name, suite.strategies))
        if gate.workload not in suite.titles:
            raise config.error(f"{key}.workload", unknown("workload that is checked", gate.workload, suite.titles))
        if (gate.workload, key_of(gate)) in seen:
            raise config.error(key, f"repeats {key_of(gate)} on '{gate.workload}'; remove one")
        seen.add((gate.workload, key_of(gate)))
        family = family_of(gate.strategy)
        if family is not family_of(gate.against):
            raise config.error(key, "one strategy is native and the other is not; these are never compared")
        if family is not Family.NATIVE and gate.mode != RANKED:
            raise config.error(f"{key}.mode", f"Python strategies have {RANKED} only")
    return config.settings.check.times


def require_figures(suite: Suite, gates: Sequence[TimeGate], *, timed: bool) -> None:
    """Raise Incomparable for a strategy with neither counts nor a configured time: no change of it could fail.

    `gates` are all configured times. If they are left out (not `timed`), at least one strategy must have counts.
    """
    gated = {gate.strategy for gate in gates}
    uncounted = [strategy for strategy in suite.strategies if not describe(strategy).capabilities.counts]
    for strategy in uncounted:
        if strategy not in gated:
            raise Incomparable(f"strategy '{strategy}' has no counts; gate it by [[check.times]]")
    if not timed and len(uncounted) == len(suite.strategies):
        raise Incomparable("no strategy that is checked has counts; check their times too")


def require_matches(config: Config, suite: Suite) -> None:
    """Raise ConfigError if a tolerance matches nothing in the suite, as one with a misspelt name would."""
    for i, tolerance in enumerate(config.settings.check.tolerances):
        for part, pattern, names in (
            ("strategy", tolerance.strategy, suite.strategies),
            ("workload", tolerance.workload, suite.titles),
        ):
            if not any(fnmatchcase(name, pattern) for name in names):
                hint = unknown(f"{part} that is checked", pattern, names)
                raise config.error(f"check.tolerances.{i}.{part}", hint.replace("is called", "matches", 1))


def verify(suite: Suite, report: Report) -> list[Fault]:
    """Put every strategy and its counting instance through the short form of the conformance suite.

    The workloads ask what a VM asks; the suite asks the rest: edges, aliases, moves, what readers see during a change.
    """
    failed = failures_of(
        suite.strategies, suite.make, report, patience=suite.patience, rounds=SHORT_ROUNDS, counted=True
    )
    return [Fault(None, strategy, _first(strategy, failures)) for strategy, failures in failed.items() if failures]


def _first(strategy: str, failures: Sequence[Failure]) -> str:
    """The first of a strategy's failures in one line, and where the others are listed."""
    lines = str(failures[0]).splitlines()
    script = ": " + "; ".join(line.strip() for line in lines[1:]) if len(lines) > 1 else ""
    others = f" (and {len(failures) - 1} more; `slotlookup verify {strategy}` lists all)"
    return f"{strategy}: {lines[0].removesuffix(':')}{script}{others if len(failures) > 1 else ''}"


def count(suite: Suite, report: Report) -> Counted:
    """Count every strategy on every workload. A wrong answer becomes a fault of the result and does not raise."""
    counted = Counted()
    for i, workload in enumerate(suite.workloads):
        report(workload.title, i / len(suite.workloads))
        questions = questions_of(workload.trace, workload.seed)
        if not len(questions.gfn) and not len(questions.update):
            raise UsageError(
                f"workload '{workload.title}': there are no slots and no questions; check another workload"
            )
        counts = counting.count(questions, suite.strategies, suite.make)
        counted.faults += [Fault(workload.title, strategy, message) for strategy, message in counts.faults.items()]
        counted.questions[workload.title] = questions
        counted.workloads[workload.title] = _figures(workload, questions, counts.roles)
    report("", 1.0)
    return counted


def _figures(
    workload: SuiteWorkload, questions: Questions, counts: dict[str, dict[str, RoleResult]]
) -> WorkloadFigures:
    return WorkloadFigures(
        name=workload.name,
        slots=workload.slots,
        events=len(workload.trace.events),
        seed=workload.seed,
        fingerprint=workload.trace.fingerprint,
        questions=questions_fingerprint(questions),
        strategies={
            strategy: {role: totals(result) for role, result in roles.items()}  # type: ignore[misc]
            for strategy, roles in counts.items()
            if roles
        },
    )


def totals(result: RoleResult) -> Figures:
    """Sums from means. Exact: a total below 2^51 is nearer to mean * operations than to any other integer."""
    means = {name: getattr(result, name) for name in Count}
    sums = {name: None if mean is None else round(mean * result.operations) for name, mean in means.items()}
    return Figures(operations=result.operations, **sums)


def questions_fingerprint(questions: Questions) -> str:
    """A digest of a run's questions, derived streams included, 16 hex digits."""
    digest = hashlib.sha256()
    streams = (questions.gfn.gfns, questions.hva.starts, questions.hva.ends)
    lines = (questions.gfn.timeline, questions.hva.timeline)
    tables = (questions.start, questions.update, *(t for line in lines for t in (line.segments, line.changes)))
    for table in (*streams, *tables):
        # The length distinguishes tables whose concatenation would be equal.
        digest.update(len(table).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(table, dtype="<u8").tobytes())
    return digest.hexdigest()[:16]
