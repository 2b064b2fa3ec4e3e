"""One strategy with one role's questions: how it is checked, counted and timed, in every family.

All answers of the timed and of the counting instance are compared with the oracle. Each timed block returns a checksum
that must match the right answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns
from typing import Any, TypeVar

import numpy as np

from slotlookup.address import SlotNumber
from slotlookup.arrays import Numbers, Words
from slotlookup.errors import BrokenStrategy
from slotlookup.families.native import HOT, Mode
from slotlookup.memslots import Memslot, by_number, follow
from slotlookup.oracle import expected_gfns, expected_hvas
from slotlookup.questions import Questions
from slotlookup.registry import make_strategy
from slotlookup.strategy import SelfTimed, Strategy
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, change_at, change_table, one_segment
from slotlookup.stream import Timeline as StreamTimeline
from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode

from ..results.model import RoleResult

PYTHON_OPERATIONS = 20_000
"""Python strategies replay at most this many operations of each role."""
PYTHON_CHANGES = 512
"""Of slot changes fewer: each costs tens of microseconds, and they are always replayed whole."""
PYTHON_EXAMINED = 5_000_000
"""The maximum of operations times slots: some tenths of a second for a scan of a plain list."""
EMPTY = "empty"
"""The native structure that finds nothing: its cost is the loop's own cost."""
PERFECT = "perfect"
"""The native structure that knows the answers and reads only their slots: its cost is the floor of any structure."""
MakeStrategy = Callable[..., Strategy]
"""`make_strategy` with the placement, seed and patience of a command: `(text, *, counted=False)`."""
_Stream = TypeVar("_Stream", GfnStream, HvaStream)
EDGES_LOOKED_AT = 2_048
"""After slot changes the edges of at most this many slots are looked up: a scan for each of n slots costs n squared."""

EDGES_AND_SLOTS = 1 << 22
"""Of more slots fewer are looked at, so that the two multiplied stay below this, until LEAST_LOOKED_AT."""
LEAST_LOOKED_AT = 64


class Task(ABC):
    """A role's questions with their right answers, common to all strategies."""

    role: Operation
    modes: tuple[TimingMode, ...] = tuple(TimingMode)
    """The timings of this role."""
    operations: int
    sliceable: bool
    """Whether any part of the operations can be timed alone; if not, only parts between `cuts` can."""
    cuts: Sequence[int] = ()
    """Numbers of operations, ascending, after which the slots are the starting ones; 0 and all operations are always in
    it. If there are none, all operations are replayed; of a sliceable task they are not used."""
    restarts: bool
    """Whether the operations change the slots, so that each pass needs a new strategy."""
    shortest_block_ns = 200_000
    """The slowest strategy's shortest block: long against a clock read (25 ns) and an interrupt (microseconds)."""
    timeline: StreamTimeline = StreamTimeline(np.zeros((0, 3), dtype=np.uint64), change_table(()))
    """The slot changes between the operations, which are followed outside the timed region."""

    def __init__(self, questions: Questions, make: MakeStrategy) -> None:
        self.questions = questions
        self.make = make

    @abstractmethod
    def verify(self, strategy: Strategy) -> None:
        """Check all answers of a newly loaded strategy. Raises BrokenStrategy at the first wrong answer."""

    @abstractmethod
    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        """Nanoseconds for operations [begin, end), which are always hot for Python strategies.

        `applied` is the number of the timeline's changes that the strategy has followed; it follows the others up to
        `end`. Raises BrokenStrategy if the checksum of the answers is wrong.
        """

    def verify_timed(self, strategy: Strategy, end: int) -> None:  # noqa: B027 - answers are checked in `time`
        """Check what timed operations that end at `end` left behind, if they have no answers. Raises BrokenStrategy.

        The strategy is not used after it.
        """

    def load(self, text: str, *, counted: bool = False) -> Strategy:
        """A new strategy with the starting slots."""
        strategy = self.make(text, counted=counted)
        strategy.load_table(self.questions.start)
        return strategy

    def count(self, text: str) -> RoleResult:
        """Counts per operation of a counting instance, whose answers are also verified; none without operations."""
        strategy = self.load(text, counted=True)
        strategy.reset_counters()
        self.verify(strategy)
        return self._result(strategy)

    def _result(self, strategy: Strategy) -> RoleResult:
        counters = strategy.counters()

        def mean(total: int | None) -> float | None:
            return None if total is None or not self.operations else total / self.operations

        counts: dict[str, Any] = {name: mean(getattr(counters, name)) for name in Count}
        return RoleResult(self.operations, **counts, slot_stride=strategy.stride())


