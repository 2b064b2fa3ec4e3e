"""Transparent huge pages: 512 pages collapsed into one, by khugepaged or on demand."""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_BYTES, HUGE_PAGES, HUGE_SHIFT, PAGE_SHIFT
from slotlookup.model.host import bits
from slotlookup.model.host.faults import classify, resolve
from slotlookup.model.host.reclaim import unmap_file_page
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.host.vmas import File, Vma

MAX_PTES_NONE = HUGE_PAGES - 1
"""/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none."""
MAX_PTES_SWAP = 64
"""Swapped pages that khugepaged reads back for a collapse."""
MAX_PTES_SHARED = HUGE_PAGES // 2
"""Pages shared with a child that khugepaged tolerates in a collapse."""


def collapse_range(mm: AddressSpace, hva: int, size: int) -> int:
    """MADV_COLLAPSE of a range: the whole blocks of 2 MiB within it; returns the number collapsed."""
    first = -(-hva // HUGE_BYTES) * HUGE_BYTES
    return sum(collapse(mm, block) for block in range(first, hva + size - HUGE_BYTES + 1, HUGE_BYTES))


def collapse(mm: AddressSpace, hva: int, *, daemon: bool = False) -> bool:
    """Collapse the 2 MiB from `hva` on (MADV_COLLAPSE); returns whether it was possible.

    Absent pages are filled with zeros, swapped ones read back. The limits for absent, swapped and shared pages bind
    khugepaged (`daemon`) only.
    """
    vma = mm.vmas.at(hva)
    if vma is None or hva % HUGE_BYTES or hva + HUGE_BYTES > vma.end or vma.bits & bits.VM_NOHUGEPAGE:
        return False
    if vma.file is not None:
        return _collapse_file(mm, vma, vma.file, hva)
    start = mm.pages.find_one(0, hva >> PAGE_SHIFT)
    whole = np.arange(start, start + HUGE_PAGES)
    pte = mm.pages.pte[whole]
    if not mm.pages.block[start >> HUGE_SHIFT] & bits.TABLE or mm.frames.free <= 1024:
        return False
    swapped = whole[pte & bits.SWAP != 0]
    present = whole[(pte & bits.PRESENT != 0) & (mm.pages.num[whole] != bits.ZERO_PFN)]
    pfns = mm.pages.num[present].astype(np.int64)
    armed = vma.bits & (bits.VM_UFFD_MISSING | bits.VM_UFFD_WP)
    if (pte & (bits.HUGE | bits.UFFD_WP | bits.GUARD)).any() or (armed and len(present) + len(swapped) < HUGE_PAGES):
        return False
    shared = np.count_nonzero(~mm.exclusive(pfns))
    if daemon and (
        not len(present)
        or len(swapped) > MAX_PTES_SWAP
        or HUGE_PAGES - len(present) - len(swapped) > MAX_PTES_NONE
        or shared > MAX_PTES_SHARED
    ):
        return False
    ways = np.zeros(len(swapped), dtype=np.bool_)
    resolve(mm, swapped, ways, classify(mm, swapped, ways))
    with mm.invalidating(hva, hva + HUGE_BYTES):
        if len(np.unique(pfns)) < len(pfns):
            # A merged page is met twice, and cannot be locked the second time.
            return False
        held = whole[mm.pages.pte[whole] & bits.PRESENT != 0]
        soft = mm.pages.pte[whole] & bits.SOFT_DIRTY
        mm.frames.put(mm.pages.num[held].astype(np.int64))
        made = mm.frames.alloc(HUGE_PAGES)
        mm.frames.make_folio(made)
        mm.pages.num[whole] = made
        rights = bits.WRITE if vma.bits & bits.VM_WRITE else 0
        mm.pages.pte[whole] = soft | np.uint16(bits.PRESENT | bits.HUGE | bits.DIRTY | bits.YOUNG | rights)
        mm.frames.owner[made] = whole
        mm.frames.list_on(made, "inactive")
    mm.counters.collapsed += 1
    return True


def _collapse_file(mm: AddressSpace, vma: Vma, file: File, hva: int) -> bool:
    """collapse_file: each page is unmapped from every mapping, alone; then page tables go, mapping by mapping."""
    first = vma.file_page(hva >> PAGE_SHIFT)
    held = file.pfns[first : first + HUGE_PAGES]
    if first % HUGE_PAGES or len(held) < HUGE_PAGES or mm.frames.free <= 1024:
        return False
    number = mm.frames.folio[held]
    if (held >= 0).all() and number[0] and (number == number[0]).all():
        return True
    for at in range(first, first + HUGE_PAGES):
        if file.pfns[at] >= 0:
            unmap_file_page(mm, file, at)
    for other, start, end in mm.vmas.of_file(file, first, HUGE_PAGES):
        index = mm.pages.find_one(0, start >> PAGE_SHIFT)
        block = index >> HUGE_SHIFT
        whole = end - start == HUGE_BYTES and start % HUGE_BYTES == 0
        if whole and mm.pages.block[block] & bits.TABLE and not other.bits & bits.VM_UFFD_WP:
            with mm.invalidating(start, end):
                mm.pages.block[block] &= ~np.uint8(bits.TABLE)
    old = held[held >= 0].astype(np.int64)
    made = mm.frames.alloc(HUGE_PAGES)
    mm.frames.put(old)
    mm.frames.make_folio(made)
    file.pfns[first : first + HUGE_PAGES] = made
    mm.counters.collapsed += 1
    return True


def khugepaged(mm: AddressSpace, blocks: int) -> int:
    """Let khugepaged scan up to `blocks` blocks of 2 MiB of MADV_HUGEPAGE memory; returns the number it collapsed."""
    done = seen = 0
    for vma in mm.vmas:
        if not vma.bits & bits.VM_HUGEPAGE or vma.giant:
            continue
        for hva in range(-(-vma.start // HUGE_BYTES) * HUGE_BYTES, vma.end - HUGE_BYTES + 1, HUGE_BYTES):
            index = mm.pages.find_one(0, hva >> PAGE_SHIFT)
            if mm.pages.pte[index] & bits.HUGE or not mm.pages.pte[index : index + HUGE_PAGES].any():
                continue
            if seen == blocks:
                return done
            seen += 1
            done += collapse(mm, hva, daemon=True)
    return done
