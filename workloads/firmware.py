"""firmware: QEMU's slots while SeaBIOS starts a q35 machine with a VGA card, and at each reset after that.

QEMU keeps a flat view of the machine's memory. When firmware opens or closes a window (TSEG, the PAM areas below
1 MiB, the card's frame buffer, an option ROM), the slots that are not in the new view are deleted, and those that were
not in the old one are added, each with the lowest free id. The views below are those of QEMU 7.2, in the recorded
order; the shipped recording q35-2G-dynamic has the same changes. Each deletion unmaps the whole guest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.errors import UsageError
from slotlookup.memslots import LOG_DIRTY_PAGES, READONLY
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, require_memory, vcpus, writes

_MIB = 1 << 20
_LEAST = 8 * _MIB
_DIMMS_FROM = 0x1_0000_0000
_MOST_LOW = 0x8000_0000
"""Guest memory below the PCI hole in this machine; larger machines have DIMMs."""
END = -1
"""The end of a region: the end of low memory."""

View = list[tuple[int, int, str, int]]
"""Regions: gpa of start and end, content, flags."""

FLASH = (0xFFFC_0000, 0x1_0000_0000, "bios", READONLY)
VRAM = (0xFD00_0000, 0xFE00_0000, "vram", LOG_DIRTY_PAGES)
_EXPANSION_ROM = (0xFEBE_0000, 0xFEBF_0000, "expansion", READONLY)
_TSEG = (0xFEDA_0000, 0xFEDC_0000, "tseg", 0)
_LOW = (0, 0xA_0000, "ram", 0)


def _ram(*edges: int) -> View:
    """Regions of low memory from edge to edge."""
    return [(a, b, "ram", 0) for a, b in pairwise(edges)]


_SHADOWED = _ram(0xC_0000, 0xC_A000, 0xC_D000, 0xD_8000, 0xF_0000, 0x10_0000, END)
_SETTLED = _ram(0xC_0000, 0xC_A000, 0xC_D000, 0xE_8000, 0xF_0000, 0x10_0000, END)

POWER_ON: list[View] = [
    [(0, END, "ram", 0), FLASH],
    [(0, END, "ram", 0), FLASH, _TSEG],
    [(0, END, "ram", 0), FLASH],
]
START = [
    [_LOW, *_ram(0xC_0000, END), FLASH],
    [
        _LOW,
        (0xC_0000, 0xE_0000, "rom", READONLY),
        (0xE_0000, 0x10_0000, "bios-copy", READONLY),
        *_ram(0x10_0000, END),
        FLASH,
    ],
    [
        _LOW,
        *_ram(0xC_0000, 0xD_8000),
        (0xD_8000, 0xE_0000, "rom", READONLY),
        (0xE_0000, 0xF_0000, "bios-copy", READONLY),
        *_ram(0xF_0000, END),
        FLASH,
    ],
]
DEVICES = [
    [_LOW, *_ram(0xC_0000, END), FLASH],
    [_LOW, *_ram(0xC_0000, END), VRAM, FLASH],
    [_LOW, *_ram(0xC_0000, END), VRAM, _EXPANSION_ROM, FLASH],
    [_LOW, *_ram(0xC_0000, END), VRAM, FLASH],
    [_LOW, *_SHADOWED, VRAM, FLASH],
    [_LOW, *_SETTLED, VRAM, FLASH],
]
"""From the card's frame buffer on: the same at power on and at a reset."""
RESET = [
    [_LOW, *_SETTLED, FLASH],
    [_LOW, *_ram(0xC_0000, 0xD_8000, 0xE_8000, END), FLASH],
]
SLOTS = 9
"""The view when firmware has finished, without DIMMs."""


@dataclass(frozen=True)
class Region:
    """A part of a view, in bytes."""

    gpa: int
    size: int
    hva: int
    flags: int


