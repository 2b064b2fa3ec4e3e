"""hugepages: memory is allocated in blocks of 2 MiB, split when one page of a block is dropped, and collapsed again.

The first touch of a block fills and maps it whole. Dropping one page splits the block: a visit of the page within a
visit of the block. The remaining pages are mapped one by one until khugepaged collapses the block.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import HUGE_PAGES, PAGE_SHIFT
from slotlookup.model.host import Host, thp
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, lay_out, vcpus, writes

_BATCH = 1 << 12
_SPLIT = 32
"""Blocks that are split, accessed and collapsed again at a time."""
_DROPPED = 4
"""Blocks that are dropped whole."""


class HugePages(Scenario):
    """Slots whose gfn and hva agree in their low bits, so that huge pages are mapped as huge pages."""

    name = "hugepages"
    summary = "huge pages are filled, split and collapsed"
    stresses = "visits of 2 MiB around visits of single pages, one lookup for a whole block"
    slots = 16
    default_events = 50_000

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        # Slots smaller than a block contain no huge page and need no alignment.
        align = HUGE_PAGES if size.memory >> PAGE_SHIFT >= HUGE_PAGES * size.slots else 1
        guest = lay_out(vm, host, size, draw, align=align)
        for vma in list(host.vmas):
            host.advise(vma.start, vma.end - vma.start, hugepage=True)
        vm.start()
        pages_of = np.split(guest.by_hva(), np.flatnonzero(np.diff(np.sort(guest.hva_pages) // HUGE_PAGES)) + 1)
        while not vm.recorder.full:
            chosen = [pages_of[block] for block in draw.permutation(len(pages_of))[: _SPLIT + _DROPPED].tolist()]
            touched = np.array([int(pages[0]) for pages in chosen])
            vm.access(0, guest.gfns[touched], True)
            for pages in chosen[:_SPLIT]:
                page = int(guest.hva_pages[pages[int(draw.integers(0, len(pages)))]])
                host.dontneed(page << PAGE_SHIFT, 1 << PAGE_SHIFT)
            split = np.concatenate(chosen[:_SPLIT])
            pages = split[draw.integers(0, len(split), _BATCH)]
            vm.access(vcpus(draw, _BATCH), guest.gfns[pages], writes(draw, pages))
            thp.khugepaged(host, _SPLIT)
            for pages in chosen[_SPLIT:]:
                block = int(guest.hva_pages[pages[0]]) & -HUGE_PAGES
                first, end = max(block << PAGE_SHIFT, guest.hva), (block + HUGE_PAGES) << PAGE_SHIFT
                host.dontneed(first, end - first)
        return vm


SCENARIO = HugePages()
