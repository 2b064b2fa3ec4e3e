"""Runs the recorded guest that touches 64 slots on the model, to predict its number of faults.

The guest's program is deterministic: rounds of 512 accesses, drawn by xorshift, that end with a store to a hole. So are
the host's operations on its memory, but not their times. The recorded faults serve as the clock: each host operation is
placed after the access whose fault was the last one recorded before it, or within that fault if its spte was not yet
requested. They have no other use.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from host_recording import DATA, FaultLine, read_fault_lines

from slotlookup.model.host import Host
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

SLOTS, SLOT_PAGES, ROUND = 64, 1024, 512
PAGES = SLOTS * SLOT_PAGES
FIRST_GFN, STRIDE = 0x10000, SLOT_PAGES + 16
CODE, LIST, HOLE_GFN = 0x40, 0x100, 0x3FFFFF
WORD = (1 << 64) - 1


def xorshift(state: int) -> Iterator[int]:
    """Marsaglia's generator of 64 bits with shifts 13, 7, 17."""
    while True:
        state ^= state << 13 & WORD
        state ^= state >> 7
        state ^= state << 17 & WORD
        yield state


def guest_rounds() -> Iterator[tuple[np.ndarray, bool]]:
    """The gfns of each round, and whether it writes."""
    draw = xorshift(12345)
    while True:
        gfns = np.empty(ROUND, dtype=np.int64)
        for i in range(ROUND):
            value = next(draw)
            u = float(value >> 11) / 9007199254740992.0
            page = int(PAGES * u * u * u)
            gfns[i] = FIRST_GFN + page // SLOT_PAGES * STRIDE + page % SLOT_PAGES
        yield gfns, bool(value >> 5 & 1)


def host_operations() -> Iterator[tuple[str, int, int]]:
    """What the host does: "dontneed" or "free", first page of its region, number of pages."""
    draw = xorshift(88172645463325252)
    for _ in range(SLOTS - 1):
        next(draw)  # the order of the slots in host memory
    k = 0
    while True:
        which = next(draw) % 10
        page = next(draw) % PAGES
        length = 1
        if which == 0:
            length = 1 + next(draw) % 16
        elif which == 1:
            length = 512
        elif which == 2:
            length = 1 + next(draw) % 1024
        free = which == 9 and k % 16 == 0
        yield "free" if free else "dontneed", page, min(length, PAGES - page)
        k += 1


@dataclass
class Prediction:
    """Faults on the guest's data, recorded and predicted, in all and by round."""

    recorded: list[int]
    predicted: list[int]
    accesses: int
    misplaced: int
    """Host operations whose recorded range was not the one expected."""


def predict(most: int = 20, prefetch: bool = True) -> Prediction:
    """Play the recording, or its first `most` rounds."""
    lines = read_fault_lines()
    host = Host(1 << 30)
    vm = Vm(make_strategy("kvm-5.17"), host, paging="shadow" if prefetch else "ept")
    with (DATA / "faults-64-slots.slots.csv").open() as file:
        rows = [{key: int(value, 0) for key, value in row.items()} for row in csv.DictReader(file)]
    base = min(row["hva"] for row in rows if row["slot"])
    host.mmap(SLOTS * SLOT_PAGES << 12, base)
    for row in rows:
        if not row["slot"]:
            host.mmap(row["size"], row["hva"])
            host.write(row["hva"] + (CODE << 12))
            host.write(row["hva"] + (LIST << 12))
        vm.set_user_memory_region(row["slot"], row["gpa"], row["size"], row["hva"])
    vm.start()
    guest = next(line.task for line in lines if not line.end)
    within: list[list[FaultLine]] = []

    def perform(line: FaultLine) -> None:
        kind, page, count = next(operations)
        expected = (base + (page << 12), base + ((page + count) << 12))
        result.misplaced += (line.start, line.end) != expected
        (host.free if kind == "free" else host.dontneed)(line.start, line.end - line.start)

    def meanwhile() -> None:
        for line in within.pop(0) if within else []:
            perform(line)

    vm.meanwhile = meanwhile
    operations = host_operations()
    result = Prediction([], [], 0, 0)
    rounds = guest_rounds()
    for part in _rounds(lines):
        gfns, write = next(rounds)
        host.write(next(row["hva"] for row in rows if not row["slot"]) + (LIST << 12))
        for gfn in (CODE, LIST):
            vm.access(0, gfn)
        before, at = vm.counters.exits, 0
        recorded = 0
        waiting: int | None = None
        for line in [*part, None]:
            gfn = line.start >> 12 if line is not None else 0
            fault = line is not None and not line.end and not line.done and FIRST_GFN <= gfn < HOLE_GFN
            if fault:
                recorded += 1
            if fault and waiting == gfn:
                # A second fault at the same place is a retry: the clock stands still.
                within.append([])
            elif line is not None and line.end:
                if line.task != guest and base <= line.start < base + (PAGES << 12):
                    (within[-1].append if waiting is not None else perform)(line)
            elif waiting is not None:
                later = np.flatnonzero(gfns[at:] == waiting)
                if len(later):
                    inside = within[:]
                    within.clear()
                    vm.access(0, gfns[at : at + int(later[0])], write)
                    at += int(later[0])
                    within.extend(inside)
                    vm.access(0, gfns[at : at + 1], write)
                    at += 1
                while within:
                    meanwhile()
                waiting = None
            if fault and waiting is None:
                waiting, within[:] = gfn, [[]]
        if part[-1].start >> 12 != HOLE_GFN:
            break  # the recording ends within a round
        vm.access(0, gfns[at:], write)
        result.recorded.append(recorded)
        result.predicted.append(vm.counters.exits - before)
        result.accesses += ROUND
        vm.access(0, HOLE_GFN, True)
        if len(result.recorded) == most:
            break
    return result


def _rounds(lines: list[FaultLine]) -> Iterator[list[FaultLine]]:
    part: list[FaultLine] = []
    for line in lines:
        part.append(line)
        if not line.end and not line.done and line.start >> 12 == HOLE_GFN:
            yield part
            part = []
    if part:
        yield part
