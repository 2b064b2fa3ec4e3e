"""Timing: strategies run in rotation, in blocks of equal work, so that disturbances affect all equally.

In each round every strategy replays the same block of operations; the order rotates and reverses between rounds. A
block's length is calibrated; a part of it runs before the clock starts, so that caches are warm. Samples of one round
are pairs, and ratios are computed pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from slotlookup.errors import BrokenStrategy
from slotlookup.families.native import HOT, Mode
from slotlookup.strategy import Strategy
from slotlookup.vocabulary import TimingMode

from .tasks import Task

LONGEST_BLOCK_NS = 20_000_000
CALIBRATION_OPERATIONS = 4_000
CALIBRATION_CHANGES = 32
CONTROL = "(control)"
"""The reference a second time: the deviation of its ratio from 1 is the noise of the machine."""
ROUNDS = 21
"""Of a pass that is the only one."""
LEAST_ROUNDS = 7
MOST_ROUNDS = 101

Make = Callable[[str], Strategy]
Progress = Callable[[float], None]


@dataclass(slots=True)
class _Runner:
    """One strategy in the rotation."""

    text: str
    make: Make
    task: Task
    strategy: Strategy | None = None
    fault: str | None = None
    applied: int = 0
    """The number of changes of the task's timeline that the strategy has followed."""
    used: bool = False
    end: int = 0
    """Where the operations that it replayed last ended."""

    def ready(self, begin: int) -> Strategy:
        """The strategy with slots from which it can go on to operation `begin`.

        It is made again only if the operations precede a change that it has followed.
        """
        done = self.task.restarts and self.used
        if self.strategy is None or done or self.task.timeline.changes_before(begin) < self.applied:
            self.strategy = self.make(self.text)
            self.applied = 0
            self.used = False
        return self.strategy

    def time(self, begin: int, end: int, mode: Mode) -> int:
        """Nanoseconds for operations [begin, end)."""
        strategy = self.ready(begin)
        self.used = True
        self.end = end
        ns = self.task.time(strategy, begin, end, mode, self.applied)
        self.applied = self.task.timeline.changes_before(end - 1)
        return ns


@dataclass(frozen=True, slots=True)
class Samples:
    """Nanoseconds per operation by strategy, one sample per round; faults by strategy.

    `notes` has the remarks of strategies for the user, some of which are known only once something was timed.
    """

    ns: dict[str, list[float]]
    faults: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)


def native_mode(timing: TimingMode, displaced: int) -> Mode:
    """The native replay mode of a timing; `displaced` bytes are walked between operations if it is cold."""
    return Mode(timing.kind, displaced if timing.cold else 0)


def time_task(
    task: Task,
    texts: Sequence[str],
    make: Make,
    budget: float,
    progress: Progress,
    mode: Mode = HOT,
    rounds: int = ROUNDS,
    least_rounds: int = LEAST_ROUNDS,
) -> Samples:
    """Time `texts` on a task for about `budget` seconds: in about `rounds` rounds, and at least `least_rounds`.

    `progress` receives the completed share, 0 to 1.
    """
    started = monotonic()
    runners = [_Runner(text, make, task) for text in texts]
    cost: dict[str, float] = {}
    making = 0.0
    probe = min(CALIBRATION_OPERATIONS, task.operations) if task.sliceable else _spans(task, CALIBRATION_CHANGES)[0][1]
    for runner in runners:
        with _Guard(runner):
            began = monotonic()
            runner.ready(0)
            making += (monotonic() - began) * 1e9 / probe
            cost[runner.text] = max(runner.time(0, probe, mode), 1) / probe
    faults = {r.text: r.fault for r in runners if r.fault}
    runners = [runner for runner in runners if runner.fault is None]
    if not runners:
        return Samples({}, faults)
    block = _calibrate(
        task, [cost[runner.text] for runner in runners], making if task.restarts else 0.0, budget / rounds
    )
    ns: dict[str, list[float]] = {runner.text: [] for runner in runners}
    for round_ in range(MOST_ROUNDS):
        begin, end = block.span(round_, task.operations)
        for runner in _turns(runners, round_):
            if runner.fault is None:
                with _Guard(runner):
                    ns[runner.text].append(_time_block(task, runner, begin, end, block.passes, mode))
        spent = monotonic() - started
        progress(min(spent / budget, 1.0) if budget else 1.0)
        if round_ + 1 >= least_rounds and spent >= budget:
            break
    for runner in runners:
        if runner.fault is None and runner.strategy is not None:
            with _Guard(runner):
                task.verify_timed(runner.strategy, runner.end)
    faults.update({r.text: r.fault for r in runners if r.fault})
    notes = {r.text: r.strategy.note for r in runners if r.strategy is not None and r.strategy.note}
    return Samples({text: values for text, values in ns.items() if text not in faults}, faults, notes)


def _turns(runners: list[_Runner], round_: int) -> list[_Runner]:
    """The order of a round: rotated, and reversed every other round, so that no strategy always follows the same other.

    A later strategy finds the block's questions in a nearer cache, and rotation alone keeps neighbours together.
    """
    turn = round_ // 2 % len(runners)
    order = runners[turn:] + runners[:turn]
    return order[::-1] if round_ % 2 else order


@dataclass(frozen=True, slots=True)
class _Block:
    """`length` operations, or one of `spans` if only these can be timed, repeated `passes` times."""

    length: int
    passes: int
    spans: Sequence[tuple[int, int]] = ()

    def span(self, round_: int, operations: int) -> tuple[int, int]:
        """The operations of a round: [begin, end)."""
        if self.spans:
            return self.spans[round_ % len(self.spans)]
        begin = round_ * self.length % (operations - self.length + 1)
        return begin, begin + self.length


def _calibrate(task: Task, cost: Sequence[float], making: float, seconds: float) -> _Block:
    """A block such that a round of all strategies takes `seconds`, but never too short to be timed.

    `cost` is in nanoseconds per operation, and so is `making`: the cost of making all strategies again for each pass.
    """
    longest = min(seconds * 1e9 / (sum(cost) + making), LONGEST_BLOCK_NS / max(cost))
    wanted = max(longest, task.shortest_block_ns / max(cost))
    if task.sliceable:
        return _Block(max(1, min(task.operations, int(wanted))), 1)
    spans = _spans(task, int(wanted))
    length = max(end - begin for begin, end in spans)
    return _Block(length, max(1, int(wanted / length)), spans)


def _spans(task: Task, wanted: int) -> list[tuple[int, int]]:
    """The operations in parts of about `wanted`, each of which ends with the slots with which it begins."""
    found: list[tuple[int, int]] = []
    begin = 0
    for cut in task.cuts[1:] or (task.operations,):
        if cut - begin >= wanted or cut == task.operations:
            found.append((begin, cut))
            begin = cut
    return found


def _time_block(task: Task, runner: _Runner, begin: int, end: int, passes: int, mode: Mode) -> float:
    """Nanoseconds per operation, after a part of the same work as warm-up."""
    if task.sliceable:
        # Up to the next slot change only: the block itself begins with the slots of its first operation.
        runner.time(begin, min(begin + max((end - begin) // 8, 1), task.timeline.same_slots_until(begin)), mode)
    elif not task.restarts:
        runner.time(begin, end, mode)
    total = sum(runner.time(begin, end, mode) for _ in range(passes))
    return max(total, 1) / ((end - begin) * passes)


class _Guard:
    """Converts a wrong answer to the runner's fault, so that the other strategies continue."""

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, BrokenStrategy | AssertionError):
            self._runner.fault = str(error)
            return True
        return False
