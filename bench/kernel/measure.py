"""The measurement of kernel and tool, in alternation, so that disturbances of the machine affect both equally."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _slotlookup_native as native

from slotlookup.errors import SlotlookupError, UsageError
from slotlookup.vocabulary import Role

from ..measure.machine import describe_machine
from ..measure.run_options import Report
from ..sweep.crossover import count_of_slots
from .figures import SCHEMA_VERSION, Baselines, Changes, Lookups, Measurement, Point, Series
from .layout import PATTERNS, Pattern
from .worker import DISPLACED, PLACEMENT, SEED, STRATEGY, Block, serve

DEVICE = "/dev/kvm"
DEFAULT_SLOTS = (1, 2, 8, 32, 128, 512, 2048, 8192)
"""The default slot counts, to which the kernel's limit is added."""
QUICK_SLOTS = (1, 8, 128, 2048)
HOWS = ("kernel", "hot", "called")


@dataclass(frozen=True, slots=True)
class Effort:
    """`rounds` per point, on up to `builds` VMs; `changes` is the number of timed slot changes.

    Both are even, so that each process has each role equally often.
    """

    rounds: int
    builds: int
    changes: int


EFFORTS = {"quick": Effort(8, 2, 20), "default": Effort(16, 4, 60)}
WARM_UP = Effort(2, 2, 1)
BUILD_SECONDS = 4.0
"""The maximum time in seconds for filling VMs with slots at a point, except for the first VM."""
BLOCKS = {(Role.GFN, 1): 1 << 14, (Role.HVA, 1): 1 << 11, (Role.HVA, 64): 1 << 10, (Role.HVA, 1024): 1 << 9}
"""The minimum number of operations in a block."""


class WorkerFault(SlotlookupError):
    """A measuring process reported an error or has ended."""


