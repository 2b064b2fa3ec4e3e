"""The slots of both the kernel and the tool, and the addresses that are looked up in both.

One region of a gigabyte of host memory, never touched, is divided into equal slots. Each excludes the last page of its
part, so that there are holes. The slots are created in random order: if they were created in the order of their
addresses, neighbours would also be adjacent in the kernel's memory, unlike in a VM that has run for a long time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.arrays import Numbers, Words
from slotlookup.memslots import ChangeKind
from slotlookup.stream import CHANGE_COLUMNS
from slotlookup.vocabulary import Role

REGION_PAGES = 8 * 32_764
"""A gigabyte minus 128 KiB: eight pages per slot at the kernel's limit."""
BASE_GFN = 1 << 20
"""4 GiB: above everything else in a VM."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sequence of questions.

    `order` is random, next (the slot after the previous one) or hole (random holes between slots, for which an hva
    visit consists of the search only); `pages` is the length of an invalidated range.
    """

    role: Role
    order: str
    pages: int = 1

    def __str__(self) -> str:
        many = f", {self.pages} pages" if self.pages > 1 else ""
        return f"{self.role} {self.order}{many}"


PATTERNS = (
    Pattern(Role.GFN, "random"),
    Pattern(Role.GFN, "next"),
    Pattern(Role.HVA, "random"),
    Pattern(Role.HVA, "next"),
    Pattern(Role.HVA, "hole"),
    Pattern(Role.HVA, "random", 64),
    Pattern(Role.HVA, "random", 1024),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """`slots` equal slots over the region at `hva`; or, if `aside`, one slot of its first page, which is not a hole."""

    slots: int
    hva: int
    aside: bool = False

    @property
    def share(self) -> int:
        """Pages from one slot's start to the next."""
        return REGION_PAGES // self.slots

    def creations(self, seed: int) -> Words:
        """The changes that create the slots, uint64[slots, 6]; ids follow the addresses, `seed` gives the order."""
        if self.aside:
            first, pages, order = np.array([0]), np.array([1]), np.array([0])
        else:
            order = np.random.default_rng(seed).permutation(self.slots)
            first = order * self.share
            pages = np.where(order == self.slots - 1, REGION_PAGES - first, self.share) - 1
        table = np.zeros((len(order), CHANGE_COLUMNS), dtype=np.uint64)
        table[:, 0] = ChangeKind.CREATE
        table[:, 1] = order
        table[:, 2] = BASE_GFN + first
        table[:, 3] = pages
        table[:, 4] = self.hva + first * PAGE_SIZE
        return table


def regions(creations: Words) -> Words:
    """The system calls that create slots: slot, flags, gpa, size, hva (uint64[n, 5])."""
    shift = np.uint64(PAGE_SHIFT)
    number, base_gfn, npages, hva, flags = (creations[:, column] for column in range(1, CHANGE_COLUMNS))
    return np.ascontiguousarray(np.stack([number, flags, base_gfn << shift, npages << shift, hva], axis=1))


def asked_pages(pattern: Pattern, slots: int, count: int, seed: int) -> Words:
    """`count` pages of the region, relative to its start, that `pattern` looks up in a layout of `slots` slots.

    Each is the first page of a slot, or the hole after it. Ranges begin there and end within the region.
    """
    share = REGION_PAGES // slots
    if pattern.order == "next":
        which = np.arange(count) % slots
    else:
        which = np.random.default_rng(seed).integers(0, slots, count)
    first = which * share
    if pattern.order == "hole":
        first = np.where(which == slots - 1, REGION_PAGES, first + share) - 1
    return np.minimum(first, REGION_PAGES - pattern.pages).astype(np.uint64)


def expected_checksum(pages: Words, length: int, layout: Layout) -> int:
    """The sum of slot number + 1 over all slots that overlap ranges of `length` pages from `pages` on, by division."""
    first = pages.astype(np.int64)
    if layout.aside:
        return int(np.count_nonzero(first == 0))
    most = layout.slots - 1
    low = np.minimum(first // layout.share, most)
    ends = np.where(low == most, REGION_PAGES, (low + 1) * layout.share)
    low = low + (first == ends - 1)  # that is a hole
    high = np.minimum((first + length - 1) // layout.share, most)
    met = np.maximum(high - low + 1, 0)
    return int((met * (low + high + 2) // 2).sum())


def numbers_in_order(creations: Words) -> Numbers:
    """The slots' numbers in order of creation."""
    return creations[:, 1].astype(np.int32)
