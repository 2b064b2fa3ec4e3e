"""snapshot: the hypervisor forks, and the child saves a snapshot of memory; the guest's writes copy pages.

Fork write-protects every page at once: one visit for all of memory. Each first write then costs two lookups with a
visit of the page between them, since the copy of the page invalidates the fault in progress.

It can happen only to a VMM that lets its children have guest memory. QEMU sets MADV_DONTFORK on all of it, so that fork
announces nothing there and the child has no pages to save. Shared mappings (memfd, shmem) are not announced either.
What remains are VMMs that map guest memory privately and set no such advice.
"""

from __future__ import annotations

from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, VCPUS, lay_out, near_and_far, vcpus, writes

_BATCHES = 4
"""Batches of accesses while the child lives, and as many after it."""


class Snapshot(Scenario):
    """Fork, accesses, the child's exit, accesses; repeatedly."""

    name = "snapshot"
    summary = "fork for a snapshot (not in QEMU, which sets MADV_DONTFORK): each page is copied before a write"
    stresses = "visits that find every slot; a visit between the two lookups of a fault"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(3 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.access(0, guest.gfns, True)
        vm.start()
        total = guest.total
        near = max(1, total // 4)
        base = 0
        while not vm.recorder.full:
            child = host.fork()
            for _ in range(_BATCHES):
                pages = near_and_far(draw, BATCH, total, base, near)
                vm.access(vcpus(draw, BATCH), guest.gfns[pages], writes(draw, pages))
            child.exit()
            for _ in range(_BATCHES):
                pages = near_and_far(draw, BATCH, total, base, near)
                vm.access(vcpus(draw, BATCH), guest.gfns[pages], writes(draw, pages))
            base = (base + near // 2) % total
        return vm


SCENARIO = Snapshot()
