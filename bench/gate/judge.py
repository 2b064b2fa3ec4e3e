"""The gate's judgement: new figures compared with those of the baseline, and the verdict.

Counts gate exactly, except for configured tolerances. A figure that cannot be compared is a named problem and is never
left out: a strategy or workload on one side only, another seed, other questions, a missing count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from fractions import Fraction

from slotlookup.config.settings import Tolerance
from slotlookup.errors import EXIT_FAILED, EXIT_INCOMPARABLE
from slotlookup.vocabulary import Count

from ..results.figures import Figures, WorkloadFigures
from ..results.statistics import Interval
from .baseline import Baseline, time_key
from .suite import Counted, Fault

EXIT_REGRESSION = 3


class Verdict(StrEnum):
    """The verdict on a figure."""

    SAME = "same"
    CHEAPER = "cheaper"
    TOLERATED = "tolerated"
    NOISY = "too noisy to tell"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Row:
    """A figure, old and new: a total of a count, or a ratio of times with its interval and the other strategy."""

    workload: str
    strategy: str
    role: str
    metric: str
    baseline: float
    now: float
    tolerance: float
    verdict: Verdict
    operations: int | None = None
    against: str | None = None
    interval: Interval | None = None

    @property
    def place(self) -> tuple[str, ...]:
        """The figure's key in `line_numbers`."""
        if self.against is None:
            return self.workload, self.strategy, self.role
        return self.workload, time_key(self.strategy, self.against, self.role, self.metric)

    @property
    def change(self) -> float | None:
        """In percent of the baseline's figure; None if that is 0 and the new figure is not."""
        if self.now == self.baseline:
            return 0.0
        return float((self.now - self.baseline) / self.baseline * 100) if self.baseline else None


@dataclass(frozen=True)
class Problem:
    """Something that cannot be compared, and its place as far as known."""

    message: str
    workload: str | None = None
    strategy: str | None = None
    role: str | None = None


@dataclass
class Outcome:
    """The outcome of a check.

    `groups` are the counted (workload, strategy, role), `alike` the workloads that equal the baseline's.
    """

    baseline: str
    groups: list[tuple[str, str, str]] = field(default_factory=list)
    alike: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, *verdicts: Verdict) -> list[Row]:
        """The rows with one of these verdicts."""
        return [row for row in self.rows if row.verdict in verdicts]

    @property
    def exit_code(self) -> int:
        """1 for wrong answers, else 3 for a regression, else 4 for anything that cannot be compared, else 0."""
        if self.faults:
            return EXIT_FAILED
        if self.of(Verdict.REGRESSION):
            return EXIT_REGRESSION
        return EXIT_INCOMPARABLE if self.problems else 0

    @property
    def verdict(self) -> str:
        """The exit code as a word."""
        return {0: "passed", 1: "wrong answers", 3: "regression", 4: "not comparable"}[self.exit_code]


def allowed(tolerances: Sequence[Tolerance], workload: str, strategy: str, role: str, metric: str) -> float:
    """The rise in percent that passes: that of the last tolerance that matches, else 0."""
    for tolerance in reversed(tolerances):
        if (
            fnmatchcase(strategy, tolerance.strategy)
            and fnmatchcase(workload, tolerance.workload)
            and tolerance.role in (None, role)
            and tolerance.metric in (None, metric)
        ):
            return tolerance.percent
    return 0.0


def judge(baseline: int, now: int, tolerance: float) -> Verdict:
    """The verdict on a total. `tolerance` is in percent."""
    if now == baseline:
        return Verdict.SAME
    if now < baseline:
        return Verdict.CHEAPER
    # In fractions, as 5 % of 20 must be exactly 1.
    within = now * 100 <= baseline * (100 + Fraction(str(tolerance)))
    return Verdict.TOLERATED if within else Verdict.REGRESSION


