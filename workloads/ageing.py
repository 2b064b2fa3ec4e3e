"""ageing: the host queries the age of pages: all of them in order (idle page tracking), and samples (DAMON).

The hardware has no accessed bits. A query makes the page's spte non-present, and the next access must make it present
again, so visits by hva cause lookups by gfn.
"""

from __future__ import annotations

from slotlookup.address import PAGE_SHIFT
from slotlookup.model.host import Host
from slotlookup.model.host.ageing import damon_check, damon_prepare, idle_scan
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, VCPUS, lay_out, near_and_far, vcpus, writes

_REGIONS = 1000
_SAMPLES = 16
"""DAMON samples between two scans of everything."""
_BETWEEN = 1 << 12
"""Accesses between the halves of a sample."""


class Ageing(Scenario):
    """Scans in hva order, samples at random."""

    name = "ageing"
    summary = "idle page tracking and DAMON query the age of pages; no accessed bits"
    stresses = "streams of one-page visits that all find a slot, in order and at random"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, paging="ept-no-ad", vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.access(0, guest.gfns, True)
        vm.start()
        total = guest.total
        near = max(1, total // 8)
        base = 0
        while True:
            for first in range(0, total, BATCH):
                idle_scan(host, guest.hva + (first << PAGE_SHIFT), min(BATCH, total - first))
            for _ in range(_SAMPLES):
                sampled = damon_prepare(host, guest.hva, total, min(total, _REGIONS), draw)
                pages = near_and_far(draw, _BETWEEN, total, base, near)
                vm.access(vcpus(draw, _BETWEEN), guest.gfns[pages], writes(draw, pages))
                damon_check(host, sampled)
                if vm.recorder.full:
                    return vm
            base = (base + near // 2) % total


SCENARIO = Ageing()
