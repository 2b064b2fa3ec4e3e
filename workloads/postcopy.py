"""postcopy: a migrated guest runs before its memory has arrived; userfaultfd fetches the pages that it touches.

The destination drops, in ranges, the pages that the source wrote after sending them; userfaultfd catches accesses to
missing pages. The guest's faults are served at once, while a background stream copies the other pages.
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
    """The first migration copies all memory; later ones copy the half that was dropped."""

    name = "postcopy"
    summary = "post-copy migration: missing pages arrive when they are touched, or in the background"
    stresses = "cold lookups in all slots, after visits of ranges"
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
    """Drop every other one of the ranges between random boundaries."""
    edges = np.unique(np.concatenate([[0, total], draw.integers(0, total, 2 * _DISCARDS)])).tolist()
    for first, end in zip(edges[:-1:2], edges[1::2], strict=False):
        host.dontneed(hva + (first << PAGE_SHIFT), (end - first) << PAGE_SHIFT)


SCENARIO = Postcopy()
