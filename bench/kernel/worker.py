"""The process that measures: one VM, and the same slots in a strategy, pinned to one CPU.

A process of its own, because thousands of slots, their memory and the MMU notifiers must not stay with the caller; and
one for each VM, because an invalidation is told to every VM of a process.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

import _slotlookup_native as native
import numpy as np

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.errors import BrokenStrategy, present
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import LOG_DIRTY_PAGES
from slotlookup.registry import make_strategy
from slotlookup.stream import Words
from slotlookup.vocabulary import Placement, Role

from .layout import BASE_GFN, REGION_PAGES, Layout, Pattern, asked_pages, expected_checksum, numbers_in_order, regions

STRATEGY = "kvm-5.17"
"""What the kernel is compared with: rbtree by gfn, interval tree by hva, the last slot used."""
PLACEMENT = Placement.SLAB
SEED = 1
DISPLACED: dict[str, int] = {Role.GFN: 1 << 10, Role.HVA: 16 << 10}
"""Bytes walked before each search where a strategy is called as the kernel calls its own: see docs/kernel-truth.md."""
BATCHES = {1: 128, 64: 64, 1024: 16}
"""Questions between two looks at the clock, by pages a question: as many as a call of the kernel takes, or few enough
that hardly a batch is interrupted."""
CHANGES = ("add", "log_on", "log_off", "move", "delete")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of `count` questions to be timed, asked of a layout of `slots` slots, whatever the worker holds.

    `how`: kernel; hot (the strategy, one question after another); called (the strategy as the kernel calls its own);
    bare (the kernel's call without a lookup).
    """

    how: str
    pattern: Pattern
    slots: int
    count: int
    seed: int


class Worker:
    """What a measuring process holds. Raises OSError where the kernel refuses, BrokenStrategy at a wrong answer."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.memory = native.SlotMemory(REGION_PAGES * PAGE_SIZE)
        self.layout = Layout(1, self.memory.hva)
        self.vm: native.KernelVm | None = None
        self.calls: native.KernelCalls | None = None

    def limit(self) -> tuple[int, bool]:
        """The most slots of a VM, and whether the kernel takes many ranges of madvise a call."""
        return native.KernelVm(self.device).most_slots, self.memory.batched

    def close(self) -> None:
        """Give up the VM, so that nobody is told of invalidations."""
        self.vm = self.calls = None

    def build(self, slots: int, aside: bool, seed: int) -> float:
        """A new VM and a new strategy with the same slots; how many seconds the kernel took for its own."""
        self.close()
        self.layout = Layout(slots, self.memory.hva, aside)
        creations = self.layout.creations(seed)
        self.vm = native.KernelVm(self.device)
        started = monotonic()
        self.vm.set(regions(creations))
        spent = monotonic() - started
        strategy = make_strategy(STRATEGY, placement=PLACEMENT, seed=seed)
        if not isinstance(strategy, NativeStrategy):
            raise TypeError(f"{STRATEGY} is not a native strategy")
        strategy.load_table(creations)
        self.calls = native.KernelCalls(strategy.native, numbers_in_order(creations))
        return spent

    def time(self, block: Block) -> float:
        """Nanoseconds an operation: the median over the block's batches, most of which no interrupt falls into.

        The block's first half has run before, so that it meets what it left behind.
        """
        pages = asked_pages(block.pattern, block.slots, block.count, block.seed)
        self._time(block, pages[: block.count // 2])
        return round(float(np.median(self._time(block, pages))) / BATCHES[block.pattern.pages], 2)

    def _time(self, block: Block, pages: Words) -> list[int]:
        if block.pattern.role == Role.GFN:
            return self._time_gfns(block, pages)
        return self._time_hvas(block, pages)

    def _time_gfns(self, block: Block, pages: Words) -> list[int]:
        gfns = pages + np.uint64(BASE_GFN)
        if block.how in ("kernel", "bare"):
            return present(self.vm, "the kernel's VM").time_lookups(
                gfns << np.uint64(PAGE_SHIFT), block.how == "kernel"
            )
        calls = present(self.calls, "the strategy to time")
        if block.how == "called":
            return calls.time_gfns(gfns, BATCHES[1], DISPLACED[Role.GFN])
        spent, checksum = calls.replay_gfns(gfns, BATCHES[1])
        self._require(checksum, expected_checksum(pages, 1, self.layout))
        return spent

    def _time_hvas(self, block: Block, pages: Words) -> list[int]:
        length = block.pattern.pages
        starts = np.uint64(self.memory.hva) + (pages << np.uint64(PAGE_SHIFT))
        ends = starts + np.uint64(length * PAGE_SIZE)
        if block.how == "kernel":
            return self.memory.time_drops(starts, ends, BATCHES[length])
        calls = present(self.calls, "the strategy to time")
        if block.how == "called":
            return calls.time_hvas(starts, ends, BATCHES[length], DISPLACED[Role.HVA])
        # invalidate_range_start searches, and so does invalidate_range_end.
        spent, checksum = calls.replay_hvas(np.repeat(starts, 2), np.repeat(ends, 2), 2 * BATCHES[length])
        self._require(checksum, 2 * expected_checksum(pages, length, self.layout))
        return spent

    def _require(self, got: int, expected: int) -> None:
        if got != expected:
            raise BrokenStrategy(
                f"{STRATEGY}: answers in a timed block were not those of the {self.layout.slots} slots there are"
            )

    def time_changes(self, rounds: int) -> dict[str, list[int]]:
        """Nanoseconds of each call that adds a slot behind all others, re-flags it both ways, moves and deletes it.

        Where the VM has as many slots as it may have, the last one makes room first.
        """
        vm = present(self.vm, "the kernel's VM")
        number = min(self.layout.slots, vm.most_slots - 1)
        if number < self.layout.slots:
            vm.set(np.array([[number, 0, 0, 0, 0]], dtype=np.uint64))
        spare = native.SlotMemory(PAGE_SIZE * 4)
        spent: dict[str, list[int]] = {name: [] for name in CHANGES}
        first = (BASE_GFN + REGION_PAGES) << PAGE_SHIFT
        for _ in range(rounds):
            for name, flags, gpa, size in (
                ("add", 0, first, PAGE_SIZE),
                ("log_on", LOG_DIRTY_PAGES, first, PAGE_SIZE),
                ("log_off", 0, first, PAGE_SIZE),
                ("move", 0, first + PAGE_SIZE, PAGE_SIZE),
                ("delete", 0, first + PAGE_SIZE, 0),
            ):
                call = np.array([[number, flags, gpa, size, spare.hva]], dtype=np.uint64)
                spent[name] += vm.time_set(call)
        return spent


def serve(connection: Connection, device: str, cpu: int) -> None:
    """Answer requests (name, arguments) with (whether it went well, answer or what was wrong) until told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends this process
    os.sched_setaffinity(0, {cpu})
    with suppress(PermissionError):  # without root others interrupt us more often, and the medians have to cope
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    worker: Worker | None = None
    while True:
        try:
            request: tuple[str, tuple[Any, ...]] | None = connection.recv()
        except (EOFError, ConnectionError):
            return  # the caller is gone
        if request is None:
            return
        name, arguments = request
        answer: tuple[bool, Any]
        try:
            worker = worker or Worker(device)
            answer = (True, getattr(worker, name)(*arguments))
        except (OSError, BrokenStrategy) as error:
            answer = (False, str(error))
        try:
            connection.send(answer)
        except ConnectionError:
            return
