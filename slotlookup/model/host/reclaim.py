"""Reclaim: two lists, ageing, the swap cache.

New pages join the inactive list. Its front is aged (clear_flush_young): an old page is unmapped into the swap cache;
a young one is rotated and, if it is young again, moved to the active list. The active list's front moves back to the
inactive list if the active list is longer. Pages in the swap cache are written out and freed oldest first, one round
later, so that an access in between costs a minor fault.

Left out: lists of file pages and of merged pages, which stay; readahead; refault distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotlookup.address import HUGE_PAGES, PAGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.errors import OutOfHostMemory
from slotlookup.model.host import bits, folios
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.host.vmas import File


@dataclass(frozen=True, slots=True)
class Watermarks:
    """In frames: below `low` reclaim runs, until `high` are free; `cached` pages stay in the swap cache."""

    low: int
    high: int
    cached: int

    @classmethod
    def of(cls, total: int) -> Watermarks:
        """Marks in proportion to the host's memory: 1/128, 1/32, 1/64."""
        return cls(max(2, total // 128), max(4, total // 32), max(1, total // 64))


def reclaim(mm: AddressSpace, marks: Watermarks) -> None:
    """kswapd: free frames up to the high mark. Raises OutOfHostMemory if no frame can be freed."""
    wanted = marks.high - mm.frames.free
    if wanted <= 0:
        return
    shrink(mm, wanted + marks.cached - mm.frames.counts["cached"])
    mm.counters.written_out += mm.frames.write_out(marks.high - mm.frames.free)
    if mm.frames.free <= marks.low:
        raise OutOfHostMemory(
            f"the host has {mm.frames.free:,} of {mm.frames.total:,} frames left and none to reclaim; "
            "increase its memory"
        )


def shrink(mm: AddressSpace, wanted: int) -> int:
    """Unmap `wanted` pages, the least recently used ones first; returns the number found."""
    frames = mm.frames
    done = 0
    patience = 2 * (frames.counts["active"] + frames.counts["inactive"])
    while done < wanted:
        # Lists of equal length, as in Linux for hosts of up to 1 GiB, so that the active list always supplies pages.
        excess = frames.counts["active"] - frames.counts["inactive"]
        if excess > 0:
            _deactivate(mm, frames.active.take((excess + 1) // 2))
        pfns = frames.inactive.take(wanted - done)
        if not len(pfns):
            break
        patience -= len(pfns)
        done += _shrink_list(mm, pfns, force=patience < 0)
    return done


def _mapped(mm: AddressSpace, pfns: Ints) -> Ints:
    """The frames that the process still maps; frames that only a child holds are removed from the lists."""
    owner = mm.frames.owner[pfns]
    here = (mm.pages.num[owner] == pfns) & (mm.pages.pte[owner] & bits.PRESENT != 0)
    mm.frames.unlist(pfns[~here])
    kept: Ints = pfns[here]
    return kept


def _deactivate(mm: AddressSpace, pfns: Ints) -> None:
    """Move the front of the active list to the inactive list and clear its accessed bits."""
    pfns = _mapped(mm, pfns)
    index = mm.frames.owner[pfns].astype(np.int64)
    mm.counters.aged += len(pfns)
    mm.notifiers.clear_young(mm.pages.page_of(index), flush=True)
    mm.pages.pte[index] &= ~np.uint16(bits.YOUNG)
    mm.frames.list_on(pfns, "inactive")


def _shrink_list(mm: AddressSpace, pfns: Ints, force: bool) -> int:
    """Age frames from the inactive list's front and unmap those that are old; returns the number of unmapped frames."""
    frames, pages, counters = mm.frames, mm.pages, mm.counters
    pfns = _mapped(mm, pfns)
    index = frames.owner[pfns].astype(np.int64)
    hva_pages = pages.page_of(index)
    for page in np.unique(hva_pages[pages.pte[index] & bits.HUGE != 0] & -HUGE_PAGES).tolist():
        folios.split(mm, mm.pages.find_one(0, page))
    frames.folio[pfns] = 0
    young = pages.pte[index] & bits.YOUNG != 0
    counters.aged += len(pfns)
    young = mm.notifiers.age_and_invalidate(hva_pages, young, force) | young
    pages.pte[index] &= ~np.uint16(bits.YOUNG)
    if force:
        counters.forced += int(np.count_nonzero(young))
        young[:] = False
    counters.kept_young += int(np.count_nonzero(young))
    again = frames.flags[pfns] & bits.REFERENCED != 0
    once = pfns[young & ~again]
    frames.flags[once] |= bits.REFERENCED
    frames.list_on(once, "inactive")
    frames.flags[pfns[young & again]] &= ~np.uint8(bits.REFERENCED)
    frames.list_on(pfns[young & again], "active")
    return unmap(mm, index[~young])


def unmap(mm: AddressSpace, index: Ints) -> int:
    """Move announced pages from the page tables to the swap cache, or drop them after MADV_FREE."""
    frames, pages, counters = mm.frames, mm.pages, mm.counters
    pfns = pages.num[index].astype(np.int64)
    pte = pages.pte[index]
    clean = (pte & bits.DIRTY == 0) & (frames.flags[pfns] & bits.FRAME_DIRTY == 0)
    drop = (pte & bits.LAZYFREE != 0) & clean
    dropped = index[drop]
    pages.pte[dropped] = 0
    pages.num[dropped] = 0
    counters.lazily_freed += len(dropped)
    kept, held = index[~drop], pfns[~drop]
    frames.flags[held] &= ~np.uint8(bits.REFERENCED)
    slots = frames.add_to_swap(held)
    frames.refs[held] -= 1
    pages.pte[kept] = pte[~drop] & np.uint16(bits.SOFT_DIRTY | bits.UFFD_WP) | np.uint16(bits.SWAP)
    pages.num[kept] = slots
    frames.put(pfns[drop])
    counters.evicted += len(kept)
    return len(index)


def pageout(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_PAGEOUT: unmap and write out the pages of a range, used or not, one by one.

    A huge page is split first, as if swap were a file: its head goes first, then its tails from the last one on. Pages
    that a child or another mapping has too stay.
    """
    mm.frames.drain_batch()
    for vma in mm.vmas.meeting(hva, hva + size):
        for start, end in folios.pieces(max(hva, vma.start), min(hva + size, vma.end)):
            folios.split_partial(mm, start, end)
            index = mm.pages.indices(0, start >> PAGE_SHIFT, end >> PAGE_SHIFT)
            index = index[mm.pages.pte[index] & bits.PRESENT != 0]
            if vma.file is not None:
                for page in mm.pages.page_of(index).tolist():
                    _pageout_file_page(mm, vma.file, vma.file_page(page))
                continue
            pfns = mm.pages.num[index].astype(np.int64)
            index = index[mm.exclusive(pfns) & (mm.frames.flags[pfns] & bits.LISTED != 0)]
            if len(index) and mm.frames.folio[mm.pages.num[index[0]]]:
                if len(index) < HUGE_PAGES:
                    continue
                folios.split(mm, int(index[0]))
                index = np.concatenate([index[:1], index[:0:-1]])
            mm.notifiers.invalidate_pages(mm.pages.page_of(index))
            mm.pages.pte[index] &= ~np.uint16(bits.YOUNG)
            unmap(mm, index)
    mm.counters.written_out += mm.frames.write_out(mm.frames.counts["cached"])


def _pageout_file_page(mm: AddressSpace, file: File, at: int) -> None:
    """A page that one mapping has is written to swap; its next fault reads it."""
    pfn = file.pfns[at : at + 1].astype(np.int64)
    if mm.frames.refs[pfn[0]] == 2 and not mm.frames.folio[pfn[0]]:
        unmap_file_page(mm, file, at)
        mm.frames.put(pfn)
        file.pfns[at] = -1
        mm.counters.evicted += 1


def unmap_file_page(mm: AddressSpace, file: File, at: int) -> None:
    """try_to_unmap of a page of a file: announced in each mapping in the order of i_mmap, until none has it.

    A mapping is announced before its page tables are looked at, so those without the page are announced too.
    """
    pfn = int(file.pfns[at])
    for _, start, end in mm.vmas.of_file(file, at, 1):
        if mm.frames.refs[pfn] == 1:
            return
        with mm.invalidating(start, end):
            mm.zap(start, end)