class Client:
    """The caller's end of a measuring process."""

    def __init__(self, device: str, cpu: int) -> None:
        # A forked process would inherit the thread that draws the progress bar.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, device, cpu, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *arguments: object) -> Any:
        """Call a method of the process's Worker. Raises WorkerFault."""
        try:
            self._connection.send((name, arguments))
            well, answer = self._connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise WorkerFault("a measuring process was killed (out of memory?); use fewer --slots") from None
        if not well:
            raise WorkerFault(str(answer))
        return answer

    def end(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.terminate()
        self._process.join()


@contextmanager
def clients(device: str) -> Iterator[tuple[Client, Client]]:
    """Two measuring processes, on the last permitted CPU; they end with the block."""
    cpu = max(os.sched_getaffinity(0))
    one = Client(device, cpu)
    try:
        many = Client(device, cpu)
        try:
            yield one, many
        finally:
            many.end()
    finally:
        one.end()


def missing(device: str) -> str | None:
    """The reason why measuring is not possible, with the remedy; None if it is."""
    try:
        native.KernelVm(device)
    except OSError as error:
        remedies = {
            errno.ENOENT: "load the kvm module of your processor, or let the hypervisor allow nested guests",
            errno.EACCES: "run as root or as a member of the group that owns it",
            errno.EPERM: "run as root or as a member of the group that owns it",
            errno.EBUSY: "another hypervisor holds the processor's virtualisation",
        }
        remedy = remedies.get(error.errno or 0, "it must be the device of KVM")
        return f"the kernel cannot be measured: {error.strerror}; {remedy}"
    return None


def measure(wanted: Sequence[int], effort: Effort, device: str, report: Report) -> Measurement:
    """Measure at each slot count of `wanted`; empty means the default ones up to the kernel's limit.

    Raises SlotlookupError if the kernel cannot be measured, UsageError if it does not allow so many slots.
    """
    if reason := missing(device):
        raise SlotlookupError(f"{reason} (--recorded shows a recorded measurement)")
    machine = describe_machine()
    with clients(device) as (one, many):
        limit, batched = one.ask("limit")
        counts = tuple(wanted) or (*(n for n in DEFAULT_SLOTS if n < limit), limit)
        if max(counts) > limit:
            raise UsageError(
                f"--slots: {max(counts):,} is more than the {limit:,} slots per VM that this kernel allows"
            )
        report("baselines", 0.0)
        baselines = _baselines(one, effort)
        # Discarded: the first VMs of two processes have differed by 90 ns per invalidation, later ones have not.
        _point(one, many, 2, WARM_UP)
        points: list[Point] = []
        for done, slots in enumerate(counts):
            report(count_of_slots(slots), done / len(counts))
            points.append(_point(one, many, slots, effort))
    return Measurement(
        schema_version=SCHEMA_VERSION,
        machine=machine,
        strategy=STRATEGY,
        placement=PLACEMENT,
        displaced=dict(DISPLACED),
        limit=limit,
        batched=batched,
        rounds=effort.rounds,
        baselines=baselines,
        points=points,
    )


def _baselines(one: Client, effort: Effort) -> Baselines:
    gfn, hva = Pattern(Role.GFN, "random"), Pattern(Role.HVA, "hole")
    many = range(effort.rounds)
    one.ask("close")
    no_vm = [one.ask("time", Block("kernel", hva, 2, BLOCKS[Role.HVA, 1], seed)) for seed in many]
    one.ask("build", 1, True, SEED)
    no_slot = [one.ask("time", Block("kernel", hva, 2, BLOCKS[Role.HVA, 1], seed)) for seed in many]
    one.ask("build", 1, False, SEED)
    no_lookup = [one.ask("time", Block("bare", gfn, 2, BLOCKS[Role.GFN, 1], seed)) for seed in many]
    return Baselines(gfn_no_lookup=no_lookup, hva_no_vm=no_vm, hva_no_slot=no_slot)


def _point(one: Client, many: Client, slots: int, effort: Effort) -> Point:
    patterns = [
        pattern for pattern in PATTERNS if slots > 1 or pattern.order != "hole"
    ]  # with one slot there are no others
    taken: dict[Pattern, dict[str, tuple[list[float], list[float]]]] = {
        pattern: {how: ([], []) for how in HOWS} for pattern in patterns
    }
    builds = effort.builds
    fill = 0.0
    build = 0
    while build < builds:
        if build:  # the placement of a process in memory costs some nanoseconds: each VM is measured in both processes
            one, many = many, one
        spent = many.ask("build", slots, False, SEED + build)
        if build == 0:
            fill = spent * 1e9 / slots
            builds = max(1, min(effort.builds, int(BUILD_SECONDS / max(spent, 1e-9))))
        for aside in (False, True):
            one.ask("build", 1, aside, SEED + build)
            for pattern in patterns:
                if (pattern.order == "hole") == aside:
                    for round_ in range(build, effort.rounds, builds):
                        _round(one, many, pattern, slots, round_, taken[pattern])
        build += 1
    one.ask("close")
    changes = many.ask("time_changes", effort.changes)
    many.ask("close")
    return Point(
        slots=slots,
        builds=builds,
        lookups=[
            Lookups.model_validate(
                {
                    "role": pattern.role,
                    "order": pattern.order,
                    "pages": pattern.pages,
                    "operations": _block_length(pattern, slots),
                    **{how: Series(one=ones, many=manys) for how, (ones, manys) in taken[pattern].items()},
                }
            )
            for pattern in patterns
        ],
        changes=Changes(fill=fill, **{name: [float(ns) for ns in spent] for name, spent in changes.items()}),
    )


def _block_length(pattern: Pattern, slots: int) -> int:
    """A power of two; if a question is one page, the half that warms up touches every slot."""
    least = BLOCKS[pattern.role, pattern.pages]
    return least if pattern.pages > 1 else max(least, 1 << (2 * slots - 1).bit_length())


def _round(
    one: Client,
    many: Client,
    pattern: Pattern,
    slots: int,
    round_: int,
    taken: dict[str, tuple[list[float], list[float]]],
) -> None:
    """One sample of each; the order rotates, and reverses every other time, so that no pair has a fixed order."""
    turns = [(how, who) for how in HOWS for who in (0, 1)]
    turn = round_ // 2 % len(turns)
    order = turns[turn:] + turns[:turn]
    count = _block_length(pattern, slots)
    for how, who in order[::-1] if round_ % 2 else order:
        ns = (one, many)[who].ask("time", Block(how, pattern, slots, count, SEED + round_))
        taken[how][who].append(ns)


def recorded_path() -> Path:
    """The measurement of one machine that ships with slotlookup."""
    return Path(__file__).parent.parent / "data" / "kernel.json"