def compare(
    counted: Counted, placement: str, baseline: Baseline, tolerances: Sequence[Tolerance], path: str
) -> Outcome:
    """Every figure compared with the baseline's. `path` is the baseline's name in messages."""
    outcome = Outcome(path, faults=list(counted.faults))
    for title, figures in counted.workloads.items():
        outcome.groups += [(title, s, role) for s, roles in figures.strategies.items() for role in roles]
    if baseline.placement != placement:
        words = f"slots were placed {baseline.placement} in the baseline and are placed {placement} now"
        outcome.problems.append(Problem(words))
        return outcome
    for title in counted.workloads:
        if title not in baseline.workloads:
            outcome.problems.append(Problem(f"workload '{title}' is not in the baseline", title))
    for title in baseline.workloads:
        if title not in counted.workloads:
            outcome.problems.append(Problem(f"workload '{title}' is in the baseline but is no longer checked", title))
    both = {title: held for title, held in baseline.workloads.items() if title in counted.workloads}
    void = {(fault.workload, fault.strategy) for fault in counted.faults}
    for problem in _strategies_apart(counted, both, void):
        outcome.problems.append(problem)
    for title, held in both.items():
        new = counted.workloads[title]
        differences = list(_differences(held, new))
        if differences:
            outcome.problems.append(Problem(f"workload '{title}' differs: {'; '.join(differences)}", title))
            continue
        outcome.alike.add(title)
        for strategy in held.strategies.keys() & new.strategies.keys():
            _compare_strategy(outcome, title, strategy, held, new, tolerances)
    outcome.rows.sort(key=lambda row: (row.workload, row.strategy, row.role, list(Count).index(Count(row.metric))))
    return outcome


def _differences(held: WorkloadFigures, new: WorkloadFigures) -> Iterator[str]:
    for key in ("name", "slots", "events", "seed", "fingerprint", "questions"):
        then, now = getattr(held, key), getattr(new, key)
        if then != now:
            yield f"{key} was {then} in the baseline and is {now} now"


def _strategies_apart(
    counted: Counted, both: dict[str, WorkloadFigures], void: set[tuple[str | None, str]]
) -> Iterator[Problem]:
    """Strategies that one side lacks: reported once if so on every workload, else by workload."""
    new, gone = "is not in the baseline", "is in the baseline but is no longer checked"
    apart: dict[tuple[str, str], list[str]] = {}
    for title, held in both.items():
        now = counted.workloads[title].strategies
        for strategy in now.keys() - held.strategies.keys():
            apart.setdefault((strategy, new), []).append(title)
        for strategy in held.strategies.keys() - now.keys():
            if not {(title, strategy), (None, strategy)} & void:
                apart.setdefault((strategy, gone), []).append(title)
    for (strategy, what), titles in sorted(apart.items()):
        if len(titles) == len(both):
            yield Problem(f"strategy '{strategy}' {what}", strategy=strategy)
        else:
            for title in titles:
                yield Problem(f"strategy '{strategy}' {what} for workload '{title}'", title, strategy)


def _compare_strategy(
    outcome: Outcome,
    title: str,
    strategy: str,
    held: WorkloadFigures,
    new: WorkloadFigures,
    tolerances: Sequence[Tolerance],
) -> None:
    then, now = held.strategies[strategy], new.strategies[strategy]
    for role in sorted(then.keys() | now.keys()):
        where = f"{role} of strategy '{strategy}' on workload '{title}'"

        def lacks(what: str, role: str = role) -> None:
            outcome.problems.append(Problem(what, title, strategy, role))

        if role not in then:
            lacks(f"the baseline lacks {where}")
        elif role not in now:
            lacks(f"{where} is in the baseline but is no longer counted")
        elif then[role].operations != now[role].operations:
            words = f"{then[role].operations} operations in the baseline and {now[role].operations} now"
            lacks(f"{where}: {words}")
        else:
            for metric in Count:
                a, b = _total(then[role], metric), _total(now[role], metric)
                if a is not None and b is not None:
                    tolerance = allowed(tolerances, title, strategy, role, metric)
                    verdict = judge(a, b, tolerance)
                    outcome.rows.append(
                        Row(title, strategy, role, metric, a, b, tolerance, verdict, now[role].operations)
                    )
                elif b is not None:
                    lacks(f"the baseline lacks {metric} for {where}")
                elif a is not None:
                    lacks(f"{metric} for {where} is in the baseline but is no longer counted")


def _total(figures: Figures, metric: str) -> int | None:
    value: int | None = getattr(figures, metric)
    return value
