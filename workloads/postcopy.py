"""postcopy: a migrated guest runs before its memory is there; userfaultfd fetches what it touches.

The destination drops what the source has written since it was sent, in ranges, and lets userfaultfd catch what is
missing. The guest's own touches are served as they come while a stream in the background fills in the rest.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.model.host import Host, userfault
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, lay_out, vcpus, writes

_STEP = 1 << 11
"""Pages of the background stream between two batches of accesses."""
_DISCARDS = 64


class Postcopy(Scenario):
    """All memory comes over first; later migrations bring half of it, what was dropped."""

    name = "postcopy"
    summary = "post-copy migration: missing pages come as they are touched, or in the background"
    stresses = "cold lookups all over the slots, visits of ranges beforehand"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        total = guest.total
        length = total << PAGE_SHIFT
        while True:
            userfault.register(host, guest.hva, length, missing=True)
            touched = draw.permutation(total)
            for first in range(0, total, _STEP):
                count = min(_STEP, total - first)
                pages = touched[first : first + count]
                vm.access(vcpus(draw, count), guest.gfns[pages], writes(draw, pages))
                if vm.recorder.full:
                    return vm
                userfault.copy(host, guest.hva + (first << PAGE_SHIFT), count << PAGE_SHIFT)
            userfault.unregister(host, guest.hva, length)
            _discard(host, guest.hva, total, draw)


def _discard(host: Host, hva: int, total: int, draw: np.random.Generator) -> None:
    """Drop every other one of the stretches between places that are drawn."""
    edges = np.unique(np.concatenate([[0, total], draw.integers(0, total, 2 * _DISCARDS)])).tolist()
    for first, end in zip(edges[:-1:2], edges[1::2], strict=False):
        host.dontneed(hva + (first << PAGE_SHIFT), (end - first) << PAGE_SHIFT)


SCENARIO = Postcopy()
