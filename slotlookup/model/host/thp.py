"""Transparent huge pages: 512 pages collapsed into one, by khugepaged or on demand."""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_BYTES, HUGE_PAGES, PAGE_SHIFT
from slotlookup.model.host import bits
from slotlookup.model.host.faults import classify, resolve
from slotlookup.model.host.space import AddressSpace

MAX_PTES_NONE = HUGE_PAGES - 1
"""/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none."""
MAX_PTES_SWAP = 64
"""Swapped pages that khugepaged reads back for a collapse."""


def collapse(mm: AddressSpace, hva: int) -> bool:
    """Collapse the 2 MiB from `hva` on (MADV_COLLAPSE); returns whether it was possible.

    Absent pages are filled with zeros, swapped ones read back. Blocks with shared pages are not collapsed.
    """
    vma = mm.vmas.at(hva)
    if vma is None or hva % HUGE_BYTES or vma.file is not None or hva + HUGE_BYTES > vma.end:
        return False
    start = mm.pages.find_one(0, hva >> PAGE_SHIFT)
    whole = np.arange(start, start + HUGE_PAGES)
    swapped = whole[mm.pages.pte[whole] & bits.SWAP != 0]
    present = whole[mm.pages.pte[whole] & bits.PRESENT != 0]
    pfns = mm.pages.num[present].astype(np.int64)
    fits = len(present) and len(swapped) <= MAX_PTES_SWAP and HUGE_PAGES - len(present) <= MAX_PTES_NONE
    if not fits or mm.frames.free <= 1024 or (mm.pages.pte[whole] & (bits.HUGE | bits.UFFD_WP)).any():
        return False
    if not (mm.exclusive(pfns) | (pfns == bits.ZERO_PFN)).all():
        return False
    ways = np.zeros(len(swapped), dtype=np.bool_)
    resolve(mm, swapped, ways, classify(mm, swapped, ways))
    with mm.invalidating(hva, hva + HUGE_BYTES):
        held = whole[mm.pages.pte[whole] & bits.PRESENT != 0]
        soft = mm.pages.pte[whole] & bits.SOFT_DIRTY
        mm.frames.put(mm.pages.num[held].astype(np.int64))
        made = mm.frames.alloc(HUGE_PAGES)
        mm.pages.num[whole] = made
        rights = bits.WRITE if vma.bits & bits.VM_WRITE else 0
        mm.pages.pte[whole] = soft | np.uint16(bits.PRESENT | bits.HUGE | bits.DIRTY | bits.YOUNG | rights)
        mm.frames.owner[made] = whole
        mm.frames.list_on(made, "inactive")
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
            done += collapse(mm, hva)
    return done
