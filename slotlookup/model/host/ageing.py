"""Queries of page ages by others than reclaim: DAMON, which samples, and idle page tracking, which does not."""

from __future__ import annotations

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.model.host import bits
from slotlookup.model.host.space import AddressSpace


def idle_scan(mm: AddressSpace, hva: int, npages: int) -> int:
    """Write, then read /sys/kernel/mm/page_idle/bitmap over a range: clear_young of present pages; the young."""
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva >> PAGE_SHIFT) + npages)
    return _ask(mm, index[mm.pages.pte[index] & bits.PRESENT != 0])


def damon_prepare(mm: AddressSpace, hva: int, npages: int, regions: int, draw: np.random.Generator) -> Ints:
    """The first half of a DAMON sampling interval: one page of each region is made old; returns these pages."""
    first = hva >> PAGE_SHIFT
    edges = first + np.arange(regions + 1, dtype=np.int64) * npages // regions
    pages = edges[:-1] + (draw.random(regions) * np.diff(edges)).astype(np.int64)
    index = mm.pages.find(0, pages)
    index = index[mm.pages.pte[index] & bits.PRESENT != 0]
    _ask(mm, index)
    return mm.pages.page_of(index)


def damon_check(mm: AddressSpace, pages: Ints) -> int:
    """The second half: the number of sampled pages that were used since (test_young)."""
    index = mm.pages.find(0, pages)
    young = mm.pages.pte[index] & bits.YOUNG != 0
    # The host's own bit is tested first; a young page needs no notifier.
    asked = np.flatnonzero(~young)
    young[asked] = mm.notifiers.test_young(pages[asked])
    return int(np.count_nonzero(young))


def _ask(mm: AddressSpace, index: Ints) -> int:
    """clear_young of present pages: the host's bit and the notifiers', which are called in any case."""
    young = mm.pages.pte[index] & bits.YOUNG != 0
    mm.pages.pte[index] &= ~np.uint16(bits.YOUNG)
    # The observed accesses must not be lost to reclaim.
    young |= mm.notifiers.clear_young(mm.pages.page_of(index), flush=False)
    pfns = mm.pages.num[index[young]]
    mm.frames.flags[pfns[pfns != bits.ZERO_PFN]] |= bits.REFERENCED
    return int(np.count_nonzero(young))
