"""swap: a guest whose memory does not fit into the host's, so that reclaim ages, unmaps and writes out its pages.

The host has five eighths of what the guest believes to have. Most accesses stay in a working set that fits; the others
push it out. Reclaim asks for the age of each page that it looks at and unmaps what is old, page after page.
"""

from __future__ import annotations

from slotlookup.host import Host
from slotlookup.scenario import Scenario, Size
from slotlookup.strategy import Strategy
from slotlookup.vm import Vm

from ._guest import BATCH, VCPUS, lay_out, near_and_far, require_memory, vcpus, writes

_LEAST = 2 << 20


class Swap(Scenario):
    """Reclaim runs by itself whenever frames run low."""

    name = "swap"
    summary = "a guest larger than its host: reclaim ages pages, unmaps and swaps them"
    stresses = "ageing and visits in the order of the host's lists, lookups of what comes back"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        require_memory(self.name, size, _LEAST)
        draw = size.draw()
        host = Host(size.memory * 5 // 8)
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        total = guest.total
        near = total // 2
        base = 0
        while not vm.recorder.full:
            pages = near_and_far(draw, BATCH, total, base, near)
            vm.access(vcpus(draw, BATCH), guest.gfns[pages], writes(draw, pages))
            base = (base + near // 8) % total
        return vm


SCENARIO = Swap()
