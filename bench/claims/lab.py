"""The measurements that experiments share: made once, checked against the oracle, and repeated by one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slotlookup.arrays import Bools
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import USER_SLOTS
from slotlookup.questions import Questions, questions_of
from slotlookup.stream import HvaStream, Timeline, one_segment
from slotlookup.structure import Family
from slotlookup.trace import Trace
from slotlookup.vocabulary import Operation, TimingMode

from ..measure.counting import verify_and_count
from ..measure.passes import Plan, Readings, readings, time_pass
from ..measure.policies import ACCESSES
from ..measure.processes import TimingProcesses
from ..measure.run_options import NATIVE_SECONDS, Report, RunOptions
from ..measure.selection import REFERENCES, load_trace, most_slots
from ..measure.tasks import make_task
from ..measure.timing import CONTROL
from ..results.model import RoleResult
from ..results.statistics import median, median_interval
from .figures import Difference


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: `option` is the one of `slotlookup claims` that asks for it.

    `seconds` is the time for one role and timing of one workload, shared by its strategies and processes; `several`
    says whether new processes time. `larger` are slot counts beyond those of recorded layouts, `growth` those at which
    the growth of counts is measured. `accesses` are those of the guest under memory pressure, `seeds` how many of them
    are drawn. `events` are those of a scenario. `timed` are the options of `slotlookup run` that repeat a time.
    """

    option: str
    seconds: float
    several: bool
    larger: tuple[int, ...]
    growth: tuple[int, ...]
    accesses: int
    seeds: int
    events: int
    timed: str


ORDINARY = Effort(
    option="",
    seconds=0.3,
    several=False,
    larger=(512, 2048, 8192, USER_SLOTS),
    growth=(16, 64, 256, 1024),
    accesses=ACCESSES,
    seeds=1,
    events=50_000,
    timed="--quick --processes 1",
)
QUICK = replace(ORDINARY, option="--quick", seconds=0.08, larger=(512, USER_SLOTS), accesses=ACCESSES // 4)
RIGOROUS = replace(
    ORDINARY,
    option="--rigorous",
    seconds=3.0,
    several=True,
    growth=(*ORDINARY.growth, 4096),
    seeds=3,
    events=200_000,
    timed="--rigorous",
)

HOT, COLD = TimingMode.THROUGHPUT_HOT, TimingMode.THROUGHPUT_COLD


@dataclass(frozen=True, slots=True)
class Subject:
    """A workload of a certain size; None takes the workload's own."""

    workload: str
    slots: int | None = None
    events: int | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """The readings of one role and timing."""

    of: Readings

    def difference(self, strategy: str, base: str) -> Difference:
        """What a strategy takes more than `base`, in nanoseconds per operation, paired round by round.

        The noise is the difference between the reference and itself, scaled by what the two take with the loop and the
        walk, since noise grows with the time of an operation.
        """
        net, raw = self.of.net, self.of.raw
        apart = median_interval([a - b for a, b in zip(net[strategy], net[base], strict=True)])
        reference = REFERENCES[Family.NATIVE]
        control = median_interval([a - b for a, b in zip(net[CONTROL], net[reference], strict=True)])
        ends = [abs(end) for end in (control.low, control.median, control.high) if end is not None]
        scale = max(median(raw[strategy]), median(raw[base])) / median(raw[reference])
        return Difference(
            strategy, base, median(net[strategy]), median(net[base]), apart.low, apart.high, max(ends) * scale
        )


class Lab:
    """Traces, questions, counts and times, each kept for the experiments that follow."""

    def __init__(
        self,
        options: RunOptions,
        report: Report,
        *,
        effort: Effort = ORDINARY,
        processes: TimingProcesses | None = None,
    ) -> None:
        self.options = options
        self.report = report
        self.effort = effort
        self._processes = processes
        self._traces: dict[Subject, Trace] = {}
        self._questions: dict[Subject, Questions] = {}
        self._counts: dict[tuple[Subject, str, str], RoleResult] = {}
        self._times: dict[tuple[Subject, str, TimingMode, tuple[str, ...]], Times] = {}

    @property
    def seed(self) -> list[str]:
        """The option that repeats the draws; none for seed 0."""
        return [f"--seed {self.options.seed}"] if self.options.seed else []

    def command(
        self, subject: Subject, strategies: Sequence[str], roles: Sequence[Operation], *, timed: bool = False
    ) -> str:
        """The command line that measures these strategies in these roles, and shows the tables of the roles."""
        words = ["slotlookup run", subject.workload]
        words += [f"--slots {subject.slots}"] if subject.slots is not None else []
        words += [f"--events {subject.events}"] if subject.events is not None else []
        words += [f"-s {strategy}" for strategy in strategies]
        words += [f"--role {role}" for role in roles]
        return " ".join([*words, *self.seed, self.effort.timed if timed else "--counts-only"])

    def trace(self, subject: Subject) -> Trace:
        """The trace of a subject."""
        if subject not in self._traces:
            self.report(f"building {subject.workload}", 0.0)
            self._traces[subject] = load_trace(subject.workload, subject.slots, subject.events, self.options.seed)
        return self._traces[subject]

    def slots(self, subject: Subject) -> int:
        """The maximum number of slots at one time."""
        return most_slots(self.trace(subject))

    def questions(self, subject: Subject) -> Questions:
        """The questions of a subject."""
        if subject not in self._questions:
            self._questions[subject] = questions_of(self.trace(subject), self.options.seed)
        return self._questions[subject]

    def counts(self, subject: Subject, role: Operation, strategy: str) -> RoleResult:
        """The counts of a strategy in a role. Raises BrokenStrategy if an answer is wrong."""
        key = subject, role, strategy
        if key not in self._counts:
            self.report(f"counting {subject.workload}", 0.0)
            self._counts[key] = self.count(self.questions(subject), role, strategy)
        return self._counts[key]

    def count(self, questions: Questions, role: Operation, strategy: str) -> RoleResult:
        """The counts of a strategy with questions that no subject has; they are not kept."""
        task = make_task(role, Family.NATIVE, questions, self.options.make)
        return verify_and_count(task, strategy, task.load)

    def times(self, subject: Subject, role: Operation, mode: TimingMode, strategies: Sequence[str]) -> Times:
        """The times of native strategies in a role. Raises BrokenStrategy if an answer is wrong."""
        key = subject, role, mode, tuple(strategies)
        if key not in self._times:
            options = replace(self.options, budget=self.effort.seconds / NATIVE_SECONDS, timings=(mode,))
            plan = Plan(self.questions(subject), options, {(Family.NATIVE, role): tuple(strategies)})
            passes = self._processes.time(plan, self.report) if self._processes else [time_pass(plan, self.report, {})]
            samples = [found[Family.NATIVE, role, mode] for found in passes]
            for fault in (fault for each in samples for fault in each.faults.values()):
                raise BrokenStrategy(fault)
            self._times[key] = Times(readings(samples, cold=mode.cold))
        return self._times[key]


def some_visits(questions: Questions, chosen: Bools) -> Questions:
    """The same questions with the chosen visits only; the slots must not change between visits."""
    stream = questions.hva
    starts, ends = stream.starts[chosen], stream.ends[chosen]
    return replace(questions, hva=HvaStream(starts, ends, Timeline(one_segment(len(starts)), stream.timeline.changes)))
