"""userfaultfd: a monitor in user space fills missing pages and permits writes to protected ones.

The monitor answers every fault at once: a missing page is copied in (UFFDIO_COPY), a write-protected one is saved and
its protection removed. The waiting time is not modelled; the events are counted.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_BYTES, HUGE_SHIFT, PAGE_SHIFT
from slotlookup.model.host import bits, folios
from slotlookup.model.host.space import AddressSpace

_MODES = bits.VM_UFFD_MISSING | bits.VM_UFFD_WP | bits.VM_UFFD_ASYNC


def register(
    mm: AddressSpace, hva: int, size: int, *, missing: bool = False, wp: bool = False, wp_async: bool = False
) -> None:
    """UFFDIO_REGISTER. It removes nothing, so only the huge pages at its ends are announced.

    `wp_async` is write protection that the fault itself removes (UFFD_FEATURE_WP_ASYNC).
    """
    wanted = (bits.VM_UFFD_MISSING if missing else 0) | (bits.VM_UFFD_WP if wp or wp_async else 0)
    mm.set_vma_bits(hva, size, wanted | (bits.VM_UFFD_ASYNC if wp_async else 0), _MODES)


def unregister(mm: AddressSpace, hva: int, size: int) -> None:
    """UFFDIO_UNREGISTER: write protection is removed first, in each mapping that has it."""
    for vma in mm.vmas.meeting(hva, hva + size):
        if vma.bits & _MODES:
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            if vma.bits & bits.VM_UFFD_WP:
                protect(mm, start, end - start, on=False)
            mm.set_vma_bits(start, end - start, 0, _MODES)


def close(mm: AddressSpace) -> None:
    """The last descriptor is closed: every registered mapping is unregistered."""
    for vma in list(mm.vmas):
        if vma.bits & _MODES:
            unregister(mm, vma.start, vma.end - vma.start)


def protect(mm: AddressSpace, hva: int, size: int, *, on: bool) -> None:
    """UFFDIO_WRITEPROTECT. Removing it does not make pages writable: the fault of the next write does.

    Huge pages that are protected whole stay huge, since the page middle directory has the bit too.
    """
    for vma in mm.vmas.meeting(hva, hva + size):
        start, end = max(hva, vma.start), min(hva + size, vma.end)
        with mm.changing_protection(start, end, split=True):
            _set_protection(mm, start, end, on)


def scan_written(mm: AddressSpace, hva: int, size: int) -> None:
    """PAGEMAP_SCAN with PM_SCAN_WP_MATCHING: written pages are protected again; one announcement of the range.

    A block without a page table is protected on its own, which is announced again.
    """
    with mm.invalidating(hva, hva + size):
        for block in range(hva & -HUGE_BYTES, hva + size, HUGE_BYTES):
            start, end = max(hva, block), min(hva + size, block + HUGE_BYTES)
            index = mm.pages.find_one(0, start >> PAGE_SHIFT)
            if mm.pages.block[index >> HUGE_SHIFT] & bits.TABLE:
                mm.split_huge_edges(start, end)
                _set_protection(mm, start, end, on=True)
            else:
                protect(mm, start, end - start, on=True)


def move(mm: AddressSpace, hva: int, source: int, size: int) -> None:
    """UFFDIO_MOVE of pages from `source` to missing pages at `hva`: announced where they were, in one range.

    A huge page that is moved in part is split, its mapping first, then its folio.
    """
    if (hva | source | size) % HUGE_BYTES:
        mm.split_huge_edges(source, source + size)
    with mm.invalidating(source, source + size):
        pass
    old = mm.pages.indices(0, source >> PAGE_SHIFT, (source + size) >> PAGE_SHIFT)
    new = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    for index in old.tolist():
        pfn = mm.pages.num[index]
        if mm.pages.pte[index] & (bits.PRESENT | bits.HUGE) == bits.PRESENT and mm.frames.folio[pfn]:
            folios.split(mm, index)
    mm.pages.pte[new], mm.pages.num[new] = mm.pages.pte[old], mm.pages.num[old]
    mm.pages.pte[old] = 0
    mm.pages.num[old] = 0
    mm.has_tables(new)
    held = new[mm.pages.pte[new] & bits.PRESENT != 0]
    held = held[mm.pages.num[held] != bits.ZERO_PFN]
    mm.frames.owner[mm.pages.num[held]] = held


def _set_protection(mm: AddressSpace, start: int, end: int, on: bool) -> None:
    index = mm.pages.indices(0, start >> PAGE_SHIFT, end >> PAGE_SHIFT)
    index = index[mm.pages.pte[index] & (bits.PRESENT | bits.SWAP) != 0]
    if on:
        mm.pages.pte[index] = mm.pages.pte[index] & ~np.uint16(bits.WRITE) | np.uint16(bits.UFFD_WP)
    else:
        mm.pages.pte[index] &= ~np.uint16(bits.UFFD_WP)


def zeropage(mm: AddressSpace, hva: int, size: int) -> None:
    """UFFDIO_ZEROPAGE: map the zero page at absent pages."""
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    index = index[mm.pages.pte[index] == 0]
    mm.pages.pte[index] = bits.PRESENT
    mm.pages.num[index] = bits.ZERO_PFN
    mm.has_tables(index)


def copy(mm: AddressSpace, hva: int, size: int) -> None:
    """UFFDIO_COPY without a fault: fill missing pages, as a post-copy migration's background stream does."""
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    index = index[(mm.pages.pte[index] == 0) & (mm.pages.vma[index] & bits.MAPPED != 0)]
    pfns = mm.frames.alloc(len(index))
    mm.pages.num[index] = pfns
    mm.has_tables(index)
    mm.pages.pte[index] = bits.PRESENT | bits.WRITE | bits.DIRTY | bits.SOFT_DIRTY
    mm.frames.owner[pfns] = index
    mm.frames.list_on(pfns, "inactive")
