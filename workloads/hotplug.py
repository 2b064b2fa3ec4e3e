"""hotplug: memory is plugged and unplugged while the guest runs: DIMMs, and virtio-mem in separate slots.

A DIMM is plugged and unplugged whole. The guest writes its page structures after plugging, and moves its pages away
before unplugging. virtio-mem's slot is created with its first block and deleted with its last; unplugged blocks are
dropped with MADV_DONTNEED. Half of the guest's memory is present from the start, in slot 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, vcpus, writes

_BATCH = 1 << 8
_BLOCKS = 4
"""Blocks of a virtio-mem slot."""
_STRUCT_PAGE = 64
"""The number of pages that one page of page structures describes."""
_MOVED = 4
"""One page in this many is in use, and moved away, when its block is unplugged."""


@dataclass
class _Device:
    """A DIMM, or a virtio-mem slot of several blocks. In pages."""

    number: int
    gfn: int
    npages: int
    hva: int = 0
    edges: tuple[int, ...] = ()
    """The starts of the blocks, and the end of the last one."""
    plugged: set[int] = field(default_factory=set)
    """Blocks."""


class Hotplug(Scenario):
    """All devices are plugged one after another, then one random device changes at a time."""

    name = "hotplug"
    summary = "DIMMs and virtio-mem are plugged and unplugged as the guest runs"
    stresses = "slots created and deleted, cold caches after each change, visits of whole slots"
    slots = 32
    fewest_slots = 2
    default_events = 100_000

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        boot = (size.memory >> PAGE_SHIFT) // 2
        vm.set_user_memory_region(0, 0, boot << PAGE_SHIFT, host.mmap(boot << PAGE_SHIFT))
        devices = _devices(size, boot)
        vm.start()
        waiting = list(range(len(devices)))
        while not vm.recorder.full:
            device = devices[waiting.pop(0) if waiting else int(draw.integers(0, len(devices)))]
            if len(device.plugged) == len(device.edges) - 1:
                _unplug(vm, host, device, draw)
            else:
                _plug(vm, host, device)
            there = [d for d in devices if d.plugged]
            _work(vm, boot, there, draw)
        return vm


def _devices(size: Size, boot: int) -> list[_Device]:
    """Odd slots are DIMMs, even ones virtio-mem; each as large as the others, within a page."""
    edges = boot + np.arange(size.slots, dtype=np.int64) * ((size.memory >> PAGE_SHIFT) - boot) // (size.slots - 1)
    devices = []
    for number, (first, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True), 1):
        blocks = 1 if number % 2 else min(_BLOCKS, end - first)
        cuts = tuple((end - first) * block // blocks for block in range(blocks + 1))
        devices.append(_Device(number, first, end - first, edges=cuts))
    return devices


def _plug(vm: Vm, host: Host, device: _Device) -> None:
    """Plug one more block, with the slot if it is the first. The guest writes the block's page structures."""
    length = device.npages << PAGE_SHIFT
    if not device.plugged:
        device.hva = host.mmap(length)
        vm.set_user_memory_region(device.number, device.gfn << PAGE_SHIFT, length, device.hva)
    block = min(set(range(len(device.edges) - 1)) - device.plugged)
    device.plugged.add(block)
    first, end = device.edges[block], device.edges[block + 1]
    vm.access(0, device.gfn + np.arange(first, first + -(-(end - first) // _STRUCT_PAGE)), True)


def _unplug(vm: Vm, host: Host, device: _Device, draw: np.random.Generator) -> None:
    """Unplug all blocks in random order, and the slot with the last one.

    The guest reads the pages that it moves away.
    """
    for block in draw.permutation(sorted(device.plugged)).tolist():
        first, end = device.edges[block], device.edges[block + 1]
        vm.access(0, device.gfn + np.arange(first, end, _MOVED))
        host.dontneed(device.hva + (first << PAGE_SHIFT), (end - first) << PAGE_SHIFT)
        device.plugged.discard(block)
    vm.set_user_memory_region(device.number, device.gfn << PAGE_SHIFT, 0, device.hva)
    host.munmap(device.hva, device.npages << PAGE_SHIFT)


def _work(vm: Vm, boot: int, there: list[_Device], draw: np.random.Generator) -> None:
    """Accesses, half in boot memory and half in the plugged devices."""
    gfns = draw.integers(0, boot, _BATCH)
    if there:
        base, npages = (np.array(column) for column in zip(*((d.gfn, d.edges[1]) for d in there), strict=True))
        device = draw.integers(0, len(there), _BATCH // 2)
        gfns[: len(device)] = base[device] + draw.integers(0, 1 << 30, len(device)) % npages[device]
    gfns = draw.permutation(gfns)
    vm.access(vcpus(draw, _BATCH), gfns, writes(draw, gfns))


SCENARIO = Hotplug()
