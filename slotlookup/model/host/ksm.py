"""Kernel samepage merging: pages of equal content share one write-protected frame until one is written.

As in ksmd: a page with new content is remembered; the second page of that content becomes the merged frame and the
first joins it; later ones join until a frame has the maximum number of sharers, and then another frame is started. A
page that joins is announced twice (write protection, then replacement), one that becomes the frame once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slotlookup.address import PAGE_SHIFT
from slotlookup.model.host import bits, folios
from slotlookup.model.host.faults import get_page
from slotlookup.model.host.space import AddressSpace

ZERO_CONTENT = -1
"""The content of a page of zeros."""
MAX_PAGE_SHARING = 256
"""/sys/kernel/mm/ksm/max_page_sharing."""


def set_content(mm: AddressSpace, hva: int, contents: npt.ArrayLike) -> None:
    """Set the contents of the pages from `hva` on, one int32 per page: equal for equal contents, 0 for unknown.

    The host writes them, so absent pages become present. A later write makes a page different from all others.
    """
    values = np.atleast_1d(np.asarray(contents, dtype=np.int32))
    for at, value in enumerate(values.tolist()):
        got = get_page(mm, (hva >> PAGE_SHIFT) + at, write=True)
        if got is not None:
            mm.frames.content[got[0]] = value
    mm.notifiers.forget_writes((hva >> PAGE_SHIFT) + np.arange(len(values), dtype=np.int64))


def scan(mm: AddressSpace, hva: int, npages: int, *, use_zero_pages: bool = False) -> int:
    """Let ksmd pass once over the mergeable pages among `npages` from `hva` on; returns the number of merged pages.

    `use_zero_pages` merges pages of ZERO_CONTENT with the zero page; otherwise (the kernel's default) with each other.
    A page in a large folio is split off first; two pages of one large folio are not merged in the pass that splits it.
    """
    frames, pages = mm.frames, mm.pages
    first = hva >> PAGE_SHIFT
    index = pages.indices(0, first, first + npages)
    index = index[(pages.vma[index] & bits.VM_MERGEABLE != 0) & (pages.pte[index] & bits.PRESENT != 0)]
    index = index[pages.num[index] != bits.ZERO_PFN]
    waiting: dict[int, int] = {}
    merged = 0
    for entry in index.tolist():
        pfn = int(pages.num[entry])
        if frames.flags[pfn] & bits.KSM:
            continue
        content = int(frames.content[pfn])
        if content == 0:
            continue
        if use_zero_pages and content == ZERO_CONTENT:
            _split(mm, entry)
            merged += _join(mm, entry, content, bits.ZERO_PFN)
        elif (target := mm.stable.get(content)) is not None and _takes_more(mm, target, content):
            _split(mm, entry)
            merged += _join(mm, entry, content, target)
        elif content in waiting and int(frames.content[pages.num[waiting[content]]]) == content:
            first = int(pages.num[waiting[content]])
            if frames.folio[pfn] and frames.folio[pfn] == frames.folio[first]:
                _split(mm, entry)
                continue
            _split(mm, entry)
            _found(mm, entry)
            if int(frames.content[pfn]) == content:
                frames.flags[pfn] |= bits.KSM
                frames.unlist(np.array([pfn]))
                mm.stable[content] = pfn
                _split(mm, waiting[content])
                merged += 1 + _join(mm, waiting.pop(content), content, pfn)
        else:
            waiting[content] = entry
    mm.counters.merged += merged
    return merged


def unmerge(mm: AddressSpace, hva: int, size: int) -> None:
    """MADV_UNMERGEABLE: every merged page of the range gets a frame of its own again."""
    break_pages(mm, hva, size)
    mm.set_vma_bits(hva, size, 0, bits.VM_MERGEABLE)


def break_pages(mm: AddressSpace, hva: int, size: int) -> None:
    """break_ksm: a write fault at each merged page of the range."""
    index = mm.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
    index = index[mm.pages.pte[index] & bits.PRESENT != 0]
    zero = (mm.pages.num[index] == bits.ZERO_PFN) & (mm.pages.pte[index] & bits.DIRTY != 0)
    index = index[zero | (mm.frames.flags[mm.pages.num[index]] & bits.KSM != 0)]
    for page in mm.pages.page_of(index).tolist():
        get_page(mm, page, write=True)
        mm.counters.unmerged += 1


def _split(mm: AddressSpace, entry: int) -> None:
    if mm.frames.folio[mm.pages.num[entry]]:
        folios.split(mm, entry)


def _takes_more(mm: AddressSpace, pfn: int, content: int) -> bool:
    frames = mm.frames
    alive = bool(frames.flags[pfn] & bits.KSM) and int(frames.content[pfn]) == content
    return alive and int(frames.refs[pfn]) < MAX_PAGE_SHARING


def _found(mm: AddressSpace, entry: int) -> None:
    """write_protect_page: announced, since the guest may be writing; afterwards its writes are visible."""
    mm.notifiers.invalidate_pages(mm.pages.page_of(np.array([entry])))
    mm.pages.pte[entry] &= ~np.uint16(bits.WRITE)


def _join(mm: AddressSpace, entry: int, content: int, target: int) -> int:
    """Let a page share the merged frame, if it still has that content; returns 1 if so."""
    _found(mm, entry)
    old = mm.pages.num[entry : entry + 1].astype(np.int64)
    if int(mm.frames.content[old[0]]) != content:
        return 0
    mm.notifiers.invalidate_pages(mm.pages.page_of(np.array([entry])), change_pte=True)
    if target != bits.ZERO_PFN:
        mm.frames.refs[target] += 1
    else:
        # A zero page of KSM is known by its dirty bit (is_ksm_zero_pte).
        mm.pages.pte[entry] |= bits.DIRTY
    mm.frames.put(old)
    mm.pages.num[entry] = target
    return 1
