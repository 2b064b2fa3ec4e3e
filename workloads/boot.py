"""boot: a guest starts: firmware, kernel, its page structures, devices, processes. Then it is restarted.

Nearly all accesses are first touches, most of them in ascending order. Memory that the guest reads before it writes is
mapped to the zero page, which the first write copies. Devices are holes: they are in no slot.
"""

from __future__ import annotations

import numpy as np

from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, GAP_PAGES, VCPUS, Guest, lay_out, near_and_far, vcpus, writes

_FIRMWARE_PAGES = 256
_DEVICE_ACCESSES = 1 << 10
_STRUCT_PAGE = 64
"""The number of pages that one page of page structures describes."""
_PROCESSES = 8
"""Batches of accesses by the guest's first processes."""


class Boot(Scenario):
    """The steps of one start, until there are enough events."""

    name = "boot"
    summary = "a guest starts: first touches in order, zeroed memory, devices"
    stresses = "cold lookups slot after slot, and lookups of holes"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        while not vm.recorder.full:
            _start(vm, guest, draw)
            # The new machine's memory is as empty as the first one's was.
            for slot in range(guest.slots):
                host.dontneed(*guest.slot_range(slot))
        return vm


def _start(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    total = guest.total
    firmware = np.arange(min(_FIRMWARE_PAGES, total))
    vm.access(0, guest.gfns[firmware], writes(draw, firmware))
    _devices(vm, guest, draw)
    kernel = np.arange(total // 64, total // 16)  # decompressed to its final place
    vm.access(0, guest.gfns[kernel], True)
    # The page structures of each slot are written at its end; some of the pages that they describe are read.
    for slot in range(guest.slots):
        first, end = int(guest.before[slot]), int(guest.before[slot + 1])
        structures = np.arange(end - -(-(end - first) // _STRUCT_PAGE), end)
        vm.access(0, guest.gfns[structures], True)
        if vm.recorder.full:
            return
    seen = np.arange(0, total, 8)
    for at in range(0, len(seen), BATCH):
        vm.access(0, guest.gfns[seen[at : at + BATCH]])
    _devices(vm, guest, draw)
    near = max(1, total // 16)
    for process in range(_PROCESSES):
        pages = near_and_far(draw, BATCH, total, process * near, near)
        vm.access(vcpus(draw, BATCH), guest.gfns[pages], writes(draw, pages, one_in=2))


def _devices(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    """Drivers probe addresses after slots."""
    slot = draw.integers(0, guest.slots, _DEVICE_ACCESSES)
    last = guest.gfns[guest.before[slot + 1] - 1]
    vm.access(0, last + draw.integers(1, GAP_PAGES + 1, _DEVICE_ACCESSES), draw.integers(0, 2, _DEVICE_ACCESSES) == 0)


SCENARIO = Boot()
