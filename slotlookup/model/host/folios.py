"""Large folios: 512 frames that are one object to the kernel, however their pages are mapped.

Splitting a huge mapping (split_huge_pmd) leaves the folio as it is. Splitting the folio unmaps it from every mapping
first (unmap_folio), and announces the folio's range in each, whether pages of it are mapped there or not.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from slotlookup.address import HUGE_BYTES, HUGE_PAGES, PAGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.model.host import bits
from slotlookup.model.host.space import AddressSpace


def split(mm: AddressSpace, index: int) -> None:
    """split_folio of the large folio at a page table index: its pages become folios of their own."""
    pfn = int(mm.pages.num[index])
    page = int(mm.pages.page_of(np.array([index]))[0]) - int(mm.frames.place[pfn])
    start, end = page << PAGE_SHIFT, (page + HUGE_PAGES) << PAGE_SHIFT
    number = mm.frames.folio[pfn]
    vma = mm.vmas.at(int(mm.pages.page_of(np.array([index]))[0]) << PAGE_SHIFT)
    if vma is not None and vma.file is not None:
        # Pages of a file are not mapped again; the next access finds them in the page cache.
        first = vma.file_page(page)
        for _, low, high in mm.vmas.of_file(vma.file, first, HUGE_PAGES):
            with mm.invalidating(low, high):
                mm.zap(low, high)
        held = vma.file.pfns[first : first + HUGE_PAGES]
        mm.frames.folio[held[held >= 0]] = 0
    else:
        for part in mm.vmas.meeting(start, end):
            with mm.invalidating(max(start, part.start), min(end, part.end)):
                pass
        whole = mm.pages.indices(0, page, page + HUGE_PAGES)
        present = whole[mm.pages.pte[whole] & bits.PRESENT != 0]
        own = present[mm.frames.folio[mm.pages.num[present]] == number]
        mm.pages.pte[own] &= ~np.uint16(bits.HUGE)
        mm.frames.folio[mm.pages.num[own]] = 0
    mm.counters.split += 1


def pieces(start: int, end: int) -> list[tuple[int, int]]:
    """[start, end) in parts that are each within one block of 2 MiB."""
    edges = [start, *range(start // HUGE_BYTES * HUGE_BYTES + HUGE_BYTES, end, HUGE_BYTES), end]
    return list(pairwise(edges))


def shared(mm: AddressSpace, index: Ints) -> bool:
    """folio_maybe_mapped_shared: whether a child, too, maps pages at these indices."""
    pfns = mm.pages.num[index].astype(np.int64)
    vma = mm.pages.vma[index[:1]]
    mine = np.isin(pfns, np.concatenate([child.pfns for child in mm.children])) if mm.children else False
    return bool(np.any(mine)) and not bool((vma & bits.VM_SHARED).any())


def split_partial(mm: AddressSpace, start: int, end: int) -> None:
    """What MADV_COLD, FREE and PAGEOUT do with the large folios of [start, end), which is within one block.

    A folio that the range covers in part is split, unless a child maps it too: then it is left alone. The huge zero
    page is left alone in any case.
    """
    for index in mm.pages.indices(0, start >> PAGE_SHIFT, end >> PAGE_SHIFT).tolist():
        pte, pfn = int(mm.pages.pte[index]), int(mm.pages.num[index])
        if not pte & bits.PRESENT or not mm.frames.folio[pfn]:
            continue
        part = mm.pages.indices(0, start >> PAGE_SHIFT, end >> PAGE_SHIFT)
        part = part[mm.pages.pte[part] & bits.PRESENT != 0]
        part = part[mm.frames.folio[mm.pages.num[part]] == mm.frames.folio[pfn]]
        if len(part) < HUGE_PAGES and not shared(mm, part):
            split(mm, index)
        elif len(part) == HUGE_PAGES:
            return
