"""Short cases of host operations, recorded from a kernel, performed on the model.

A case is a script for one process and its guest, and the notifier events that each of its lines caused. The process
has the slots A to F (4 MiB each) and sometimes G (2 GiB): B, A, C, D are one anonymous mapping in this order of hva,
E and F map one memfd. A line has an operation, a slot, a first page, a number of pages, and an argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from host_recording import Operation

from slotlookup.model.host import Host, ksm, thp, userfault
from slotlookup.model.host.space import Child
from slotlookup.model.host.vmas import File
from slotlookup.model.notifier import NotifierKind, NotifierLog
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGE = 4096
MIB = 1 << 20
CODE, LIST, MMIO = 0x40, 0x100, 0x3FFFFF
"""gfns: the guest's code, the list of addresses that it touches, and the store that ends a touch."""
_TASKS = ("ops2", "ksmd", "other")
SLOTS = "?ABCFEDG"
"""The letter of each slot number; slot 0 holds the guest's code and page tables."""

_LINE = re.compile(r"^\s*(?P<task>\S+)-\d+\s+\[\d+\]\s+\S*\s*[\d.]+: (?P<event>\w+): (?P<rest>.*)$")
_SLOT = re.compile(r"SLOT (\d+) gpa=0x([0-9a-f]+) size=0x([0-9a-f]+) hva=0x([0-9a-f]+)")
_RANGE = re.compile(r"range: 0x([0-9a-f]+) -- 0x([0-9a-f]+)")


@dataclass
class Case:
    """`slots` are (gpa, size, hva) by letter; the operations, each named by its line of the script."""

    name: str
    slots: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def in_process(self, start: int, end: int) -> bool:
        """Whether a range meets the memory that the model has: not the process's heap, stack and libraries."""
        base = self.slots["B"][2]
        known = [(base - 4 * MIB, base + 60 * MIB)]
        known += [(hva, hva + size) for letter, (_, size, hva) in self.slots.items() if letter in "?G"]
        return any(start < high and end > low for low, high in known)


def read_cases(text: Iterator[str]) -> list[Case]:
    """Cases of a recording in the text form of tracefs, each from its mark `CASE name` on."""
    cases: list[Case] = []
    inside = False
    for number, line in enumerate(text, 1):
        if line.startswith("#"):
            continue
        found = _LINE.match(line)
        if found is None:
            raise ValueError(f"line {number} is not one of a tracefs trace: {line[:60]!r}")
        rest = found["rest"]
        if rest.startswith("CASE "):
            cases.append(Case(rest.removeprefix("CASE ").strip()))
        elif slot := _SLOT.search(rest):
            gpa, size, hva = (int(value, 16) for value in slot.groups()[1:])
            cases[-1].slots[SLOTS[int(slot[1])]] = gpa, size, hva
        elif rest.startswith("OP exit"):
            inside = False
        elif rest.startswith("OP "):
            inside = rest.endswith(" BEGIN")
            if inside:
                cases[-1].operations.append(Operation(rest.removeprefix("OP ").removesuffix(" BEGIN")))
        elif inside and (announced := _RANGE.search(rest)) and found["task"] in _TASKS:
            start, end = int(announced[1], 16), int(announced[2], 16)
            if cases[-1].in_process(start, end):
                cases[-1].operations[-1].unmapped.append((start, end))
    return cases