def _first_difference(strategy: Strategy, what: str, got: Numbers, expected: Numbers, asked: Words) -> None:
    if len(got) != len(expected):
        raise BrokenStrategy(f"{strategy.name}: {len(got)} answers to {len(expected)} {what}")
    wrong = np.flatnonzero(got != expected)
    if len(wrong):
        i = int(wrong[0])
        raise BrokenStrategy(
            f"{strategy.name}: {what} {i} ({int(asked[i]):#x}): answered slot {int(got[i])}; the right answer is "
            f"{int(expected[i])}; {len(wrong):,} of {len(expected):,} are wrong"
        )


class GfnTask(Task):
    """gfn lookups."""

    role = Operation.GFN

    def __init__(self, questions: Questions, limit: int, make: MakeStrategy = make_strategy) -> None:
        super().__init__(questions, make)
        self.stream = questions.gfn.part(0, limit)
        self.operations = len(self.stream)
        self.timeline = self.stream.timeline
        self.sliceable = True
        self.restarts = False
        self.expected = expected_gfns(questions.start_slots, self.stream)
        self._sums = np.concatenate([[0], np.cumsum(self.expected.astype(np.int64) + 1)])

    def verify(self, strategy: Strategy) -> None:
        got = strategy.answer_gfns(self.stream)
        _first_difference(strategy, "gfn lookup", got, self.expected, self.stream.gfns)

    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        stream = self.stream.part(begin, end, applied)
        if isinstance(strategy, SelfTimed):
            ns, checksum = strategy.replay_gfns(stream, mode)
        else:
            ns, checksum = _time_answers(strategy, stream, lambda part: strategy.answer_gfns(part))
        _require_checksum(strategy, "gfn lookups", checksum, int(self._sums[end] - self._sums[begin]))
        return ns


class HvaTask(Task):
    """hva visits."""

    role = Operation.HVA

    def __init__(self, questions: Questions, limit: int, make: MakeStrategy = make_strategy) -> None:
        super().__init__(questions, make)
        self.stream = questions.hva.part(0, limit)
        self.operations = len(self.stream)
        self.timeline = self.stream.timeline
        self.sliceable = True
        self.restarts = False
        self.expected = expected_hvas(questions.start_slots, self.stream)
        ends = np.concatenate([[0], np.cumsum(self.expected.counts)]).astype(np.int64)
        self._sums = np.concatenate([[0], np.cumsum(self.expected.numbers.astype(np.int64) + 1)])[ends]

    def verify(self, strategy: Strategy) -> None:
        got = strategy.answer_hvas(self.stream)
        if not np.array_equal(got.counts, self.expected.counts):
            i = int(np.flatnonzero(got.counts != self.expected.counts)[0])
            raise BrokenStrategy(
                f"{strategy.name}: hva visit {i} ({int(self.stream.starts[i]):#x} to {int(self.stream.ends[i]):#x}): "
                f"found {int(got.counts[i])} slots; the right number is {int(self.expected.counts[i])}"
            )
        question = np.repeat(self.stream.starts, got.counts.astype(np.int64))
        _first_difference(strategy, "slot of an hva visit", got.numbers, self.expected.numbers, question)

    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        stream = self.stream.part(begin, end, applied)
        if isinstance(strategy, SelfTimed):
            ns, checksum = strategy.replay_hvas(stream, mode)
        else:
            ns, checksum = _time_answers(strategy, stream, lambda part: strategy.answer_hvas(part).numbers)
        _require_checksum(strategy, "hva visits", checksum, int(self._sums[end] - self._sums[begin]))
        return ns


