"""Advice that reaches large folios or page tables: COLD, FREE, guard pages, mlock, MADV_DONTFORK and WIPEONFORK.

process_madvise from another process does the same to the address space that it names.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_PAGES, PAGE_SHIFT
from slotlookup.errors import UsageError
from slotlookup.model.host import bits, folios
from slotlookup.model.host.faults import touch
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.host.vmas import check_range


def free(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_FREE: private pages may be dropped by reclaim unless they are written again."""
    check_range(hva, size)
    refuse_locked(mm, hva, size, "MADV_FREE")
    for vma in mm.vmas.meeting(hva, hva + size):
        if vma.file is not None:
            raise UsageError("MADV_FREE takes private memory only")
        start, end = max(hva, vma.start), min(hva + size, vma.end)
        with mm.invalidating(start, end):
            for low, high in folios.pieces(start, end):
                folios.split_partial(mm, low, high)
                index = mm.pages.indices(0, low >> PAGE_SHIFT, high >> PAGE_SHIFT)
                if len(index) < HUGE_PAGES and (mm.pages.pte[index] & bits.HUGE).any():
                    continue
                pte, num = mm.pages.pte[index], mm.pages.num[index]
                swapped = index[pte & bits.SWAP != 0]
                mm.frames.drop_slots(mm.pages.num[swapped].astype(np.int64))
                mm.pages.pte[swapped] = 0
                present = index[(pte & bits.PRESENT != 0) & (num != bits.ZERO_PFN)]
                clean = ~np.uint16(bits.YOUNG | bits.DIRTY)
                mm.pages.pte[present] = mm.pages.pte[present] & clean | bits.LAZYFREE
                pfns = mm.pages.num[present].astype(np.int64)
                mm.frames.flags[pfns] &= ~np.uint8(bits.REFERENCED | bits.FRAME_DIRTY)
                mm.frames.batch_up(pfns)


def cold(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_COLD: mark the pages as old, without querying the guest's accesses."""
    check_range(hva, size)
    refuse_locked(mm, hva, size, "MADV_COLD")
    for vma in mm.vmas.meeting(hva, hva + size):
        for low, high in folios.pieces(max(hva, vma.start), min(hva + size, vma.end)):
            folios.split_partial(mm, low, high)
            index = mm.pages.indices(0, low >> PAGE_SHIFT, high >> PAGE_SHIFT)
            index = index[mm.pages.pte[index] & bits.PRESENT != 0]
            mm.pages.pte[index] &= ~np.uint16(bits.YOUNG)
            pfns = np.unique(mm.pages.num[index].astype(np.int64))
            mm.frames.flags[pfns] &= ~np.uint8(bits.REFERENCED)
            active = pfns[mm.frames.flags[pfns] & bits.ACTIVE != 0]
            mm.frames.list_on(active, "inactive")


def install_guards(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_GUARD_INSTALL: accesses are not permitted. Announced, per mapping, only where pages must go first."""
    check_range(hva, size)
    refuse_locked(mm, hva, size, "MADV_GUARD_INSTALL")
    for vma in mm.vmas.meeting(hva, hva + size):
        start, end = max(hva, vma.start), min(hva + size, vma.end)
        index = mm.pages.indices(0, start >> PAGE_SHIFT, end >> PAGE_SHIFT)
        if (mm.pages.pte[index] & ~np.uint16(bits.GUARD)).any():
            with mm.invalidating(start, end):
                mm.split_huge_edges(start, end)
                mm.zap(start, end, keep_guards=True)
        mm.pages.pte[index] = bits.GUARD
        mm.has_tables(index)
        vma.anon |= vma.file is None


def remove_guards(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_GUARD_REMOVE: it only permits, so nothing is announced."""
    check_range(hva, size)
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    mm.pages.pte[index[mm.pages.pte[index] & bits.GUARD != 0]] = 0


def mlock(mm: AddressSpace, hva: int, size: int) -> None:
    """mlock: mappings are split at its ends, then every page is faulted in; the zero page is copied."""
    mm.set_vma_bits(hva, size, bits.VM_LOCKED, bits.VM_LOCKED)
    populate(mm, hva, size)


def munlock(mm: AddressSpace, hva: int, size: int) -> None:
    """munlock: it removes nothing."""
    mm.set_vma_bits(hva, size, 0, bits.VM_LOCKED)


def populate(mm: AddressSpace, hva: int, size: int) -> None:
    """populate_vma_page_range: writes to private mappings that permit it, reads of others."""
    for vma in mm.vmas.meeting(hva, hva + size):
        start, end = max(hva, vma.start), min(hva + size, vma.end)
        if vma.bits & bits.VM_READ:
            write = vma.bits & (bits.VM_WRITE | bits.VM_SHARED) == bits.VM_WRITE
            touch(mm, start >> PAGE_SHIFT, (end - start) >> PAGE_SHIFT, write)


def refuse_locked(mm: AddressSpace, hva: int, size: int, what: str) -> None:
    """Raise UsageError if a mapping in the range is locked, as the kernel fails with EINVAL."""
    for vma in mm.vmas.meeting(hva, hva + size):
        if vma.bits & bits.VM_LOCKED:
            raise UsageError(f"{what} of [{hva:#x}, {hva + size:#x}): [{vma.start:#x}, {vma.end:#x}) is locked")
