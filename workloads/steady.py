"""steady: a guest that runs in its working set while the host drops pages and reads ages behind its back.

Nine of ten accesses go to the tenth of the memory that is in use just now, which drifts; a third of them write. Between
batches the host drops pages here and there, as a balloon does, and samples ages, as DAMON does.
"""

from __future__ import annotations

import numpy as np

from slotlookup.host import Host
from slotlookup.host.ageing import damon_check, damon_prepare
from slotlookup.scenario import Scenario, Size
from slotlookup.strategy import Strategy
from slotlookup.vm import Vm

_BATCH = 1 << 14
_GAP_PAGES = 16
_DROPPED = 2048
_SAMPLED = 1024


class Steady(Scenario):
    """Equal slots with holes between them, host memory in one mapping, in an order of its own."""

    name = "steady"
    summary = "a working set that drifts, with ballooned pages and sampled ages"
    stresses = "lookups that return to few slots, visits of single pages"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        pages = (size.memory >> 12) // size.slots
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=4, limit=size.events)
        hva = host.mmap(size.slots * pages << 12)
        place = draw.permutation(size.slots)
        for slot in range(size.slots):
            gpa = slot * (pages + _GAP_PAGES) << 12
            vm.set_user_memory_region(slot, gpa, pages << 12, hva + (int(place[slot]) * pages << 12))
        vm.start()
        total = size.slots * pages
        near = max(1, total // 10)
        base = 0
        while not vm.recorder.full:
            far = draw.integers(0, 10, _BATCH) == 0
            page = np.where(far, draw.integers(0, total, _BATCH), (base + draw.integers(0, near, _BATCH)) % total)
            gfns = page + page // pages * _GAP_PAGES
            vm.access(draw.integers(0, 4, _BATCH), gfns, draw.integers(0, 3, _BATCH) == 0)
            host.dontneed_pages((hva >> 12) + np.unique(draw.integers(0, total, _DROPPED)))
            sampled = damon_prepare(host, hva, total, min(total, _SAMPLED), draw)
            vm.access(0, gfns[:256])
            damon_check(host, sampled)
            base = (base + max(1, near // 16)) % total
        return vm


SCENARIO = Steady()