class _Edges:
    """Lookups and visits at the edges of `slots`, with their right answers.

    Of more than `most` slots, those created last and an even selection of the others.
    """

    def __init__(self, slots: Iterable[Memslot], most: int) -> None:
        every = list(slots)
        self._held = len(every)
        half = max(most // 2, 1)
        older = every[:-half]
        looked_at = older[:: -(-len(older) // half) or 1] + every[-half:]
        nothing = np.zeros((0, 6), dtype=np.uint64)
        edges: list[tuple[int, int]] = []
        for slot in looked_at:
            edges += [
                (slot.as_id, gfn) for gfn in (max(slot.base_gfn - 1, 0), slot.base_gfn, slot.end_gfn - 1, slot.end_gfn)
            ]
        edges.sort()
        self._probes: list[tuple[GfnStream, Numbers]] = []
        for as_id in sorted({a for a, _ in edges}):
            gfns = np.array([g for a, g in edges if a == as_id], dtype=np.uint64)
            stream = GfnStream(gfns, StreamTimeline(one_segment(len(gfns), as_id), nothing))
            self._probes.append((stream, expected_gfns(every, stream)))
        starts = np.array([slot.userspace_addr for slot in looked_at], dtype=np.uint64)
        ends = np.array([slot.userspace_end for slot in looked_at], dtype=np.uint64)
        self._visits = HvaStream(starts, ends, StreamTimeline(one_segment(len(starts)), nothing))
        self._met: HvaAnswers = expected_hvas(every, self._visits)

    def look(self, strategy: Strategy) -> None:
        """Raise BrokenStrategy if `strategy` does not hold the slots, or finds others."""
        strategy.check()
        if len(strategy) != self._held:
            raise BrokenStrategy(f"{strategy.name}: holds {len(strategy)} slots after the changes, not {self._held}")
        for stream, expected in self._probes:
            got = strategy.answer_gfns(stream)
            _first_difference(strategy, "gfn lookup after the changes", got, expected, stream.gfns)
        met = strategy.answer_hvas(self._visits)
        if not (np.array_equal(met.counts, self._met.counts) and np.array_equal(met.numbers, self._met.numbers)):
            raise BrokenStrategy(f"{strategy.name}: hva visits after the changes find wrong slots")


class UpdateTask(Task):
    """Slot changes. After them, and after the timed ones, the edges of slots are looked up: a lost slot is detected."""

    role = Operation.UPDATE
    # A change returns no answer for which the next could wait.
    modes = tuple(mode for mode in TimingMode if not mode.waits)

    def __init__(self, questions: Questions, limit: int, make: MakeStrategy = make_strategy) -> None:
        super().__init__(questions, make)
        self.changes = questions.update[:limit]
        self.operations = len(self.changes)
        self.sliceable = False
        held, self.cuts = _follow_to_cuts(questions, self.changes)
        self.restarts = held != by_number(questions.start_slots)
        looked_at = min(EDGES_LOOKED_AT, limit, max(EDGES_AND_SLOTS // max(len(held), 1), LEAST_LOOKED_AT))
        self._after = _Edges(held.values(), looked_at)
        # Between two cuts, and after changes that end as they began, the slots are the starting ones.
        self._between = _Edges(questions.start_slots, looked_at) if self.restarts else self._after
        # Half of a stretch: whoever leaves out a deletion and the creation that follows it is right at every cut.
        self._half = self.changes[: (self.cuts[1] + 1) // 2 if len(self.cuts) > 1 else 0]
        self._inside = _Edges(_follow_to_cuts(questions, self._half)[0].values(), looked_at)

    def verify(self, strategy: Strategy) -> None:
        strategy.apply_table(self.changes)
        self._after.look(strategy)

    def count(self, text: str) -> RoleResult:
        strategy = self.load(text, counted=True)
        strategy.reset_counters()
        strategy.apply_table(self.changes)
        result = self._result(strategy)
        self._after.look(strategy)
        return result

    def verify_timed(self, strategy: Strategy, end: int) -> None:
        if strategy.name == EMPTY:
            return
        if end == self.operations and self.restarts:
            self._after.look(strategy)
            return
        self._between.look(strategy)
        self.time(strategy, 0, len(self._half), HOT)
        self._inside.look(strategy)

    def time(self, strategy: Strategy, begin: int, end: int, mode: Mode, applied: int = 0) -> int:
        changes = self.changes[begin:end]
        if isinstance(strategy, SelfTimed):
            return strategy.replay_changes(changes, mode)
        accepted = [change_at(changes, row) for row in range(len(changes))]
        started = perf_counter_ns()
        for change in accepted:
            strategy.apply(change)
        return perf_counter_ns() - started


def _follow_to_cuts(questions: Questions, changes: Words) -> tuple[dict[SlotNumber, Memslot], tuple[int, ...]]:
    """The slots held after all changes, by number; and the cuts of the task."""
    start = by_number(questions.start_slots)
    held = dict(start)
    differ: set[SlotNumber] = set()
    cuts = [0]
    for row in range(len(changes)):
        change = change_at(changes, row)
        follow(held, change)
        number = change.slot.number
        (differ.discard if held.get(number) == start.get(number) else differ.add)(number)
        if not differ or row + 1 == len(changes):
            cuts.append(row + 1)
    return held, tuple(cuts)


def _time_answers(strategy: Strategy, stream: _Stream, answer: Callable[[_Stream], Numbers]) -> tuple[int, int]:
    """Nanoseconds of the answers alone, and their checksum. The slot changes between segments are not timed."""
    ns = checksum = applied = begin = 0
    for end, _, changes in stream.timeline.segments.tolist():
        strategy.apply_table(stream.timeline.changes[applied:changes])
        applied = changes
        part = stream.part(begin, end, applied)
        started = perf_counter_ns()
        numbers = answer(part)
        ns += perf_counter_ns() - started
        checksum += int((numbers.astype(np.int64) + 1).sum())
        begin = end
    return ns, checksum


def _require_checksum(strategy: Strategy, what: str, got: int, expected: int) -> None:
    # The empty strategy measures the loop's own cost; its answers are expected to be holes.
    if got != (0 if strategy.name == EMPTY else expected):
        raise BrokenStrategy(f"{strategy.name}: {what} in a timed block gave other answers than in the verification")


TASKS: dict[str, type[GfnTask | HvaTask | UpdateTask]] = {task.role: task for task in (GfnTask, HvaTask, UpdateTask)}
"""By role."""


def operations_limit(role: str, family: Family, questions: Questions) -> int:
    """The most operations of a role that a strategy of `family` replays, in every command.

    Native strategies replay all operations of every role. Python strategies replay fewer, as all would take minutes.
    """
    if family is Family.NATIVE:
        return max(len(questions.gfn), len(questions.hva), len(questions.update))
    slots = max(len(questions.start_slots), 1)
    most = PYTHON_CHANGES if role == Operation.UPDATE else PYTHON_OPERATIONS
    return min(most, max(PYTHON_EXAMINED // slots, 1))


def make_task(role: str, family: Family, questions: Questions, make: MakeStrategy = make_strategy) -> Task:
    """A role's task with as many operations as strategies of `family` replay."""
    return TASKS[role](questions, operations_limit(role, family, questions), make)
