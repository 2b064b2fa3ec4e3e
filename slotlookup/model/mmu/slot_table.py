"""The slots as columns, from which the hypervisor reads a slot once its strategy has found it."""

from __future__ import annotations

import numpy as np

from slotlookup.address import HOLE, PAGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.memslots import ADDRESS_SPACES, ChangeKind, SlotChange

_NUMBERS = ADDRESS_SPACES << 16


class SlotTable:
    """Columns by slot number, and the gfn ranges of each address space in order."""

    def __init__(self) -> None:
        self.base = np.zeros(_NUMBERS, dtype=np.int64)
        self.npages = np.zeros(_NUMBERS, dtype=np.int64)
        self.hva_page = np.zeros(_NUMBERS, dtype=np.int64)
        self.flags = np.zeros(_NUMBERS, dtype=np.int64)
        self._starts: list[Ints] = [np.zeros(0, dtype=np.int64) for _ in range(ADDRESS_SPACES)]
        self._numbers: list[Ints] = [np.zeros(0, dtype=np.int64) for _ in range(ADDRESS_SPACES)]

    def apply(self, change: SlotChange) -> None:
        """Apply an accepted change."""
        slot = change.slot
        number, as_id = slot.number, slot.as_id
        if change.kind in (ChangeKind.DELETE, ChangeKind.MOVE):
            at = int(np.searchsorted(self._starts[as_id], self.base[number]))
            self._starts[as_id] = np.delete(self._starts[as_id], at)
            self._numbers[as_id] = np.delete(self._numbers[as_id], at)
        if change.kind in (ChangeKind.CREATE, ChangeKind.MOVE):
            at = int(np.searchsorted(self._starts[as_id], slot.base_gfn))
            self._starts[as_id] = np.insert(self._starts[as_id], at, slot.base_gfn)
            self._numbers[as_id] = np.insert(self._numbers[as_id], at, number)
        gone = change.kind is ChangeKind.DELETE
        self.base[number] = slot.base_gfn
        self.npages[number] = 0 if gone else slot.npages
        self.hva_page[number] = slot.userspace_addr >> PAGE_SHIFT
        self.flags[number] = slot.flags

    def numbers(self, as_id: int, gfns: Ints) -> Ints:
        """The slot number of each gfn, or HOLE: the right answer of a strategy."""
        starts = self._starts[as_id]
        if not len(starts):
            return np.full(len(gfns), HOLE, dtype=np.int64)
        at = np.searchsorted(starts, gfns, side="right") - 1
        number = self._numbers[as_id][at]
        inside = (at >= 0) & (gfns < self.base[number] + self.npages[number])
        return np.where(inside, number, HOLE)

    def hva_pages(self, numbers: Ints, gfns: Ints) -> Ints:
        """The hva page of each gfn of its slot."""
        return gfns - self.base[numbers] + self.hva_page[numbers]

    def gfn_range(self, number: int, start: int, end: int) -> tuple[int, int]:
        """The gfns of a slot that overlap bytes [start, end) of host memory, rounded outwards; may be empty."""
        first = int(self.hva_page[number])
        behind = first + int(self.npages[number])
        lo, hi = max(first, start >> PAGE_SHIFT), min(behind, -(-end >> PAGE_SHIFT))
        base = int(self.base[number])
        return lo - first + base, max(lo, hi) - first + base
