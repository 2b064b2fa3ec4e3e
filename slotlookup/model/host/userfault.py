"""userfaultfd: a monitor in user space fills missing pages and permits writes to protected ones.

The monitor answers every fault at once: a missing page is copied in (UFFDIO_COPY), a write-protected one is saved and
its protection removed. The waiting time is not modelled; the events are counted.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_PAGES, PAGE_SHIFT
from slotlookup.model.host import bits
from slotlookup.model.host.space import AddressSpace


def register(mm: AddressSpace, hva: int, size: int, *, missing: bool = False, wp: bool = False) -> None:
    """UFFDIO_REGISTER. It removes nothing, so nothing is announced."""
    wanted = (bits.VM_UFFD_MISSING if missing else 0) | (bits.VM_UFFD_WP if wp else 0)
    mm.set_vma_bits(hva, size, wanted, bits.VM_UFFD_MISSING | bits.VM_UFFD_WP)


def unregister(mm: AddressSpace, hva: int, size: int) -> None:
    """UFFDIO_UNREGISTER: write protection is removed first."""
    for vma in mm.vmas.meeting(hva, hva + size):
        if vma.bits & bits.VM_UFFD_WP:
            protect(mm, max(hva, vma.start), min(hva + size, vma.end) - max(hva, vma.start), on=False)
    mm.set_vma_bits(hva, size, 0, bits.VM_UFFD_MISSING | bits.VM_UFFD_WP)


def protect(mm: AddressSpace, hva: int, size: int, *, on: bool) -> None:
    """UFFDIO_WRITEPROTECT. Removing it does not make pages writable: the fault of the next write does."""
    with mm.invalidating(hva, hva + size):
        index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
        for page in np.unique(mm.pages.page_of(index[mm.pages.pte[index] & bits.HUGE != 0]) & -HUGE_PAGES).tolist():
            mm.split_huge(page)
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


def copy(mm: AddressSpace, hva: int, size: int) -> None:
    """UFFDIO_COPY without a fault: fill missing pages, as a post-copy migration's background stream does."""
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    index = index[(mm.pages.pte[index] == 0) & (mm.pages.vma[index] & bits.MAPPED != 0)]
    pfns = mm.frames.alloc(len(index))
    mm.pages.num[index] = pfns
    mm.pages.pte[index] = bits.PRESENT | bits.WRITE | bits.DIRTY | bits.SOFT_DIRTY
    mm.frames.owner[pfns] = index
    mm.frames.list_on(pfns, "inactive")
