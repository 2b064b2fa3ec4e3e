"""Synthetic workloads: seeded layouts of 1 to 32,764 slots and access patterns that distinguish structures.

Every trace contains gfn lookups and hva visits: after each four lookups one visit with the same pattern, of a single
page; every sixty-fourth visit covers 16 to 1,024 pages. The numbers come from NumPy's PCG64 with the seed
given, so the same seed gives the same trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slotlookup.address import GIANT_PAGES, PAGE_SHIFT, Gfn, Hva, SlotNumber
from slotlookup.arrays import Ints
from slotlookup.errors import UsageError
from slotlookup.memslots import USER_SLOTS, Memslot
from slotlookup.trace import EventKind, Trace, empty_events
from slotlookup.workload import Origin, Workload

DEFAULT_SLOTS = 512
DEFAULT_EVENTS = 1_000_000
FEWEST_EVENTS = 20_000
SCANNED = 2_000_000_000
"""The maximum of slots times events for the default number of events, so that a linear scan stays affordable."""

_LOOKUPS_PER_VISIT = 4
_LONG_VISIT_EVERY = 64
_LONG_VISIT_PAGES = (16, 1024)
_LARGEST_SLOT_BITS = 14
"""Slots have 1 to 2^14 - 1 pages (64 MiB); all powers of two are equally likely."""
_HOLE_PAGES = 4096
VCPUS = 8
_STAY = 64
"""Accesses of a vCPU to one slot before its next one."""
_HVA_BASE_PAGE = 0x7F00_0000_0000 >> PAGE_SHIFT


def default_events(slots: int) -> int:
    """A million, less at high numbers of slots: slots times events stays at 2e9, but no fewer than 20,000 events."""
    return max(FEWEST_EVENTS, min(DEFAULT_EVENTS, SCANNED // slots))


def layout(slots: int, seed: int) -> tuple[Memslot, ...]:
    """`slots` slots in gfn order: of varying size, about half after a hole, with random ids and host addresses.

    No two share host memory. Raises UsageError if `slots` is not in 1..32,764.
    """
    if not 1 <= slots <= USER_SLOTS:
        raise UsageError(f"{slots:,} slots: a VM has 1 to {USER_SLOTS:,}; choose a number in this range")
    draw = np.random.Generator(np.random.PCG64(seed))
    # Integers only: the last digit of a power or logarithm differs between machines.
    half = np.int64(1) << draw.integers(0, _LARGEST_SLOT_BITS, slots, dtype=np.int64)
    npages = half + draw.integers(0, half, slots, dtype=np.int64)
    holes = draw.integers(1, _HOLE_PAGES, slots, dtype=np.int64) * draw.integers(0, 2, slots, dtype=np.int64)
    base = np.cumsum(holes + npages) - npages
    numbers = draw.permutation(slots)
    # Host memory in another order, with a page between two mappings so that they are not adjacent.
    order = draw.permutation(slots)
    hva = np.empty(slots, dtype=np.int64)
    hva[order] = np.cumsum(npages[order] + 1) - npages[order] + _HVA_BASE_PAGE
    rows = zip(numbers.tolist(), base.tolist(), npages.tolist(), hva.tolist(), strict=True)
    return tuple(Memslot(SlotNumber(n), Gfn(b), p, Hva(h << PAGE_SHIFT)) for n, b, p, h in rows)


@dataclass(frozen=True)
class Pages:
    """The slots as columns, in gfn order, from which patterns draw."""

    base: Ints
    npages: Ints
    hva_page: Ints
    before: Ints
    """Pages in all slots before each."""

    @classmethod
    def of(cls, slots: tuple[Memslot, ...]) -> Pages:
        """The columns of `slots`."""
        npages = np.array([s.npages for s in slots], dtype=np.int64)
        return cls(
            np.array([s.base_gfn for s in slots], dtype=np.int64),
            npages,
            np.array([s.userspace_addr >> PAGE_SHIFT for s in slots], dtype=np.int64),
            np.cumsum(npages) - npages,
        )

    def within(self, slot: Ints, draw: np.random.Generator) -> tuple[Ints, Ints]:
        """A page drawn uniformly from each slot given by position: its gfn and its hva page."""
        offset = (draw.random(len(slot), dtype=np.float64) * self.npages[slot]).astype(np.int64)
        return self.base[slot] + offset, self.hva_page[slot] + offset


Pattern = Callable[[Pages, int, np.random.Generator], tuple[Ints, Ints]]
"""From the slots, a number of accesses and a generator: the gfn and the hva page of each access."""


def same(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """One slot, drawn once; its pages uniformly."""
    slot = np.full(count, int(draw.integers(0, len(pages.base))), dtype=np.int64)
    return pages.within(slot, draw)


def following(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """Slot after slot in gfn order, cyclically."""
    return pages.within(np.arange(count, dtype=np.int64) % len(pages.base), draw)


def uniform(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """Every slot equally often, whatever its size."""
    return pages.within(draw.integers(0, len(pages.base), count, dtype=np.int64), draw)


def skewed(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """Every page equally often, so that a slot is accessed in proportion to its size."""
    page = draw.integers(0, int(pages.npages.sum()), count, dtype=np.int64)
    slot = np.searchsorted(pages.before, page, side="right") - 1
    offset = page - pages.before[slot]
    return pages.base[slot] + offset, pages.hva_page[slot] + offset


def misses(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
    """Half of the accesses in slots, half in the holes between, before and beyond them."""
    gfn, hva_page = uniform(pages, count, draw)
    missing = draw.integers(0, 2, count, dtype=np.int64) == 1
    wanted = int(np.count_nonzero(missing))
    gfn[missing] = _in_holes(pages.base, pages.npages, wanted, draw)
    order = np.argsort(pages.hva_page)
    hva_page[missing] = _in_holes(pages.hva_page[order], pages.npages[order], wanted, draw)
    return gfn, hva_page


def _in_holes(base: Ints, npages: Ints, count: int, draw: np.random.Generator) -> Ints:
    """Pages in no range: a hole drawn uniformly (the space beyond the end is one), then a page of it."""
    starts = base + npages
    ends = np.append(base[1:], starts[-1] + _HOLE_PAGES)
    if base[0] > 0:
        starts, ends = np.append(starts, max(0, int(base[0]) - _HOLE_PAGES)), np.append(ends, base[0])
    real = ends > starts
    starts, ends = starts[real], ends[real]
    hole = draw.integers(0, len(starts), count, dtype=np.int64)
    pages: Ints = starts[hole] + (draw.random(count, dtype=np.float64) * (ends - starts)[hole]).astype(np.int64)
    return pages


def walks(vcpus: Ints) -> Pattern:
    """Each vCPU walks its own share of the slots, with 64 accesses per slot; `vcpus` is the vCPU of each access.

    The shares are ranges in gfn order, of at least one slot: if there are few slots, vCPUs share them.
    """

    def pattern(pages: Pages, count: int, draw: np.random.Generator) -> tuple[Ints, Ints]:
        slot = np.empty(count, dtype=np.int64)
        n = len(pages.base)
        for vcpu in range(VCPUS):
            turns = np.flatnonzero(vcpus == vcpu)
            first, share = vcpu * n // VCPUS, max(1, (vcpu + 1) * n // VCPUS - vcpu * n // VCPUS)
            slot[turns] = first + np.arange(len(turns), dtype=np.int64) // _STAY % share
        return pages.within(slot, draw)

    return pattern


def make_trace(
    name: str, slots: tuple[Memslot, ...], pattern: Pattern, events: int, seed: int, vcpus: Ints | None = None
) -> Trace:
    """`events` accesses to `slots`: four lookups, a visit, and so on. `vcpus` are the vCPUs of the lookups."""
    # The layout draws from the seed itself, the accesses from a separate stream.
    draw = np.random.Generator(np.random.PCG64([seed, 1]))
    gfn, hva_page = pattern(Pages.of(slots), events, draw)
    lengths = np.ones(events, dtype=np.int64)
    visits = np.arange(events) % (_LOOKUPS_PER_VISIT + 1) == _LOOKUPS_PER_VISIT
    long = np.flatnonzero(visits)[_LONG_VISIT_EVERY - 1 :: _LONG_VISIT_EVERY]
    lengths[long] = draw.integers(_LONG_VISIT_PAGES[0], _LONG_VISIT_PAGES[1] + 1, len(long), dtype=np.int64)
    rows = empty_events(events)
    rows["kind"] = np.where(visits, EventKind.HVA_VISIT, EventKind.GFN_LOOKUP)
    rows["a"] = np.where(visits, hva_page << PAGE_SHIFT, gfn)
    rows["b"] = np.where(visits, (hva_page + lengths) << PAGE_SHIFT, 0)
    if vcpus is not None:
        rows["vcpu"] = np.where(visits, 0, vcpus)
    source = f"synthetic, seed {seed}"
    return Trace(name, slots, rows, {"source": source, "gfn": source, "hva": source})


def _checked_events(events: int | None, slots: int) -> int:
    if events is None:
        return default_events(slots)
    if events < 1:
        raise UsageError(f"{events:,} events; --events must be at least 1")
    return events


class Synthetic(Workload):
    """A layout of any size under one pattern."""

    origin = Origin.SYNTHETIC
    slots = DEFAULT_SLOTS
    sizable = True

    def __init__(self, name: str, summary: str, stresses: str, pattern: Pattern) -> None:
        self.name = name
        self.summary = summary
        self.stresses = stresses
        self._pattern = pattern

    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The trace. Raises UsageError if an argument is out of range."""
        wanted = self.slots if slots is None else slots
        made = layout(wanted, seed)
        return make_trace(self.name, made, self._pattern, _checked_events(events, wanted), seed)


