"""Times that gate: the ratio of one strategy to another, measured in rotation in the same run.

A ratio is a regression only if two conditions hold: the sign-test interval lies above the baseline's ratio, and the
median exceeds it by the configured effect. If the noise permits no decision, that is reported, and the time does not
fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from slotlookup.config.settings import TimeGate
from slotlookup.questions import Questions
from slotlookup.registry import family_of
from slotlookup.structure import Family

from ..measure.machine import describe_machine
from ..measure.passes import Plan, readings, time_pass
from ..measure.processes import TimingProcesses
from ..measure.run_options import NATIVE_SECONDS, PYTHON_SECONDS, Report, RunOptions
from ..measure.timing import Samples
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
    gates: Sequence[TimeGate], questions: Mapping[str, Questions], options: RunOptions, report: Report
) -> tuple[list[TimeMeasurement], list[Fault]]:
    """Time every gate for about SECONDS, scaled by the budget of `options`. A wrong answer in a timed block is a fault.

    Raises SlotlookupError if a process that times fails.
    """
    measured: list[TimeMeasurement] = []
    faults: list[Fault] = []
    cpu = str(describe_machine()["cpu"])
    with TimingProcesses(options.processes) if options.processes > 1 else nullcontext() as processes:
        for i, gate in enumerate(gates):

            def tell(what: str, share: float, i: int = i, gate: TimeGate = gate) -> None:
                report(f"timing {gate.strategy}", (i + share) / len(gates))

            plan = _plan(gate, questions[gate.workload], options)
            times = processes.time(plan, tell) if processes is not None else [time_pass(plan, tell, {})]
            walk = options.displaced if gate.mode.cold else 0
            samples = [found for of_process in times for found in of_process.values()]
            wrong = {text: message for found in samples for text, message in found.faults.items()}
            faults += [Fault(gate.workload, text, message) for text, message in wrong.items()]
            if not wrong:
                measured.append(TimeMeasurement(gate, _ratio(gate, samples), cpu, walk))
    return measured, faults


def _plan(gate: TimeGate, questions: Questions, options: RunOptions) -> Plan:
    family = family_of(gate.strategy)
    seconds = NATIVE_SECONDS if family is Family.NATIVE else PYTHON_SECONDS
    how = replace(options, timings=(gate.mode,), budget=SECONDS * options.budget / seconds)
    return Plan(questions, how, {(family, gate.role): (gate.strategy, gate.against)})


def _ratio(gate: TimeGate, samples: Sequence[Samples]) -> Interval | None:
    """The paired ratio; None without operations, or if noise made a sample zero or negative."""
    if not samples:
        return None
    net = readings(samples, cold=gate.mode.cold).net
    values, base = net[gate.strategy], net[gate.against]
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