class Performer:
    """The recorded process and its guest."""

    def __init__(self, case: Case) -> None:
        self.host = Host(1 << 28)
        self.log = NotifierLog()
        # Shadow paging was recorded. Its faults differ, what they ask of the host does not; these go in batches.
        self.vm = Vm(make_strategy("kvm-5.17"), self.host, paging="ept")
        self.host.notifiers.subscribers.append(self.log)
        self.hva = {letter: hva for letter, (_, _, hva) in case.slots.items()}
        self.gfn = {letter: gpa // PAGE for letter, (gpa, _, _) in case.slots.items()}
        self.child: Child | None = None
        base = self.hva["B"]
        self.hole = base + 32 * MIB
        self.hva["H"] = self.hole
        host, self.memfd = self.host, File(1024)
        host.mmap(64 * MIB, self.hva["?"])
        # A reserve without access, the slots in it, and a hole of 16 MiB that holds the mappings of the memfd.
        host.mmap(64 * MIB, base - 4 * MIB, prot="none")
        host.mmap(16 * MIB, base)
        host.munmap(self.hole - 4 * MIB, 16 * MIB)
        for letter in "FE":
            host.mmap(4 * MIB, self.hva[letter], file=self.memfd)
        if "G" in case.slots:
            host.mmap(2 << 30, self.hva["G"])
        for number, letter in enumerate(SLOTS):
            if letter in case.slots:
                gpa, size, hva = case.slots[letter]
                self.vm.set_user_memory_region(number, gpa, size, hva)
        self.vm.start()
        for page, count in ((0x10, 18), (CODE, 1)):
            host.write(self.hva["?"] + page * PAGE, count)
        # The pages of the file are handled one at a time, so they are there only in cases that need them.
        used = {operation.name.split()[1] for operation in case.operations}
        for letter in "BACDFE" if used & {"E", "F"} else "BACD":
            host.write(self.hva[letter], 1024)
        for letter in "ABCFED" if used & {"E", "F"} else "ABCD":
            self.touch(letter, 0, 1024, True)

    def touch(self, letter: str, first: int, count: int, write: bool) -> None:
        """Run the guest over pages whose addresses the process writes first."""
        pages = -(-count * 8 // PAGE)
        self.host.write(self.hva["?"] + LIST * PAGE, pages)
        self.vm.access(0, CODE)
        for at in range(pages):
            self.vm.access(0, LIST + at)
        self.vm.access(0, self.gfn[letter] + first + np.arange(count), write)
        self.vm.access(0, MMIO, True)

    def perform(self, operation: str) -> list[tuple[int, int]]:
        """One line of the script: the ranges announced, in order."""
        words = operation.split()
        begin = len(self.log.events)
        name, letter = words[0], words[1]
        numbers = [int(word) for word in words[2:4]] if len(words) > 3 else [0, 0]
        first, count = numbers
        argument = words[4] if len(words) > 4 else ""
        hva = self.hva.get(letter, 0) + first * PAGE
        self._do(name, letter, hva, first, count, argument)
        events = self.log.events[begin:]
        return [(low, high) for kind, low, high in events if kind is NotifierKind.INVALIDATE_START]

    def _do(self, name: str, letter: str, hva: int, first: int, count: int, argument: str) -> None:
        host, size = self.host, count * PAGE
        to = self.hole + int(argument) * PAGE if name.startswith("mremap") else 0
        steps: dict[str, Callable[[], object]] = {
            "g_read": lambda: self.touch(letter, first, count, False),
            "g_write": lambda: self.touch(letter, first, count, True),
            "h_write": lambda: host.write(hva, count),
            "h_read": lambda: host.read(hva, count),
            "h_same": lambda: ksm.set_content(host, hva, np.full(count, 0x5A)),
            "h_zero": lambda: ksm.set_content(host, hva, np.full(count, ksm.ZERO_CONTENT)),
            "advise": lambda: self._advise(int(argument), hva, size),
            "pm_advise": lambda: self._advise(int(argument), hva, size),
            "mprot": lambda: host.mprotect(hva, size, argument),
            "munmap": lambda: host.munmap(hva, size),
            "mmapfix": lambda: host.mmap(size, hva),
            "mremapfix": lambda: host.mremap(hva, size, to),
            "mremapdu": lambda: host.mremap(hva, size, to, dontunmap=True),
            "mremapsize": lambda: host.munmap(hva + int(argument) * PAGE, size - int(argument) * PAGE),
            "fork": self._fork,
            "kid_write": lambda: self._kid().write(hva, count),
            "kid_exit": lambda: self._kid().exit(),
            "punch": lambda: host.punch_hole(self.memfd, first, count),
            "punch_unaligned": lambda: host.punch_bytes(self.memfd, first * PAGE + 100, size),
            "trunc": lambda: host.truncate(self.memfd, count),
            "uffd_reg": lambda: userfault.register(
                host, hva, size, missing="m" in argument, wp="w" in argument, wp_async="a" in argument
            ),
            "uffd_wp": lambda: userfault.protect(host, hva, size, on=argument == "on"),
            "uffd_unreg": lambda: userfault.unregister(host, hva, size),
            "uffd_copy": lambda: userfault.copy(host, hva, size),
            "uffd_move": lambda: userfault.move(host, hva, self.hva["D"], size),
            "uffd_close": lambda: userfault.close(host),
            "mlock": lambda: host.mlock(hva, size),
            "munlock": lambda: host.munlock(hva, size),
            "move_pages": lambda: None,  # the pages are on the node already
            "mbind": lambda: host.mbind(hva, size, 1),
            "pvm_write": lambda: host.write(hva, count),
            "clear_refs": lambda: host.clear_refs(int(letter)),
            "pagemap_wp": lambda: userfault.scan_written(host, hva, size),
            "ksm_wait": self._merge,
        }
        steps[name]()

    def _advise(self, advice: int, hva: int, size: int) -> None:
        host = self.host
        steps: dict[int, Callable[[], object]] = {
            3: lambda: None,  # WILLNEED reads into the swap cache, and maps nothing
            4: lambda: host.dontneed(hva, size),
            8: lambda: host.free(hva, size),
            9: lambda: host.remove(hva, size),
            10: lambda: host.dontfork(hva, size),
            11: lambda: host.dontfork(hva, size, False),
            12: lambda: host.advise(hva, size, mergeable=True),
            13: lambda: ksm.unmerge(host, hva, size),
            14: lambda: host.advise(hva, size, hugepage=True),
            15: lambda: host.advise(hva, size, hugepage=False),
            18: lambda: host.wipeonfork(hva, size),
            19: lambda: host.wipeonfork(hva, size, False),
            20: lambda: host.cold(hva, size),
            21: lambda: host.pageout(hva, size),
            22: lambda: host.read(hva, size // PAGE),
            23: lambda: host.write(hva, size // PAGE),
            24: lambda: host.dontneed(hva, size),
            25: lambda: thp.collapse_range(host, hva, size),
            102: lambda: host.install_guards(hva, size),
            103: lambda: host.remove_guards(hva, size),
        }
        steps[advice]()

    def _fork(self) -> None:
        self.child = self.host.fork()

    def _kid(self) -> Child:
        assert self.child is not None
        return self.child

    def _merge(self) -> None:
        # ksmd passes several times; each pass over slots A and C.
        for _ in range(3):
            ksm.scan(self.host, self.hva["B"], 4096)