class _Machine:
    """A VM whose slots follow views."""

    def __init__(self, vm: Vm, host: Host, low: int, draw: np.random.Generator) -> None:
        self.vm, self.low, self._draw = vm, low, draw
        self._ids: dict[Region, int] = {}
        self._free = list(range(SLOTS + 1))
        ram = host.mmap(low)
        bios, rom = host.mmap(0x4_0000, prot="rw"), host.mmap(0x2_0000)
        self._hva = {
            "ram": ram,
            "tseg": ram + 0xA_0000 - _TSEG[0],
            "bios": bios - FLASH[0],
            "bios-copy": bios + 0x2_0000 - 0xE_0000,
            "rom": rom - 0xC_0000,
            "vram": host.mmap(VRAM[1] - VRAM[0]) - VRAM[0],
            "expansion": host.mmap(_EXPANSION_ROM[1] - _EXPANSION_ROM[0]) - _EXPANSION_ROM[0],
        }

    def show(self, view: View) -> None:
        """Change to a view: first the deletions, then the additions, each in gpa order."""
        wanted = []
        for start, stop, what, flags in view:
            end = self.low if stop == END else stop
            wanted.append(Region(start, end - start, self._hva[what] + start, flags))
        for region in sorted(self._ids.keys() - set(wanted), key=lambda r: r.gpa):
            number = self._ids.pop(region)
            self.vm.set_user_memory_region(number, region.gpa, 0, region.hva)
            self._free = sorted([*self._free, number])
        for region in sorted(set(wanted) - self._ids.keys(), key=lambda r: r.gpa):
            number = self._ids[region] = self._free.pop(0)
            self.vm.set_user_memory_region(number, region.gpa, region.size, region.hva, region.flags)

    def run_firmware(self) -> None:
        """A few pages of the BIOS, of the areas below 1 MiB, VGA's hole among them, and of the memory above."""
        parts = ((FLASH[0], 0x40_000, 8), (0xA_0000, 0x60_000, 16), (0, 0xA_0000, 8), (0x10_0000, _MIB, 8))
        pages = [(at >> PAGE_SHIFT) + self._draw.integers(0, size >> PAGE_SHIFT, count) for at, size, count in parts]
        gfns = np.concatenate(pages)
        self.vm.access(0, gfns, writes(self._draw, gfns))


class Firmware(Scenario):
    """Power on, then resets with guest accesses between them. DIMMs, if there are any, remain."""

    name = "firmware"
    summary = "slots deleted and added again as SeaBIOS starts a q35 and at each reset"
    stresses = "bursts of changes in the lowest slots; all pages are looked up again after each"
    slots = 25
    fewest_slots = SLOTS
    default_events = 50_000

    def play(self, strategy: Strategy, size: Size) -> Vm:
        require_memory(self.name, size, _LEAST)
        draw = size.draw()
        dimms = size.slots - SLOTS
        low = size.memory // 2 & -(1 << PAGE_SHIFT) if dimms else size.memory
        if low > _MOST_LOW:
            raise UsageError(f"{low:,} bytes of guest memory below the PCI hole; {_MOST_LOW:,} fit; decrease --memory")
        if dimms and (size.memory - low) >> PAGE_SHIFT < dimms:
            raise UsageError(
                f"{size.memory - low:,} bytes for {dimms:,} DIMMs, which need a page each; increase --memory"
            )
        host = Host(2 * size.memory + (128 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        vm.start()
        machine = _Machine(vm, host, low, draw)
        _go(machine, POWER_ON)
        edges = np.arange(dimms + 1, dtype=np.int64) * ((size.memory - low) >> PAGE_SHIFT) // max(1, dimms)
        for number, (first, end) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True), SLOTS):
            length = (end - first) << PAGE_SHIFT
            vm.set_user_memory_region(number, _DIMMS_FROM + (first << PAGE_SHIFT), length, host.mmap(length))
        _go(machine, START)
        while not vm.recorder.full:
            _go(machine, DEVICES)
            above = (_MIB >> PAGE_SHIFT) + draw.integers(0, (low - _MIB) >> PAGE_SHIFT, 1 << 10)
            in_dimms = (_DIMMS_FROM >> PAGE_SHIFT) + draw.integers(0, max(1, int(edges[-1])), 1 << 10)
            gfns = np.where(draw.integers(0, 2, 1 << 10) == 0, above, in_dimms) if dimms else above
            vm.access(vcpus(draw, len(gfns)), gfns, writes(draw, gfns))
            _go(machine, RESET)
        return vm


def _go(machine: _Machine, views: list[View]) -> None:
    for view in views:
        machine.show(view)
        machine.run_firmware()


SCENARIO = Firmware()
