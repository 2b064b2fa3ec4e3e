"""steady: a guest that runs in its working set while the host drops pages and samples ages.

Nine of ten accesses are to the tenth of the memory that is the current working set, which drifts; a third of them
write. Between batches the host drops a few pages, as a balloon does, and samples ages, as DAMON does.
"""

from __future__ import annotations

import numpy as np

from slotlookup.model.host import Host
from slotlookup.model.host.ageing import damon_check, damon_prepare
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, lay_out, near_and_far, vcpus, writes

_BATCH = 1 << 13
_DROPPED = 256
_SAMPLED = 1024


class Steady(Scenario):
    """Equal slots with holes between them; host memory in one mapping, in another order."""

    name = "steady"
    summary = "a working set that drifts, with ballooned pages and sampled ages"
    stresses = "lookups that return to few slots, visits of single pages"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        total = guest.total
        near = max(1, total // 10)
        base = 0
        while not vm.recorder.full:
            pages = near_and_far(draw, _BATCH, total, base, near)
            gfns = guest.gfns[pages]
            vm.access(vcpus(draw, _BATCH), gfns, writes(draw, pages))
            host.dontneed_pages(guest.hva_pages[np.unique(draw.integers(0, total, _DROPPED))])
            sampled = damon_prepare(host, guest.hva, total, min(total, _SAMPLED), draw)
            vm.access(0, gfns[:_SAMPLED])
            damon_check(host, sampled)
            base = (base + max(1, near // 16)) % total
        return vm


SCENARIO = Steady()
