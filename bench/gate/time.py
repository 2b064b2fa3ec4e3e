"""Times that gate: the ratio of one strategy to another, measured in rotation in the same run.

A ratio is a regression only if two conditions hold: the sign-test interval lies above the baseline's ratio, and the
median exceeds it by the configured effect. If the noise permits no decision, that is reported, and the time does not
fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slotlookup.config.settings import TimeGate
from slotlookup.families.native import NativeStrategy
from slotlookup.questions import Questions
from slotlookup.registry import family_of
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Strategy

from ..measure.machine import describe_machine
from ..measure.run_options import Report
from ..measure.tasks import MakeStrategy, Task, make_task
from ..measure.timing import EMPTY, native_mode, time_task
from ..results.figures import TimeFigure
from ..results.statistics import Interval, ratio_interval
from .baseline import PARTS_PER_MILLION, Baseline, key_of
from .judge import Outcome, Problem, Row, Verdict
from .suite import Fault

SECONDS = 1.5
"""Seconds per gate, before scaling by the configured budget."""


@dataclass(frozen=True)
class TimeMeasurement:
    """The result of a gate's timing. `ratio` is None if there is no result; `displaced` is 0 for hot caches."""

    gate: TimeGate
    ratio: Interval | None
    cpu: str
    displaced: int

    @property
    def key(self) -> str:
        """Its key in the baseline."""
        return key_of(self.gate)

    def figure(self) -> TimeFigure | None:
        """Its figure in the baseline."""
        if self.ratio is None:
            return None
        ppm = max(1, round(self.ratio.median * PARTS_PER_MILLION))
        gate = self.gate
        return TimeFigure(role=gate.role, mode=gate.mode, cpu=self.cpu, displaced=self.displaced, ratio_ppm=ppm)


def measure(
    gates: Sequence[TimeGate],
    questions: Mapping[str, Questions],
    make_strategy: MakeStrategy,
    displaced: int,
    budget: float,
    report: Report,
) -> tuple[list[TimeMeasurement], list[Fault]]:
    """Time every gate for about SECONDS * `budget`. A wrong answer in a timed block is a fault."""
    measured: list[TimeMeasurement] = []
    faults: list[Fault] = []
    cpu = str(describe_machine()["cpu"])
    for i, gate in enumerate(gates):
        asked = questions[gate.workload]
        task = make_task(gate.role, family_of(gate.strategy), asked, make_strategy)
        cold = gate.mode.cold
        texts = [gate.strategy, gate.against, *([EMPTY] if cold else [])]

        def make(text: str, asked: Questions = asked, task: Task = task) -> Strategy:
            if text != EMPTY:
                return task.load(text)
            empty = NativeStrategy(EMPTY, StrategySpec(EMPTY, EMPTY), ())
            empty.apply_table(asked.start)
            return empty

        def tell(share: float, i: int = i, gate: TimeGate = gate) -> None:
            report(f"timing {gate.strategy}", (i + share) / len(gates))

        walk = displaced if cold else 0
        if not task.operations:
            measured.append(TimeMeasurement(gate, None, cpu, walk))
            continue
        samples = time_task(task, texts, make, SECONDS * budget, tell, native_mode(gate.mode, displaced))
        faults += [Fault(gate.workload, text, message) for text, message in samples.faults.items()]
        if not samples.faults:
            ns = samples.ns
            ratio = _ratio(ns[gate.strategy], ns[gate.against], ns.get(EMPTY))
            measured.append(TimeMeasurement(gate, ratio, cpu, walk))
    return measured, faults


def _ratio(values: list[float], base: list[float], walk: list[float] | None) -> Interval | None:
    """The paired ratio, minus the walk that displaced the caches; None if noise made a sample zero or negative."""
    if walk is not None:
        values = [v - w for v, w in zip(values, walk, strict=True)]
        base = [b - w for b, w in zip(base, walk, strict=True)]
    return ratio_interval(values, base) if min(*values, *base) > 0 else None


def judge_time(ratio: Interval | None, baseline: float, percent: float) -> Verdict:
    """The verdict on a ratio: a regression only if interval and effect size agree."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return Verdict.NOISY
    limit, floor = baseline * (1 + percent / 100), baseline / (1 + percent / 100)
    if ratio.low > baseline and ratio.median > limit:
        return Verdict.REGRESSION
    if ratio.high < baseline and ratio.median < floor:
        return Verdict.CHEAPER
    if ratio.high > limit and ratio.low <= baseline:
        # From no change to more than the limit: no decision is possible.
        return Verdict.NOISY
    return Verdict.TOLERATED if ratio.low > baseline else Verdict.SAME


def compare_times(outcome: Outcome, measured: Sequence[TimeMeasurement], baseline: Baseline) -> None:
    """Compare each ratio with the baseline's; a ratio that cannot be compared becomes a problem of the outcome."""
    asked = {(m.gate.workload, m.key) for m in measured}
    for title, held in baseline.workloads.items():
        for key in held.times:
            if (title, key) not in asked:
                outcome.problems.append(Problem(f"the time of {key}, is in the baseline but not configured", title))
    for time in measured:
        gate = time.gate
        workload = baseline.workloads.get(gate.workload)
        figure = workload.times.get(time.key) if workload is not None else None

        def problem(words: str, gate: TimeGate = gate) -> None:
            outcome.problems.append(Problem(words, gate.workload, gate.strategy, gate.role))

        if workload is not None and gate.workload not in outcome.alike:
            continue  # already reported
        if figure is None:
            problem(f"the baseline lacks the time of {time.key}, on workload '{gate.workload}'")
        elif figure.cpu != time.cpu:
            problem(f"the time of {time.key}, was measured on another CPU: {figure.cpu}, and {time.cpu} now")
        elif figure.displaced != time.displaced:
            words = f"with {figure.displaced} bytes displaced in the baseline and {time.displaced} now"
            problem(f"the time of {time.key}, was measured {words}")
        else:
            then = figure.ratio_ppm / PARTS_PER_MILLION
            now = time.ratio.median if time.ratio is not None else then
            verdict = judge_time(time.ratio, then, gate.percent)
            outcome.rows.append(
                Row(
                    gate.workload,
                    gate.strategy,
                    gate.role,
                    gate.mode,
                    then,
                    now,
                    gate.percent,
                    verdict,
                    against=gate.against,
                    interval=time.ratio,
                )
            )
