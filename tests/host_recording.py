"""Reads the recordings of a real kernel's notifier events with which the model is compared."""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).parent / "data"

Range = tuple[int, int]

_LINE = re.compile(r"^\s*(?P<task>\S+)-\d+\s+\[\d+\]\s+\S*\s*[\d.]+: (?P<event>\w+):\s+(?P<rest>.*)$")
_SLOT = re.compile(r"SLOT (\d+) gpa=0x([0-9a-f]+) size=0x([0-9a-f]+) hva=0x([0-9a-f]+)")
_RANGE = re.compile(r"range: 0x([0-9a-f]+) -- 0x([0-9a-f]+)")


@dataclass
class Operation:
    """One host operation: its name and what the notifiers said between its marks, in order."""

    name: str
    unmapped: list[Range] = field(default_factory=list)
    aged: int = 0


@dataclass
class Recording:
    """`slots` as (number, gpa, size, hva); the operations in order."""

    slots: list[tuple[int, int, int, int]] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)


def read_operations() -> Recording:
    """The host operations, each between its marks. An operation within another counts for itself."""
    recording = Recording()
    open_: list[Operation] = []
    with lzma.open(DATA / "host-operations.trace.xz", "rt") as file:
        for text in file:
            if text.startswith("#"):
                continue
            line = _LINE.match(text)
            assert line is not None, text
            rest = line["rest"]
            if slot := _SLOT.search(rest):
                gpa, size, hva = (int(value, 16) for value in slot.groups()[1:])
                recording.slots.append((int(slot[1]), gpa, size, hva))
            elif rest.startswith("OP "):
                name, mark, _ = rest.removeprefix("OP ").partition(" END")
                if mark:
                    assert open_.pop().name == name
                else:
                    open_.append(Operation(name.removesuffix(" BEGIN")))
                    recording.operations.append(open_[-1])
            elif open_ and (found := _RANGE.search(rest)):
                open_[-1].unmapped.append((int(found[1], 16), int(found[2], 16)))
            elif open_ and "age" in line["event"]:
                open_[-1].aged += 1
    return recording


@dataclass(frozen=True)
class FaultLine:
    """A fault of the guest at byte address `start`, or an invalidation of [start, end) (`end` is 0 for a fault).

    `done` marks the end of a fault: its spte is installed next.
    """

    task: str
    start: int
    end: int
    done: bool = False


def read_fault_lines() -> list[FaultLine]:
    """The guest that touches 64 slots while the host drops pages: what each thread caused, in order."""
    lines: list[FaultLine] = []
    with lzma.open(DATA / "faults-64-slots.trace.xz", "rt") as file:
        for text in file:
            task = text.split()[0]
            if walk := re.search(r"kvm_mmu_pagetable_walk: addr ([0-9a-f]+) pferr", text):
                lines.append(FaultLine(task, int(walk[1], 16), 0))
            elif asked := re.search(r"kvm_mmu_spte_requested: gfn ([0-9a-f]+)", text):
                lines.append(FaultLine(task, int(asked[1], 16) << 12, 0, done=True))
            elif found := _RANGE.search(text):
                lines.append(FaultLine(task, int(found[1], 16), int(found[2], 16)))
    return lines
