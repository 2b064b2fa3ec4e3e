"""The measuring process: one VM, and the same slots in a strategy, pinned to one CPU.

It is a separate process, because thousands of slots, their memory and the MMU notifiers must not remain in the caller;
and there is one per VM, because the notifiers of every VM of a process are called for an invalidation.
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
from slotlookup.arrays import Words
from slotlookup.children import end_with_parent
from slotlookup.errors import BrokenStrategy, present
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import LOG_DIRTY_PAGES
from slotlookup.registry import make_strategy
from slotlookup.vocabulary import Placement, Role

from .layout import BASE_GFN, REGION_PAGES, Layout, Pattern, asked_pages, expected_checksum, numbers_in_order, regions

STRATEGY = "kvm-5.17"
"""The strategy with which the kernel is compared: rbtree by gfn, interval tree by hva, the last slot used."""
PLACEMENT = Placement.SLAB
SEED = 1
DISPLACED: dict[str, int] = {Role.GFN: 1 << 10, Role.HVA: 16 << 10}
"""Bytes walked before each search if a strategy is called as the kernel calls its own: see docs/kernel-truth.md."""
BATCHES = {1: 128, 64: 64, 1024: 16}
"""Questions between two readings of the clock, by pages per question: as many as one call of the kernel accepts, or so
few that a batch is rarely interrupted."""
CHANGES = ("add", "log_on", "log_off", "move", "delete")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of `count` questions to be timed, for a layout of `slots` slots, whatever slots the worker has.

    `how`: kernel; hot (the strategy, one question after another); called (the strategy as the kernel calls its own);
    bare (the kernel's call without a lookup).
    """

    how: str
    pattern: Pattern
    slots: int
    count: int
    seed: int


class Worker:
    """The state of a measuring process. Raises OSError if the kernel refuses, BrokenStrategy at a wrong answer."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.memory = native.SlotMemory(REGION_PAGES * PAGE_SIZE)
        self.layout = Layout(1, self.memory.hva)
        self.vm: native.KernelVm | None = None
        self.calls: native.KernelCalls | None = None

    def limit(self) -> tuple[int, bool]:
        """The maximum number of slots of a VM, and whether the kernel accepts many ranges of madvise per call."""
        return native.KernelVm(self.device).most_slots, self.memory.batched

    def close(self) -> None:
        """Close the VM, so that invalidations call no notifier."""
        self.vm = self.calls = None

    def build(self, slots: int, aside: bool, seed: int) -> float:
        """A new VM and a new strategy with the same slots; returns the seconds that the kernel took for its slots."""
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
        """Nanoseconds per operation: the median over the block's batches, most of which are not interrupted.

        The block's first half runs before as warm-up.
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
                f"{STRATEGY}: answers in a timed block were not those of the {self.layout.slots} slots"
            )

    def time_changes(self, rounds: int) -> dict[str, list[int]]:
        """Nanoseconds of each call that adds a slot after all others, re-flags it both ways, moves and deletes it.

        If the VM has the maximum number of slots, the last one is deleted first.
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


def serve(connection: Connection, device: str, cpu: int, parent: int) -> None:
    """Answer requests (name, arguments) with (success, answer or error) until the request to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends this process
    end_with_parent(parent)
    os.sched_setaffinity(0, {cpu})
    with suppress(PermissionError):  # without root other processes interrupt more often, which the medians must absorb
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    worker: Worker | None = None
    while True:
        try:
            request: tuple[str, tuple[Any, ...]] | None = connection.recv()
        except (EOFError, ConnectionError):
            return  # the caller has ended
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
