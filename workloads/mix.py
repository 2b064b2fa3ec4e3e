"""mix: all host operations on one guest: accesses to the working set alternate with memory management.

The order of operations is random: ballooning, ageing, a round of dirty logging, NUMA hints, protection changes,
soft-dirty tracking, a fork, same-page merging, collapses, reclaim of a range, a slot that moves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.memslots import LOG_DIRTY_PAGES
from slotlookup.model.host import Host, ksm, thp
from slotlookup.model.host.ageing import damon_check, damon_prepare, idle_scan
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, Guest, lay_out, near_and_far, vcpus, writes

_BATCH = 1 << 10
_PAGES = 1 << 7
"""The maximum number of pages of one operation."""
_MERGED = 16


class Mix(Scenario):
    """Operations in random order."""

    name = "mix"
    summary = "all operations: balloon, ageing, dirty logs, fork, merging, swapping, moves"
    stresses = "all operations together, in proportions that favour no structure"
    slots = 16
    memory = 128 << 20
    default_events = 50_000

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(3 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        near = max(1, guest.total // 8)
        base = 0
        turns: list[int] = []
        while not vm.recorder.full:
            turns = turns or draw.permutation(len(_TURNS)).tolist()
            pages = near_and_far(draw, _BATCH, guest.total, base, near)
            vm.access(vcpus(draw, _BATCH), guest.gfns[pages], writes(draw, pages))
            _TURNS[turns.pop()](vm, guest, draw)
            base = (base + near // 8 + 1) % guest.total
        return vm


def _stretch(guest: Guest, draw: np.random.Generator) -> tuple[int, int]:
    """Address and bytes of up to _PAGES pages within a slot."""
    hva, length = guest.slot_range(int(draw.integers(0, guest.slots)))
    pages = min(_PAGES, length >> PAGE_SHIFT)
    offset = int(draw.integers(0, (length >> PAGE_SHIFT) - pages + 1))
    return hva + (offset << PAGE_SHIFT), pages << PAGE_SHIFT


def _balloon(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    vm.host.dontneed_pages(guest.hva_pages[np.unique(draw.integers(0, guest.total, _PAGES))])


def _idle(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    hva, length = _stretch(guest, draw)
    idle_scan(vm.host, hva, length >> PAGE_SHIFT)


def _damon(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    sampled = damon_prepare(vm.host, guest.hva, guest.total, min(guest.total, _PAGES), draw)
    damon_check(vm.host, sampled)


def _dirty_log(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    """Logging of one slot is enabled, and disabled one batch of writes later."""
    slot = int(draw.integers(0, guest.slots))
    hva, length = guest.slot_range(slot)
    first, end = int(guest.before[slot]), int(guest.before[slot + 1])
    gpa = int(guest.gfns[first]) << PAGE_SHIFT
    vm.set_user_memory_region(slot, gpa, length, hva, LOG_DIRTY_PAGES)
    vm.access(0, guest.gfns[draw.integers(first, end, _PAGES)], True)
    vm.get_dirty_log(slot)
    vm.set_user_memory_region(slot, gpa, length, hva)


def _move(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    """A slot moves after all others, lookups at its old place miss, and it returns."""
    slot = int(draw.integers(0, guest.slots))
    hva, length = guest.slot_range(slot)
    first, end = int(guest.before[slot]), int(guest.before[slot + 1])
    gpa, away = int(guest.gfns[first]) << PAGE_SHIFT, (int(guest.gfns[-1]) + 1) << PAGE_SHIFT
    vm.set_user_memory_region(slot, away, length, hva)
    vm.access(0, guest.gfns[draw.integers(first, end, _MERGED)])
    vm.set_user_memory_region(slot, gpa, length, hva)


def _protect(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    hva, length = _stretch(guest, draw)
    vm.host.mprotect(hva, length, "r")
    vm.host.mprotect(hva, length, "rw")


def _numa(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    vm.host.numa_scan(*_stretch(guest, draw))


def _soft_dirty(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    vm.host.clear_refs(4)


def _fork(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    child = vm.host.fork()
    pages = draw.integers(0, guest.total, _PAGES)
    vm.access(vcpus(draw, _PAGES), guest.gfns[pages], True)
    child.exit()


def _merge(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    hva, length = _stretch(guest, draw)
    count = min(_MERGED, length >> PAGE_SHIFT)
    vm.host.advise(hva, count << PAGE_SHIFT, mergeable=True)
    ksm.set_content(vm.host, hva, draw.integers(1, 3, count))
    ksm.scan(vm.host, hva, count)


def _collapse(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    hva, _ = _stretch(guest, draw)
    block = hva & -(1 << 21)
    if block >= guest.hva:
        thp.collapse(vm.host, block)


def _pageout(vm: Vm, guest: Guest, draw: np.random.Generator) -> None:
    vm.host.pageout(*_stretch(guest, draw))


_TURNS: list[Callable[[Vm, Guest, np.random.Generator], None]] = [
    _balloon, _idle, _damon, _dirty_log, _move, _protect, _numa, _soft_dirty, _fork, _merge, _collapse, _pageout,
]  # fmt: skip

SCENARIO = Mix()