class SyntheticVcpus(Workload):
    """A layout of any size, accessed by several vCPUs in random order."""

    name = "synthetic-vcpus"
    summary = "8 vCPUs in random order, each accessing its own slots"
    stresses = "one cache per VM against one cache per vCPU"
    origin = Origin.SYNTHETIC
    slots = DEFAULT_SLOTS
    sizable = True

    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The trace. Raises UsageError if an argument is out of range."""
        wanted = self.slots if slots is None else slots
        made, count = layout(wanted, seed), _checked_events(events, wanted)
        vcpus = np.random.Generator(np.random.PCG64([seed, 2])).integers(0, VCPUS, count, dtype=np.int64)
        return make_trace(self.name, made, walks(vcpus), count, seed, vcpus)


class Thread(Workload):
    """A layout of the 2008 thread, its pages accessed uniformly."""

    origin = Origin.SYNTHETIC

    def __init__(self, name: str, summary: str, stresses: str, ranges: tuple[tuple[int, int], ...]) -> None:
        self.name = name
        self.summary = summary
        self.stresses = stresses
        self.slots = len(ranges)
        self._ranges = ranges

    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The trace. Raises UsageError for another number of slots."""
        if slots not in (None, self.slots):
            raise UsageError(f"workload '{self.name}' has {self.slots} slots; it cannot have {slots:,}")
        made: list[Memslot] = []
        hva_page = _HVA_BASE_PAGE
        for number, (start, end) in enumerate(self._ranges):
            made.append(Memslot(SlotNumber(number), Gfn(start), end - start, Hva(hva_page << PAGE_SHIFT)))
            hva_page += end - start
        return make_trace(self.name, tuple(made), skewed, _checked_events(events, self.slots), seed)


