"""Shared by scenarios: guest memory laid out in slots, and the columns with the place of each page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.arrays import Bools, Ints, Vcpus
from slotlookup.errors import UsageError
from slotlookup.model.host import Host
from slotlookup.model.scenario import Size
from slotlookup.model.vm import Vm

BATCH = 1 << 14
"""The default number of accesses per batch."""
VCPUS = 4
GAP_PAGES = 16
"""Pages between two slots that are in no slot."""
_SPREAD = 0x9E3779B1
"""The golden ratio's share of 2^32: neighbours' products differ in the upper bits."""


@dataclass(frozen=True)
class Guest:
    """Guest memory in one host mapping at `hva`. Its pages are numbered from 0 in gfn order."""

    hva: int
    before: Ints
    """The number of each slot's first page, and one more entry for the end."""
    gfns: Ints
    """Of each page."""
    hva_pages: Ints
    """Of each page."""

    @property
    def total(self) -> int:
        """Pages."""
        return len(self.gfns)

    @property
    def slots(self) -> int:
        """The number of slots. They have the ids from 0 on, in gfn order."""
        return len(self.before) - 1

    def by_hva(self) -> Ints:
        """The pages in hva order."""
        return np.argsort(self.hva_pages)

    def slot_range(self, slot: int) -> tuple[int, int]:
        """Host address and bytes of a slot."""
        first, end = int(self.before[slot]), int(self.before[slot + 1])
        return int(self.hva_pages[first]) << PAGE_SHIFT, (end - first) << PAGE_SHIFT


def lay_out(vm: Vm, host: Host, size: Size, draw: np.random.Generator, *, align: int = 1, flags: int = 0) -> Guest:
    """Give the VM slots of equal size (within a page) with gaps between them, their host memory in random order.

    The first page of each slot is a multiple of `align`, in gfn and in hva.
    """
    before = np.arange(size.slots + 1, dtype=np.int64) * (size.memory >> PAGE_SHIFT) // size.slots
    npages = np.diff(before)
    room = -(-int(npages.max()) // align) * align
    base = np.arange(size.slots, dtype=np.int64) * (room + -(-GAP_PAGES // align) * align)
    hva = host.mmap(size.slots * room << PAGE_SHIFT)
    hva_page = (hva >> PAGE_SHIFT) + draw.permutation(size.slots).astype(np.int64) * room
    set_slots(vm, base, npages, hva_page, flags)
    within = np.arange(before[-1], dtype=np.int64) - np.repeat(before[:-1], npages)
    return Guest(hva, before, np.repeat(base, npages) + within, np.repeat(hva_page, npages) + within)


def set_slots(vm: Vm, base: Ints, npages: Ints, hva_page: Ints, flags: int = 0) -> None:
    """Create slots with the ids from 0 on. All three arguments are in pages, one entry per slot."""
    for number, (gfn, count, page) in enumerate(zip(base.tolist(), npages.tolist(), hva_page.tolist(), strict=True)):
        vm.set_user_memory_region(number, gfn << PAGE_SHIFT, count << PAGE_SHIFT, page << PAGE_SHIFT, flags)


def vcpus(draw: np.random.Generator, count: int) -> Vcpus:
    """The vCPU of each of `count` accesses."""
    return draw.integers(0, VCPUS, count, dtype=np.uint16)


def writes(draw: np.random.Generator, pages: Ints, one_in: int = 3) -> Bools:
    """Which accesses of a batch write: those to one page in `one_in`, so that a page is only read or only written."""
    salt = int(draw.integers(0, 1 << 30))
    return np.asarray(((pages + salt) * _SPREAD >> 16) % one_in == 0)


def near_and_far(draw: np.random.Generator, count: int, total: int, base: int, near: int) -> Ints:
    """Page numbers: nine of ten within the `near` pages from `base` on, the others in all pages."""
    far = draw.integers(0, 10, count) == 0
    return np.where(far, draw.integers(0, total, count), (base + draw.integers(0, near, count)) % total)


def require_memory(name: str, size: Size, least: int) -> None:
    """Raise UsageError if the guest has fewer than `least` bytes."""
    if size.memory < least:
        raise UsageError(f"{size.memory:,} bytes of guest memory: {name} needs {least:,}; increase --memory")
