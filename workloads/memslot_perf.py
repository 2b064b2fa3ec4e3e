"""memslot-perf-*: the six tests of the kernel's selftest memslot_perf_test, on the model.

The layout is the test's: slot 0 contains the test's own program. The other slots follow from gpa 0x10000000 on, of
equal size except for the last one, which takes the remainder. Guest and host synchronise through their first page. Each
slot has a mapping of its own. `slots` includes slot 0, as the test's own option does. One vCPU and one thread of the
host alternate here; in the test they run concurrently.

An iteration is the test's own; the requested number of events ends a run, not a clock. The test starts with KVM's
maximum number of slots, which `slots` can set; the default is the 509 user slots of older kernels.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.arrays import Ints
from slotlookup.errors import UsageError
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

_FIRST_GFN = 0x1000_0000 >> PAGE_SHIFT
_PROGRAM_PAGES = 512
_CHUNK_PAGES = 512
"""Pages that `unmap-chunked` drops at once."""
_MOVE_PAGES = 50
"""Pages that the guest writes in and next to the slot that moves."""
_BATCH = 1 << 15


@dataclass(frozen=True)
class _Area:
    """The test's slots: their first gfns and one more for the end, and the hva page of each of their pages."""

    edges: Ints
    hva_pages: Ints

    @property
    def first(self) -> int:
        """The gfn after the synchronisation page, at which the test begins."""
        return _FIRST_GFN + 1

    @property
    def pages(self) -> int:
        """Pages of the test."""
        return int(self.edges[-1]) - self.first

    def hva(self, gfn: int) -> int:
        """The host page of each gfn."""
        return int(self.hva_pages[gfn - _FIRST_GFN]) << PAGE_SHIFT

    def in_slots(self, first: int, count: int) -> list[tuple[int, int]]:
        """Pages [first, first + count) of the test, divided at slot boundaries: hva and bytes of each part."""
        start, end = self.first + first, self.first + first + count
        inside = self.edges[(self.edges > start) & (self.edges < end)]
        cuts = [start, *inside.tolist(), end]
        return [(self.hva(a), (b - a) << PAGE_SHIFT) for a, b in pairwise(cuts)]

    def drop(self, host: Host, first: int, count: int, chunk: int) -> None:
        """MADV_DONTNEED of pages of the test, at most `chunk` at once, and never across slots."""
        if chunk == 1 or len(self.edges) > self.pages:  # one page per slot: the same for every chunk size
            begin = self.first + first - _FIRST_GFN
            host.dontneed_pages(self.hva_pages[begin : begin + count])
            return
        for at in range(first, first + count, chunk):
            for hva, length in self.in_slots(at, min(chunk, first + count - at)):
                host.dontneed(hva, length)


class MemslotPerf(Scenario):
    """One test. `memory` is that of the test's slots, the first page included."""

    slots = 509
    fewest_slots = 2
    slots_apart = 1

    def __init__(self, name: str, summary: str, stresses: str, memory: int, default_events: int) -> None:
        self.name, self.summary, self.stresses = f"memslot-perf-{name}", summary, stresses
        self.memory, self.default_events = memory + PAGE_SIZE, default_events

    def play(self, strategy: Strategy, size: Size) -> Vm:
        pages, slots = size.memory >> PAGE_SHIFT, size.slots - 1
        if pages < max(slots, 3):
            raise UsageError(f"{size.memory:,} bytes of guest memory: {slots:,} slots need a page each, and 3 in all")
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, limit=size.events)
        program = host.mmap(_PROGRAM_PAGES << PAGE_SHIFT)
        vm.set_user_memory_region(0, 0, _PROGRAM_PAGES << PAGE_SHIFT, program)
        area = _set_up(vm, host, pages, slots)
        vm.access(0, _FIRST_GFN, True)
        vm.start()
        self.prepare(area)
        while not vm.recorder.full:
            area = self.iterate(vm, host, area)
        return vm

    def prepare(self, area: _Area) -> None:
        """Raise UsageError if the test is not possible with these slots."""

    @abstractmethod
    def iterate(self, vm: Vm, host: Host, area: _Area) -> _Area:
        """One iteration; returns the resulting slots."""


def _set_up(vm: Vm, host: Host, pages: int, slots: int) -> _Area:
    edges = _FIRST_GFN + np.arange(slots + 1, dtype=np.int64) * (pages // slots)
    edges[-1] = _FIRST_GFN + pages
    hva_pages = np.empty(pages, dtype=np.int64)
    for number, (first, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True), 1):
        length = (end - first) << PAGE_SHIFT
        hva = host.mmap(length)
        vm.set_user_memory_region(number, first << PAGE_SHIFT, length, hva)
        hva_pages[first - _FIRST_GFN : end - _FIRST_GFN] = (hva >> PAGE_SHIFT) + np.arange(end - first)
    return _Area(edges, hva_pages)