SYNTHETIC: tuple[Workload, ...] = (
    Synthetic("synthetic-same", "one slot, repeatedly", "the last-used cache", same),
    Synthetic("synthetic-next", "each slot after the previous one", "locality: neighbours in gfn order", following),
    Synthetic("synthetic-uniform", "every slot equally often", "a search without any help from locality", uniform),
    Synthetic("synthetic-skewed", "every page equally often: large slots more", "orders by size", skewed),
    Synthetic("synthetic-misses", "half of the accesses outside every slot", "finding that there is no slot", misses),
    SyntheticVcpus(),
)

# "There are only two interesting slots, 1G-end_of_mem and 0-pci_hole": memory below the PCI hole, and that above it.
# The hole of a PC ends at 4 GiB, so the second slot starts there (one that started at 1 GiB would meet the first). The
# guest has 8 GiB, so the larger slot is the upper one and an array sorted by size examines 3/8 * 2 + 5/8 = 1.375 slots.
TWO_SLOT = Thread(
    "two-slot",
    "the 2008 thread's two slots: 0 to 3 GiB and 4 to 9 GiB",
    "few slots: constant costs only",
    ((0, 3 * GIANT_PAGES), (4 * GIANT_PAGES, 9 * GIANT_PAGES)),
)
# "On 64-bit userspace we can arrange the entire physical address space in a contiguous region (some of it unmapped) and
# have just one slot": the same guest, its PCI hole part of the slot.
ONE_SLOT = Thread(
    "one-slot",
    "the 2008 thread's single slot: 0 to 9 GiB, hole included",
    "the minimum cost: nothing to search",
    ((0, 9 * GIANT_PAGES),),
)
