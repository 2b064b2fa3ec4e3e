"""adversarial-*: for each structure the layout and pattern with the highest cost.

If slots share host memory, each is a window of one mapping, at gfns of its own. A batch accesses each host page through
one window only. Then the host drops some pages, and every window over them is visited.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from slotlookup.address import PAGE_SHIFT
from slotlookup.arrays import Ints
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, GAP_PAGES, set_slots

_LARGE = 16
"""The size of the slots that are never looked up, as a multiple of the others'."""
_ROUND = 1 << 12
"""Pages touched and dropped at a time, if slots share memory."""
_DROPPED = 256
_MOST_SHARED = 4096
"""Slots over one mapping: a visit may find them all."""


class Adversarial(Scenario):
    """Slots whose order of creation matters: `windows` defines them, `round` performs one round."""

    slots = 64
    memory = 128 << 20
    default_events = 100_000
    gap = GAP_PAGES

    def __init__(self, name: str, summary: str, stresses: str) -> None:
        self.name, self.summary, self.stresses = f"adversarial-{name}", summary, stresses

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        first, npages = self.windows(size.slots, size.memory >> PAGE_SHIFT)
        extent = int((first + npages).max())
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=2, limit=size.events)
        hva_page = host.mmap(extent << PAGE_SHIFT) >> PAGE_SHIFT
        base = np.cumsum(npages + self.gap) - npages
        set_slots(vm, base, npages, hva_page + first)
        vm.start()
        turn = 0
        while not vm.recorder.full:
            self.round(vm, base, npages, hva_page + first, turn, draw)
            turn += 1
        return vm

    @abstractmethod
    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        """For each slot, the first page of the mapping that it maps, and the number of pages.

        `pages` are the guest's.
        """

    @abstractmethod
    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """One round, of at least one event."""


def _equal(slots: int, pages: int) -> tuple[Ints, Ints]:
    edges = np.arange(slots + 1, dtype=np.int64) * pages // slots
    return edges[:-1], np.diff(edges)


class _Alternating(Adversarial):
    fewest_slots = 2

    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        return _equal(slots, pages)

    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """Pages of two slots alternately, the first and the last; each vCPU accesses both alternately as well."""
        low = turn % (len(base) // 2)
        high = len(base) - 1 - low
        both = np.array([low, high])
        count = int(npages[both].min())
        slot = np.tile(both, count)
        offset = np.repeat(np.arange(count), 2)
        vm.access(np.arange(2 * count) // 2 % 2, base[slot] + offset, True)
        vm.host.dontneed_pages(hva_page[slot] + offset)


class _Last(Adversarial):
    gap = 0

    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        return _equal(slots, pages)

    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """Every page of the last sixteenth of the slots, and then all of them are dropped."""
        first = int(base[len(base) - max(1, len(base) // 16)])
        gfns = draw.permutation(np.arange(first, int(base[-1] + npages[-1])))[:BATCH]
        vm.access(0, gfns, True)
        vm.host.dontneed_pages(gfns - int(base[0]) + int(hva_page[0]))


class _Sizes(Adversarial):
    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        """Small slots first; the memory of the large slots after them is never touched."""
        small = -(-slots // 2)
        edges = np.arange(small + 1, dtype=np.int64) * pages // small
        npages = np.concatenate([np.diff(edges), np.full(slots - small, _LARGE * -(-pages // small), dtype=np.int64)])
        return np.cumsum(npages) - npages, npages

    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """Pages of the small slots, each as often as any other."""
        small = -(-len(base) // 2)
        slot = np.repeat(np.arange(small), npages[:small])
        offset = np.arange(len(slot)) - np.repeat(np.cumsum(npages[:small]) - npages[:small], npages[:small])
        chosen = draw.permutation(len(slot))[:BATCH]
        slot, offset = slot[chosen], offset[chosen]
        vm.access(0, base[slot] + offset, True)
        vm.host.dontneed_pages(hva_page[slot] + offset)


class _Shared(Adversarial):
    """Windows over one mapping."""

    most_slots = _MOST_SHARED

    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """Each host page through a random one of the windows over it; then some of the pages are dropped."""
        start, extent = int(hva_page.min()), int((hva_page + npages).max() - hva_page.min())
        pages = start + draw.permutation(extent)[:_ROUND]
        slot = draw.integers(0, len(base), len(pages))
        shown = (pages >= hva_page[slot]) & (pages < hva_page[slot] + npages[slot])
        largest = int(np.argmax(npages))
        slot = np.where(shown, slot, largest)
        vm.access(0, base[slot] + pages - hva_page[slot], True)
        vm.host.dontneed_pages(pages[: max(1, min(_DROPPED, extent // 4))])


class _Nested(_Shared):
    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        """Each is inside the previous one, a page or more shorter at both ends."""
        step = max(1, pages // (2 * slots))
        first = np.arange(slots, dtype=np.int64) * step
        return first, 2 * (slots * step - first)


class _SameStart(_Shared):
    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        """All start at the same page; each ends a page or more after the previous one."""
        return np.zeros(slots, dtype=np.int64), (1 + np.arange(slots, dtype=np.int64)) * max(1, pages // slots)


class _Covered(_Shared):
    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        """One maps everything, the others equal parts of it."""
        if slots == 1:
            return _equal(1, pages)
        first, npages = _equal(slots - 1, max(pages, slots - 1))
        return np.append(0, first), np.append(int(npages.sum()), npages)


class _Churn(Adversarial):
    default_events = 20_000

    def windows(self, slots: int, pages: int) -> tuple[Ints, Ints]:
        return _equal(slots, pages)

    def round(self, vm: Vm, base: Ints, npages: Ints, hva_page: Ints, turn: int, draw: np.random.Generator) -> None:
        """The first slot is deleted and created again, so arrays move all others; lookups before and after."""
        gpa, length, hva = (int(value) << PAGE_SHIFT for value in (base[0], npages[0], hva_page[0]))
        others = base[draw.integers(0, len(base), 8)]
        vm.access(0, np.append(others[others != base[0]], base[0]), True)
        vm.set_user_memory_region(0, gpa, 0, hva)
        vm.access(0, np.append(base[0], others))
        vm.set_user_memory_region(0, gpa, length, hva)
        vm.host.dontneed(hva, length)


ADVERSARIAL = (
    _Alternating(
        "alternating", "the first and the last slot alternately, for each vCPU", "last-used caches: they never hit"
    ),
    _Last(
        "last", "slots created in ascending order; only the last are accessed", "scans from the front, unbalanced trees"
    ),
    _Sizes("sizes", "only the smaller half of the slots is accessed", "orders by size"),
    _Nested("nested", "each slot's host memory is inside another's", "visits that find half of all slots, deep lists"),
    _SameStart(
        "same-start", "slots over host memory with one common start", "trees keyed by start: equal keys, overflow"
    ),
    _Covered("covered", "one slot maps the host memory of all others", "sorted arrays that look back by the longest"),
    _Churn(
        "churn", "the first slot deleted and created again, repeatedly", "changes at the front of arrays, stale caches"
    ),
)
