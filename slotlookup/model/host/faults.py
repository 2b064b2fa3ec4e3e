"""A hypervisor's get_user_pages: find or allocate the frame of an hva, for many pages at once.

Most faults concern only their own page; `classify` finds these, and `resolve` performs any number of them. The others
(HARD: huge pages, files, userfaultfd's write protection) are handled one at a time by `fix`, which may itself
invalidate; they are then classified again.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import GIANT_PAGES, HUGE_PAGES, HUGE_SHIFT, PAGE_SHIFT
from slotlookup.arrays import Bools, Bytes, Ints
from slotlookup.errors import present
from slotlookup.model.host import bits
from slotlookup.model.host.space import AddressSpace


class Kind:
    """The kind of work of a fault. From ZERO_FILL to COPY a frame is allocated.

    Plain numbers: NumPy compares an array with a number in 1 us, with a member of an enumeration in 6 us.
    """

    READY = 0
    NUMA = 1
    ZERO_PAGE = 2
    REUSE = 3
    """A write to a page without other users, which need not be copied."""
    SWAP_CACHED = 4
    ZERO_FILL = 5
    UFFD_COPY = 6
    SWAP_READ = 7
    COPY = 8
    """A write to the zero page, or to a page that is shared: announced to the notifiers before it is performed."""
    HARD = 9
    BAD = 10
    COUNT = 11


def allocates(kinds: Bytes) -> Bools:
    """Which faults of `classify` allocate a frame."""
    return np.asarray((kinds >= Kind.ZERO_FILL) & (kinds <= Kind.COPY))


def classify(mm: AddressSpace, index: Ints, writes: Bools) -> Bytes:
    """The Kind of an access to each page table index. uint8[n]."""
    pte, vma = mm.pages.pte[index], mm.pages.vma[index]
    allowed = (vma & bits.VM_READ != 0) & (~writes | (vma & bits.VM_WRITE != 0))
    present = pte & bits.PRESENT != 0
    enough = present & (~writes | (pte & bits.WRITE != 0))
    hinted = pte & bits.NUMA != 0
    shared = present & ~enough & (pte & (bits.NUMA | bits.HUGE | bits.UFFD_WP) == 0)
    swapped = pte & (bits.SWAP | bits.UFFD_WP) == bits.SWAP
    easy = (pte == 0) & (vma & (bits.VM_SHARED | bits.VM_HUGEPAGE) == 0)
    missing = vma & bits.VM_UFFD_MISSING != 0
    kinds = np.full(len(index), Kind.HARD, dtype=np.uint8)
    kinds[enough] = Kind.READY
    kinds[enough & hinted] = Kind.NUMA
    kinds[easy & ~writes] = Kind.ZERO_PAGE
    kinds[easy & writes] = Kind.ZERO_FILL
    kinds[(pte == 0) & (vma & bits.VM_SHARED == 0) & missing] = Kind.UFFD_COPY
    if swapped.any():
        frame = mm.frames.swap_frame[mm.pages.num[index[swapped]]]
        # A swapped page that a child still holds is read in first, and then copied.
        shared_too = (frame >= 0) & (mm.frames.refs[frame] > 0) & writes[swapped]
        known = np.where(frame >= 0, Kind.SWAP_CACHED, Kind.SWAP_READ)
        kinds[swapped] = np.where(shared_too, Kind.HARD, known)
    if shared.any():
        alone = mm.exclusive(mm.pages.num[index[shared]].astype(np.int64)) | (vma[shared] & bits.VM_SHARED != 0)
        kinds[shared] = np.where(alone, Kind.REUSE, Kind.COPY)
    kinds[~allowed | (pte & bits.GUARD != 0)] = Kind.BAD
    return kinds


def resolve(mm: AddressSpace, index: Ints, writes: Bools, kinds: Bytes) -> tuple[Ints, Bools]:
    """Perform faults at distinct pages, none HARD or BAD: each page's frame, and whether it may be written.

    The caller has announced those of kind COPY. Raises OutOfHostMemory if there are not enough frames.
    """
    pages, frames, counters = mm.pages, mm.frames, mm.counters
    number = np.bincount(kinds, minlength=Kind.COUNT).tolist()
    if number[Kind.READY] < len(index):
        mm.has_tables(index)
        listed = kinds >= Kind.SWAP_CACHED
        new = allocates(kinds)
        where = index[new]
        old = pages.num[where].astype(np.int64)
        read, copied = kinds[new] == Kind.SWAP_READ, kinds[new] == Kind.COPY
        pfns = frames.alloc(len(where))
        frames.content[pfns[copied]] = frames.content[old[copied]]
        frames.put(old[copied])
        frames.put_slots(old[read])
        pages.num[where] = pfns
        kept = pages.pte[where] & (bits.SOFT_DIRTY)
        fresh = np.where(read, kept, bits.DIRTY | bits.SOFT_DIRTY).astype(np.uint16)
        pages.pte[where] = fresh | np.uint16(bits.PRESENT | bits.DIRTY)
        cached = index[kinds == Kind.SWAP_CACHED]
        if len(cached):
            found = frames.swap_frame[pages.num[cached]].astype(np.int64)
            frames.leave_swap_cache(found)
            frames.refs[found] += 1
            pages.num[cached] = found
            pages.pte[cached] = pages.pte[cached] & np.uint16(bits.SOFT_DIRTY) | np.uint16(bits.PRESENT | bits.DIRTY)
        zero = index[kinds == Kind.ZERO_PAGE]
        pages.num[zero] = bits.ZERO_PFN
        pages.pte[zero] = bits.PRESENT
        pages.pte[index[kinds == Kind.NUMA]] &= ~np.uint16(bits.NUMA)
        reused = index[kinds == Kind.REUSE]
        pages.pte[reused] |= bits.WRITE
        frames.flags[pages.num[reused]] &= ~np.uint8(bits.FORKED)
        mapped = index[listed]
        owned = pages.num[mapped].astype(np.int64)
        frames.owner[owned] = mapped
        may_write = pages.vma[mapped] & bits.VM_WRITE != 0
        may_write[may_write] = mm.exclusive(owned[may_write])
        pages.pte[mapped[may_write]] |= bits.WRITE
        frames.list_on(owned, "inactive")
        counters.minor += len(index) - number[Kind.READY] - number[Kind.SWAP_READ]
        counters.major += number[Kind.SWAP_READ]
        counters.zero_fills += number[Kind.ZERO_FILL]
        counters.zero_page += number[Kind.ZERO_PAGE]
        counters.swap_cache_hits += number[Kind.SWAP_CACHED]
        counters.uffd_missing += number[Kind.UFFD_COPY]
        counters.numa_hints += number[Kind.NUMA]
        counters.reused += number[Kind.REUSE]
        counters.cow += number[Kind.COPY]
    pages.pte[index] |= bits.YOUNG
    pfn = pages.num[index].astype(np.int64)
    written = index[writes]
    pages.pte[written] |= bits.DIRTY | bits.SOFT_DIRTY
    frames.flags[pfn[writes]] |= bits.FRAME_DIRTY
    frames.content[pfn[writes]] = 0
    return pfn, np.asarray(pages.pte[index] & bits.WRITE != 0)


def fix(mm: AddressSpace, page: int, write: bool) -> None:
    """Do the work that a HARD fault at an hva page needs first; the caller classifies again afterwards."""
    pages, frames, counters = mm.pages, mm.frames, mm.counters
    index = pages.find_one(0, page)
    pte, vma = int(pages.pte[index]), int(pages.vma[index])
    counters.minor += 1
    if pte == 0 and vma & bits.VM_SHARED:
        _map_file_page(mm, page, index, write)
    elif pte == 0:
        if not _fill_huge(mm, page, index, write):
            one, way = np.array([index]), np.array([write])
            resolve(mm, one, way, np.array([Kind.ZERO_FILL if write else Kind.ZERO_PAGE], dtype=np.uint8))
            counters.minor -= 1
    elif pte & bits.SWAP:
        one, way = np.array([index]), np.array([False])
        cached = frames.swap_frame[pages.num[index]] >= 0
        counters.minor -= 1
        resolve(mm, one, way, np.array([Kind.SWAP_CACHED if cached else Kind.SWAP_READ], dtype=np.uint8))
        if pte & bits.UFFD_WP:
            pages.pte[index] = pages.pte[index] & ~np.uint16(bits.WRITE) | bits.UFFD_WP
    elif pte & bits.NUMA:
        whole = np.array([index])
        if pte & bits.HUGE:
            span = GIANT_PAGES if pte & bits.GIANT else HUGE_PAGES
            whole = pages.indices(0, page & -span, (page & -span) + span)
        pages.pte[whole] &= ~np.uint16(bits.NUMA)
        counters.numa_hints += 1
    elif pte & bits.UFFD_WP and _is_async(mm, page):
        # The fault removes the protection itself, without an announcement; that of a huge page splits it first.
        if pte & bits.HUGE:
            mm.split_huge(page)
        pages.pte[index] &= ~np.uint16(bits.UFFD_WP)
    elif pte & bits.UFFD_WP:
        # The monitor saves the page and removes the write protection (UFFDIO_WRITEPROTECT of one page).
        mm.notifiers.invalidate_pages(np.array([page]))
        pages.pte[index] &= ~np.uint16(bits.UFFD_WP)
        counters.uffd_wp += 1
    elif write:
        _write_huge(mm, page, index)


def get_page(mm: AddressSpace, page: int, write: bool) -> tuple[Ints, Bools] | None:
    """One access to an hva page with all its work: its frame and whether it may be written; None if not permitted."""
    index, way = np.array([mm.pages.find_one(0, page)]), np.array([write])
    kind = classify(mm, index, way)
    while kind[0] == Kind.HARD:
        fix(mm, page, write)
        kind = classify(mm, index, way)
    if kind[0] == Kind.BAD:
        mm.counters.bad += 1
        return None
    if kind[0] == Kind.COPY:
        mm.notifiers.invalidate_pages(np.array([page]), change_pte=True)
    return resolve(mm, index, way, kind)


def _write_huge(mm: AddressSpace, page: int, index: int) -> None:
    """A write to a huge page that is mapped read-only: made writable if it is not shared, else split."""
    span = GIANT_PAGES if mm.is_giant(page) else HUGE_PAGES
    whole = mm.pages.indices(0, page & -span, (page & -span) + span)
    if mm.pages.num[index] == bits.ZERO_PFN and mm.frames.free >= span + mm.frames.total // 32:
        # The huge zero page is replaced by a huge page of its own (do_huge_zero_wp_pmd).
        start = (page & -span) << PAGE_SHIFT
        with mm.invalidating(start, start + (span << PAGE_SHIFT)):
            mm.pages.pte[whole] = 0
            _fill_huge(mm, page, index, True, table=True)
    elif mm.exclusive(mm.pages.num[whole].astype(np.int64)).all():
        mm.pages.pte[whole] |= bits.WRITE
        mm.counters.reused += 1
    else:
        mm.split_huge(page)


def _is_async(mm: AddressSpace, page: int) -> bool:
    vma = present(mm.vmas.at(page << PAGE_SHIFT), "the mapping of a faulting page")
    return bool(vma.bits & bits.VM_UFFD_ASYNC)


def touch(mm: AddressSpace, page: int, npages: int, write: bool) -> None:
    """The process accesses its own pages, in order."""
    end, window = page + npages, npages
    while page < end:
        count = min(end - page, window, mm.make_room())
        index = mm.pages.find(0, np.arange(page, page + count, dtype=np.int64))
        ways = np.full(len(index), write, dtype=np.bool_)
        kinds = classify(mm, index, ways)
        together = int(np.argmax(np.append(kinds, Kind.BAD) >= Kind.COPY))
        if together:
            resolve(mm, index[:together], ways[:together], kinds[:together])
        else:
            get_page(mm, page, write)
        # Pages that must be handled one at a time mostly follow each other.
        window = max(8, 2 * together)
        page += max(1, together)


_AROUND = 16
"""Pages of the aligned window that a read fault maps if the page cache has them (fault_around_bytes)."""


def _map_file_page(mm: AddressSpace, page: int, index: int, write: bool) -> None:
    vma = present(mm.vmas.at(page << PAGE_SHIFT), "the mapping of a faulting page")
    file = present(vma.file, "the file of a shared mapping")
    at = vma.file_page(page)
    if file.pfns[at] < 0:
        file.pfns[at] = mm.frames.alloc(1)[0]
        mm.counters.zero_fills += 1
    first = page & -HUGE_PAGES
    held = file.pfns[vma.file_page(first) : vma.file_page(first) + HUGE_PAGES] if vma.file_page(first) >= 0 else None
    empty = not mm.pages.block[index >> HUGE_SHIFT] & bits.TABLE
    inside = vma.start <= first << PAGE_SHIFT and (first + HUGE_PAGES) << PAGE_SHIFT <= vma.end
    pages = np.array([page], dtype=np.int64)
    huge = 0
    if empty and inside and held is not None and len(held) == HUGE_PAGES and (held >= 0).all():
        number = mm.frames.folio[held]
        if number[0] and (number == number[0]).all() and mm.frames.place[held[0]] == 0:
            pages, huge = np.arange(first, first + HUGE_PAGES, dtype=np.int64), bits.HUGE
    if not huge and not write:
        low = max(page & -_AROUND, vma.start >> PAGE_SHIFT)
        pages = np.arange(low, min((page & -_AROUND) + _AROUND, vma.end >> PAGE_SHIFT), dtype=np.int64)
        pages = pages[pages - page + at < file.npages]
        pages = pages[(file.pfns[pages - page + at] >= 0) & (mm.pages.pte[mm.pages.find(0, pages)] == 0)]
    where = mm.pages.find(0, pages)
    pfns = file.pfns[pages - page + at]
    mm.frames.refs[pfns] += 1
    mm.frames.owner[pfns] = where
    mm.pages.num[where] = pfns
    mm.pages.pte[where] = bits.PRESENT | huge | (bits.WRITE if vma.bits & bits.VM_WRITE else 0)
    mm.has_tables(where)


def _fill_huge(mm: AddressSpace, page: int, index: int, write: bool, table: bool = False) -> bool:
    """Fill the 2 MiB (1 GiB in hugetlbfs) around a page at once, if its mapping covers them.

    There must be no page table (`table` permits one), even an empty one. A read maps the huge zero page.
    """
    vma = present(mm.vmas.at(page << PAGE_SHIFT), "the mapping of a faulting page")
    span = GIANT_PAGES if vma.giant else HUGE_PAGES
    start = (page & -span) << PAGE_SHIFT
    if start < vma.start or start + (span << PAGE_SHIFT) > vma.end:
        return False
    whole = mm.pages.indices(0, page & -span, (page & -span) + span)
    there = not table and bool(mm.pages.block[index >> HUGE_SHIFT] & bits.TABLE)
    if there or mm.pages.pte[whole].any() or (not vma.giant and mm.frames.free < span + mm.frames.total // 32):
        return False
    mm.has_tables(whole)
    if not write and not vma.giant:
        mm.pages.num[whole] = bits.ZERO_PFN
        mm.pages.pte[whole] = bits.PRESENT | bits.HUGE
        mm.counters.zero_page += span
        return True
    pfns = mm.frames.alloc(span)
    mm.pages.num[whole] = pfns
    made = bits.PRESENT | bits.DIRTY | bits.SOFT_DIRTY | bits.HUGE | (bits.WRITE if vma.bits & bits.VM_WRITE else 0)
    mm.pages.pte[whole] = made | (bits.GIANT if vma.giant else 0)
    mm.frames.owner[pfns] = whole
    if not vma.giant:
        mm.frames.make_folio(pfns)
        mm.frames.list_on(pfns, "inactive")
    mm.counters.zero_fills += span
    return True
