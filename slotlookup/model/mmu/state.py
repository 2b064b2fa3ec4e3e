"""The state that the faults of a VM read and change: slots, sptes, the host, and the questions to its strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotlookup.address import Gfn
from slotlookup.arrays import Bools, Ints, Vcpus
from slotlookup.errors import BrokenStrategy, UsageError
from slotlookup.memslots import ADDRESS_SPACES, LOG_DIRTY_PAGES, READONLY, Memslots
from slotlookup.model.host import Host
from slotlookup.model.mmu.settings import Paging
from slotlookup.model.mmu.slot_table import SlotTable
from slotlookup.model.mmu.sptes import Sptes
from slotlookup.model.mmu.subscriber import NO_CHANGES
from slotlookup.model.recorder import Recorder
from slotlookup.strategy import Strategy
from slotlookup.stream import GfnStream, Timeline, one_segment


@dataclass
class VmCounters:
    """Counters of the guest's accesses."""

    accesses: int = 0
    exits: int = 0
    """Exits from the guest: faults, their retries, MMIO."""
    faults: int = 0
    retries: int = 0
    """Faults that were retried because of an invalidation, often one caused by their own copy of the page."""
    installed: int = 0
    prefetched: int = 0
    tracked: int = 0
    """Faults on sptes that were kept non-present for access tracking."""
    mmio: int = 0
    mmio_known: int = 0
    """MMIO exits without a lookup, because of an MMIO spte."""
    readonly_writes: int = 0
    bad: int = 0
    logged: int = 0
    """Pages entered into dirty logs."""


class Mmu:
    """The state of one VM for its faults, which single faults (`vm.py`) and batches (`batch.py`) share.

    `roots` holds, for each page table, the address space that it maps and the windows of a guest's own table (None:
    each page is the gfn of its own number). `dirty` holds the dirty logs by slot number, `known_holes` the (as_id, gfn)
    with an MMIO spte.
    """

    def __init__(self, strategy: Strategy, host: Host, paging: Paging, recorder: Recorder) -> None:
        self.strategy = strategy
        self.host = host
        self.paging = paging
        self.recorder = recorder
        self.memslots = Memslots()
        self.slots = SlotTable()
        self.sptes = Sptes(paging, host.frames, ADDRESS_SPACES)
        self.counters = VmCounters()
        self.dirty: dict[int, Bools] = {}
        self.known_holes: set[tuple[int, int]] = set()
        self.roots: list[tuple[int, Ints | None]] = [(as_id, None) for as_id in range(ADDRESS_SPACES)]

    def as_id_of(self, space: int) -> int:
        """The address space whose slots a table maps."""
        return self.roots[space][0]

    def translate(self, space: int, pages: Ints) -> Ints:
        """The gfns of pages of a table. Raises UsageError for a page that the guest has not mapped."""
        windows = self.roots[space][1]
        if windows is None:
            return pages
        at = np.searchsorted(windows[:, 0], pages, side="right") - 1
        offset = pages - windows[at, 0]
        outside = (at < 0) | (offset >= windows[at, 2])
        if outside.any():
            page = int(pages[np.argmax(outside)])
            raise UsageError(f"guest-virtual page {page:#x} is in no window of table {space}")
        return np.asarray(windows[at, 1] + offset)

    def ask(self, gfns: Ints, vcpus: Vcpus, as_id: int, expected: Ints) -> None:
        """Look up gfns and record the lookups. Raises BrokenStrategy if an answer is wrong."""
        self.recorder.lookups(gfns, vcpus, as_id)
        if len(gfns) == 1:
            found = np.array([self.strategy.lookup_gfn(Gfn(int(gfns[0])), as_id, int(vcpus[0]))])
        else:
            timeline = Timeline(one_segment(len(gfns), as_id), NO_CHANGES)
            found = self.strategy.answer_gfns(GfnStream(gfns.astype(np.uint64), timeline, np.ascontiguousarray(vcpus)))
        if not np.array_equal(found, expected):
            at = int(np.argmax(found != expected))
            gfn, got, right = int(gfns[at]), int(found[at]), int(expected[at])
            raise BrokenStrategy(f"{self.strategy.name} finds slot {got} for gfn {gfn:#x}; {right} contains it")

    def install(self, numbers: Ints, index: Ints, gfns: Ints, pfns: Ints, writable: Bools, writes: Bools) -> None:
        """Install 4 KiB sptes under the rules of their slots: read-only ones, and those with a dirty log."""
        flags = self.slots.flags[numbers]
        may = writable & (flags & READONLY == 0) & (writes | (flags & LOG_DIRTY_PAGES == 0))
        self.sptes.install(index, pfns, may, gfns, int(numbers[0]) >> 16)
        logged = may & (flags & LOG_DIRTY_PAGES != 0)
        if logged.any():
            for one in np.unique(numbers[logged]).tolist():
                pages = gfns[logged & (numbers == one)] - self.slots.base[one]
                self.counters.logged += int(np.count_nonzero(~self.dirty[one][pages]))
                self.dirty[one][pages] = True
