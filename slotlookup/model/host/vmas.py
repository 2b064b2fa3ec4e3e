"""Mappings of an address space (VMAs): found, split and merged as in the kernel, independent of the pages in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.errors import UsageError


@dataclass(eq=False)
class File:
    """A shared memory file (memfd, shmem): its page cache, and the mappings to unmap when it loses pages."""

    npages: int
    pfns: npt.NDArray[np.int32] = field(init=False)
    inserted: int = 0
    """Counts the insertions of mappings into the file's interval tree."""

    def __post_init__(self) -> None:
        self.pfns = np.full(self.npages, -1, dtype=np.int32)


@dataclass(eq=False)
class Vma:
    """Bytes [start, end) with the bits of slotlookup.model.host.bits; of a file, from page `offset` on."""

    start: int
    end: int
    bits: int
    file: File | None = None
    offset: int = 0
    giant: bool = False
    """Backed by 1 GiB pages of hugetlbfs, which are mapped and unmapped whole."""
    policy: int = 0
    """The memory policy (mbind); 0 is that of the process."""
    anon: bool = False
    """It has an anon_vma: it had a page of its own at some time, so that fork copies its page tables."""
    order: int = 0
    """When it was last inserted into the file's interval tree (i_mmap)."""

    def insert_into_file(self) -> None:
        """A change of its boundaries removes it from the interval tree of its file and inserts it again."""
        if self.file is not None:
            self.file.inserted += 1
            self.order = self.file.inserted

    def file_page(self, page: int) -> int:
        """The file's page that the mapping maps at an hva page."""
        return page - (self.start >> PAGE_SHIFT) + self.offset

    def continues(self, other: Vma) -> bool:
        """Whether `other` can be merged with this mapping, which ends where it begins."""
        own = (self.end, self.bits, self.file, self.giant, self.policy)
        if own != (other.start, other.bits, other.file, other.giant, other.policy):
            return False
        return self.file_page(other.start >> PAGE_SHIFT) == other.offset


def check_range(hva: int, size: int) -> None:
    """Raise UsageError unless [hva, hva + size) consists of at least one whole page."""
    if size <= 0 or (hva | size) % PAGE_SIZE or hva < 0:
        raise UsageError(f"hva {hva:#x} + {size:#x}: ranges of host memory consist of whole pages, at least one")


class VmaList:
    """The mappings in order."""

    def __init__(self) -> None:
        self._vmas: list[Vma] = []
        self._starts: list[int] = []

    def __iter__(self) -> Iterator[Vma]:
        return iter(self._vmas)

    def __len__(self) -> int:
        return len(self._vmas)

    def at(self, hva: int) -> Vma | None:
        """The mapping that contains a byte, or None."""
        at = bisect_right(self._starts, hva) - 1
        return self._vmas[at] if at >= 0 and hva < self._vmas[at].end else None

    def meeting(self, start: int, end: int) -> list[Vma]:
        """All mappings that overlap [start, end), in order."""
        at = max(0, bisect_right(self._starts, start) - 1)
        found = []
        while at < len(self._vmas) and self._vmas[at].start < end:
            if self._vmas[at].end > start:
                found.append(self._vmas[at])
            at += 1
        return found

    def insert(self, vma: Vma) -> None:
        """Add a mapping, merged with its neighbours if they continue each other."""
        at = bisect_right(self._starts, vma.start)
        if at < len(self._vmas) and vma.continues(self._vmas[at]):
            vma.end = self._vmas[at].end
            vma.anon |= self._vmas[at].anon
            self._drop(at)
        if at > 0 and self._vmas[at - 1].continues(vma):
            self._join(at - 1, vma)
            return
        vma.insert_into_file()
        self._vmas.insert(at, vma)
        self._starts.insert(at, vma.start)

    def remove(self, vma: Vma) -> None:
        """Remove a mapping."""
        self._drop(bisect_right(self._starts, vma.start) - 1)

    def split(self, vma: Vma, hva: int) -> Vma:
        """Split a mapping at `hva`; returns the upper part."""
        offset = vma.file_page(hva >> PAGE_SHIFT)
        upper = Vma(hva, vma.end, vma.bits, vma.file, offset, vma.giant, vma.policy, vma.anon)
        vma.end = hva
        upper.insert_into_file()
        vma.insert_into_file()
        at = bisect_right(self._starts, hva)
        self._vmas.insert(at, upper)
        self._starts.insert(at, hva)
        return upper

    def set_bits(self, start: int, end: int, bits: int, mask: int) -> None:
        """Set `bits` under `mask` in the mappings in [start, end), already split there, and merge equal neighbours."""
        for vma in self.meeting(start, end):
            vma.bits = vma.bits & ~mask | bits
        self.merge(start, end)

    def merge(self, start: int, end: int) -> None:
        """Merge equal neighbours in [start, end] and at its ends."""
        # Merged from the top, so that positions below stay valid.
        at = min(bisect_right(self._starts, end), len(self._vmas) - 1)
        while at > 0 and self._vmas[at].end >= start:
            if self._vmas[at - 1].continues(self._vmas[at]):
                self._join(at - 1, self._vmas[at])
                self._drop(at)
            at -= 1

    def of_file(self, file: File, first: int, npages: int) -> list[tuple[Vma, int, int]]:
        """The mappings of a file's pages [first, first + npages), each with its part of them as bytes [start, end).

        In the order of i_mmap: by the first page of the file that is mapped, then by insertion.
        """
        found = []
        for vma in sorted((v for v in self._vmas if v.file is file), key=lambda v: (v.offset, v.order)):
            origin = vma.start - (vma.offset << PAGE_SHIFT)
            start = max(vma.start, origin + (first << PAGE_SHIFT))
            end = min(vma.end, origin + ((first + npages) << PAGE_SHIFT))
            if start < end:
                found.append((vma, start, end))
        return found

    def _join(self, at: int, upper: Vma) -> None:
        self._vmas[at].end = upper.end
        self._vmas[at].anon |= upper.anon
        self._vmas[at].insert_into_file()

    def gap_below(self, top: int, size: int, align: int) -> int:
        """The highest free place of `size` bytes below `top`, as mmap chooses it."""
        end = top
        for vma in reversed(self._vmas):
            if vma.start >= end:
                continue
            if vma.end <= (end - size) // align * align:
                break
            end = vma.start
        return (end - size) // align * align

    def _drop(self, at: int) -> None:
        del self._vmas[at]
        del self._starts[at]