class _Map(MemslotPerf):
    def iterate(self, vm: Vm, host: Host, area: _Area) -> _Area:
        half = area.pages // 2
        for written, dropped in ((0, half), (half, 0)):
            area.drop(host, dropped, half, half)
            for at in range(written, written + half, _BATCH):
                vm.access(0, area.first + np.arange(at, min(at + _BATCH, written + half)), True)
        return area


class _Unmap(MemslotPerf):
    chunk = 1

    def iterate(self, vm: Vm, host: Host, area: _Area) -> _Area:
        half = area.pages // 2
        for first in (0, half):
            vm.access(0, area.first + first, True)
            for at in range(first, first + half, max(self.chunk, _BATCH)):
                area.drop(host, at, min(max(self.chunk, _BATCH), first + half - at), self.chunk)
        return area


class _UnmapChunked(_Unmap):
    chunk = _CHUNK_PAGES


class _Move(MemslotPerf):
    inside = 0
    """The number of written pages in the slot that moves."""

    def prepare(self, area: _Area) -> None:
        length = int(area.edges[-1] - area.edges[-2])
        below = int(area.edges[-2]) - _FIRST_GFN
        if length < self.inside or below < _MOVE_PAGES - self.inside:
            raise UsageError(
                f"{self.name}: {length:,} pages in the last slot and {below:,} below it; "
                f"it writes {self.inside} there and {_MOVE_PAGES - self.inside} below; use fewer slots or more memory"
            )

    def iterate(self, vm: Vm, host: Host, area: _Area) -> _Area:
        number, gfn, end = len(area.edges) - 1, int(area.edges[-2]), int(area.edges[-1])
        length, hva = (end - gfn) << PAGE_SHIFT, area.hva(gfn)
        # The guest writes cyclically; it has finished three quarters when the slot moves.
        written = np.roll(np.arange(gfn + self.inside - _MOVE_PAGES, gfn + self.inside), _MOVE_PAGES // 4)
        vm.access(0, written, True)
        vm.set_user_memory_region(number, end << PAGE_SHIFT, length, hva)
        vm.access(0, written, True)
        vm.set_user_memory_region(number, gfn << PAGE_SHIFT, length, hva)
        return area


class _MoveActive(_Move):
    inside = _MOVE_PAGES // 2


class _Rw(MemslotPerf):
    def iterate(self, vm: Vm, host: Host, area: _Area) -> _Area:
        """A whole run per iteration, with new slots: later rounds of a run cause no lookups, since pages are mapped."""
        for hva, length in area.in_slots(0, area.pages):
            host.write(hva, length >> PAGE_SHIFT)
        for at in range(0, area.pages, _BATCH):
            vm.access(0, area.first + np.arange(at, min(at + _BATCH, area.pages)), True)
            if vm.recorder.full:
                return area
        starts = area.edges[:-1].tolist()
        for number, (first, end) in enumerate(zip(starts, area.edges[1:].tolist(), strict=True), 1):
            hva, length = area.hva(first), (end - first) << PAGE_SHIFT
            vm.set_user_memory_region(number, first << PAGE_SHIFT, 0, hva)
            host.munmap(hva, length)
        again = _set_up(vm, host, len(area.hva_pages), len(starts))
        vm.access(0, _FIRST_GFN, True)
        return again


MEMSLOT_PERF = (
    _Map(
        "map",
        "the kernel's map test: the guest writes one half while the host drops the other",
        "lookups in gfn order, visits of whole slots",
        32 << 20,
        100_000,
    ),
    _Unmap(
        "unmap",
        "the kernel's unmap test: the host drops page after page",
        "one-page visits in hva order",
        128 << 20,
        200_000,
    ),
    _UnmapChunked(
        "unmap-chunked",
        "the kernel's unmap test by 2 MiB: the host drops 512 pages at once, up to slot boundaries",
        "visits of many pages in hva order",
        128 << 20,
        20_000,
    ),
    _MoveActive(
        "move-active",
        "the kernel's move test: the last slot moves and returns, half of the writes in it",
        "moves, and lookups that miss in between",
        512 << 20,
        50_000,
    ),
    _Move(
        "move-inactive",
        "the kernel's move test with writes directly below the slot that moves",
        "moves, and lookups that they must not slow down",
        512 << 20,
        50_000,
    ),
    _Rw(
        "rw",
        "the kernel's RW test: host and guest write every page",
        "cold lookups in gfn order",
        512 << 20,
        131_072,
    ),
)
