"""Shadow page table entries, which the hardware walks for the guest.

Two-dimensional paging has one table per address space, keyed by gfn. Shadow paging has one per root, keyed by the
guest's virtual page, and a chain of all sptes that map a gfn (its rmap). A huge spte is stored in all entries that it
covers, so that a lookup is one read; bits that the hardware sets in any of them belong to the whole.

Invariants:
  1. An entry with PRESENT or TRACKED maps the frame `pfn`; all others have flags 0 and pfn -1.
  2. In shadow paging an entry is on the chain of its gfn exactly while it maps a frame.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from slotlookup.address import GIANT_PAGES, HUGE_PAGES
from slotlookup.arrays import Bools, Ints
from slotlookup.memslots import ADDRESS_SPACES
from slotlookup.model.host import bits
from slotlookup.model.host.frames import Frames
from slotlookup.model.mmu.settings import Paging, YoungPolicy
from slotlookup.model.radix import Radix

PRESENT = 1 << 0
WRITABLE = 1 << 1
ACCESSED = 1 << 2
DIRTY = 1 << 3
TOUCHED = 1 << 4
"""The actual use, which hardware without an accessed bit does not record: used since the last query."""
WRITTEN = 1 << 5
"""The actual use by writes."""
LEVEL_SHIFT = 6
LEVEL_MASK = 3 << LEVEL_SHIFT
"""Level minus one."""
TRACKED = 1 << 8
"""Kept, but non-present, so that the next access faults."""
MAPS = PRESENT | TRACKED


class Sptes:
    """All sptes of a VM. `spaces` is as many as there are address spaces, or roots for shadow paging."""

    def __init__(self, paging: Paging, frames: Frames, spaces: int) -> None:
        self.paging = paging
        self.frames = frames
        columns: dict[str, tuple[type[np.generic], int]] = {"flags": (np.uint16, 0), "pfn": (np.int32, -1)}
        # Scratch space of a batch of accesses: the position at which an entry's page is copied. Zero between batches.
        columns["copied_at"] = (np.int32, 0)
        if paging.shadow:
            columns |= {"gfn": (np.int64, -1), "next": (np.int32, -1)}
        self.table = Radix(columns, spaces)
        self.rmap = Radix({"head": (np.int32, -1)}, ADDRESS_SPACES)
        self.zapped = 0
        hardware = paging.young is YoungPolicy.ACCESSED_BIT
        self._read = np.uint16(TOUCHED | (ACCESSED if hardware else 0))
        self._write = np.uint16(self._read | WRITTEN | (DIRTY if paging.dirty_bit else 0))

    def missing(self, index: Ints, writes: Bools) -> Bools:
        """Which accesses fault."""
        need = writes.astype(np.uint16) * WRITABLE + PRESENT
        return np.asarray(self.table.flags[index] & need != need)

    def mark(self, index: Ints, writes: Bools) -> None:
        """Record accesses that do not fault, in the hardware's bits and in the bits of actual use."""
        # Two passes, each with one value, since an entry may occur more than once.
        self.table.flags[index] |= self._read
        written = index[writes]
        self.table.flags[written] |= self._write

    def install(self, index: Ints, pfns: Ints, writable: Bools, gfns: Ints, as_id: int) -> None:
        """Install 4 KiB sptes in distinct entries. A writable one counts as dirty from the start, as in make_spte."""
        flags = self.table.flags
        fresh = flags[index] & MAPS == 0
        made = writable.astype(np.uint16) * (WRITABLE | (DIRTY if self.paging.dirty_bit else 0)) + PRESENT
        flags[index] = flags[index] & np.uint16(TOUCHED | WRITTEN | ACCESSED | DIRTY) | made
        self.table.pfn[index] = pfns
        if self.paging.shadow:
            self._chain(index[fresh], gfns[fresh], as_id)

    def install_huge(self, space: int, page: int, gfn: int, level: int, pfns: Ints, writable: bool, as_id: int) -> None:
        """Install one spte of 2 MiB or 1 GiB over the entries from `page` (aligned) on; `pfns` are its frames."""
        self.table.ensure(space, page, page + len(pfns))
        index = self.table.indices(space, page, page + len(pfns))
        self.zap_index(index[self.table.flags[index] & MAPS != 0])
        gfns = gfn + np.arange(len(pfns), dtype=np.int64)
        if self.paging.shadow:
            self.rmap.ensure(as_id, gfn, gfn + len(pfns))
        self.install(index, pfns, np.full(len(pfns), writable), gfns, as_id)
        self.table.flags[index] |= np.uint16((level - 1) << LEVEL_SHIFT)

    def retrack(self, space: int, page: int, write: bool) -> bool:
        """Make a TRACKED spte present again if it permits the access; returns whether both hold."""
        index = self._whole(self.table.find(space, np.array([page])))
        flags = self.table.flags[index]
        if not (flags & TRACKED).all() or (write and not (flags & WRITABLE).all()):
            return False
        self.table.flags[index] = flags & ~np.uint16(TRACKED) | np.uint16(PRESENT)
        return True

    def entries(self, as_id: int, gfns: Ints) -> tuple[Ints, Ints]:
        """The entries that map gfns: their indices, and for each the position in `gfns` to which it belongs."""
        if not self.paging.shadow:
            index = self.table.find(as_id, gfns)
            where = np.flatnonzero(self.table.flags[index] & MAPS)
            return index[where], where
        current = self.rmap.head[self.rmap.find(as_id, gfns)].astype(np.int64)
        found, owners = [], []
        where = np.flatnonzero(current >= 0)
        while len(where):
            found.append(current[where])
            owners.append(where)
            current[where] = self.table.next[current[where]]
            where = where[current[where] >= 0]
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return np.concatenate(found), np.concatenate(owners)

    def mapped_gfns(self, as_id: int, start: int, end: int) -> Ints:
        """The gfns of [start, end) that may be mapped, in order."""
        radix, empty = (self.rmap, self.rmap.head < 0) if self.paging.shadow else (self.table, None)
        parts = []
        for first, part in radix.slices(as_id, start, end):
            held = ~empty[part] if empty is not None else self.table.flags[part] & MAPS != 0
            parts.append(first + np.flatnonzero(held))
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def zap_gfns(self, as_id: int, start: int, end: int) -> int:
        """Unmap [start, end), and all of a huge spte that overlaps it; returns the number of entries."""
        if self.paging.shadow:
            return self.zap(as_id, self.mapped_gfns(as_id, start, end))
        done = 0
        for _, part in self.table.slices(as_id, start, end):
            flags = self.table.flags[part]
            held = part.start + np.flatnonzero(flags & MAPS)
            done += self.zap_index(self._whole(held))
        return done

    def zap(self, as_id: int, gfns: Ints) -> int:
        """Unmap single gfns, and all of a huge spte that contains one."""
        index, _ = self.entries(as_id, gfns)
        return self.zap_index(self._whole(index))

    def zap_index(self, index: Ints) -> int:
        """Unmap distinct entries; their bits are moved to the frames, so that no age and no write is lost."""
        if not len(index):
            return 0
        self._hand_over(index)
        self.table.flags[index] = 0
        self.table.pfn[index] = -1
        if self.paging.shadow:
            self._unchain(index)
        self.zapped += len(index)
        return len(index)

    def zap_all(self) -> int:
        """Unmap everything."""
        index = np.flatnonzero(self.table.flags & MAPS)
        self._hand_over(index)
        self.table.flags[index] = 0
        self.table.pfn[index] = -1
        if self.paging.shadow:
            self.table.gfn[:] = -1
            self.table.next[:] = -1
            self.rmap.head[:] = -1
        self.zapped += len(index)
        return len(index)

    def write_protect(self, as_id: int, gfns: Ints) -> int:
        """Write-protect all mappings of `gfns`; huge sptes are unmapped. Returns the number of entries."""
        index, _ = self.entries(as_id, gfns)
        flags = self.table.flags[index]
        huge = flags & LEVEL_MASK != 0
        self.zap_index(self._whole(index[huge]))
        plain = index[~huge & (flags & WRITABLE != 0)]
        # Dirty bits are moved to the frame, since the spte is no longer writable.
        self._hand_over(plain)
        self.table.flags[plain] &= ~np.uint16(WRITABLE | DIRTY)
        return len(plain)

    def forget_writes(self, as_id: int, gfns: Ints) -> None:
        """Clear the bits of actual writes."""
        self.table.flags[self.entries(as_id, gfns)[0]] &= ~np.uint16(WRITTEN)

    def young(self, as_id: int, gfns: Ints, clear: bool) -> tuple[Bools, Bools]:
        """Whether each gfn counts as used, by the paging's policy, and whether it actually was; `clear` clears both."""
        answer, truth = np.zeros(len(gfns), dtype=np.bool_), np.zeros(len(gfns), dtype=np.bool_)
        index, where = self.entries(as_id, gfns)
        if not len(index):
            return answer, truth
        if (self.table.flags[index] & LEVEL_MASK).any():
            return self._young_huge(index, where, answer, truth, clear)
        flags = self.table.flags[index]
        said = self._says(flags)
        np.logical_or.at(answer, where, said)
        np.logical_or.at(truth, where, flags & TOUCHED != 0)
        if clear:
            self._forget(index, flags)
        return answer, truth

    def _says(self, flags: npt.NDArray[np.uint16]) -> Bools:
        policy = self.paging.young
        if policy is YoungPolicy.ACCESSED_BIT:
            return np.asarray(flags & ACCESSED != 0)
        if policy is YoungPolicy.NOT_YOUNG:
            return np.zeros(len(flags), dtype=np.bool_)
        return np.asarray(flags & PRESENT != 0)

    def _forget(self, index: Ints, flags: npt.NDArray[np.uint16]) -> None:
        policy = self.paging.young
        if policy is YoungPolicy.YOUNG_AND_UNMAP:
            self.zap_index(index)
            return
        left = flags & ~np.uint16(ACCESSED | TOUCHED)
        if policy is YoungPolicy.ACCESS_TRACK:
            left = left & ~np.uint16(PRESENT) | np.uint16(TRACKED)
        self.table.flags[index] = left

    def _young_huge(self, index: Ints, where: Ints, answer: Bools, truth: Bools, clear: bool) -> tuple[Bools, Bools]:
        """`young` if there are huge sptes: one after another, since pages of one spte share its bits."""
        for entry, position in sorted(zip(index.tolist(), where.tolist(), strict=True), key=lambda pair: pair[1]):
            whole = self._whole(np.array([entry]))
            flags = self.table.flags[whole]
            if not (flags & MAPS).any():
                continue
            answer[position] |= bool(self._says(flags).any())
            truth[position] |= bool((flags & TOUCHED).any())
            if clear:
                self._forget(whole, flags)
        return answer, truth

    def _whole(self, index: Ints) -> Ints:
        """The indices, extended to all entries of their huge sptes; distinct if they were."""
        levels = (self.table.flags[index] & LEVEL_MASK) >> LEVEL_SHIFT
        if not levels.any():
            return index
        parts = [index[levels == 0]]
        blocks = np.unique(index[levels == 1] & ~(HUGE_PAGES - 1))
        parts.append((blocks[:, None] + np.arange(HUGE_PAGES)).ravel())
        parts += list(self._giants(index[levels == 2]))
        return np.concatenate(parts)

    def _giants(self, index: Ints) -> Iterator[Ints]:
        """All entries of the 1 GiB sptes that entries belong to."""
        if len(index):
            pages = self.table.page_of(index)
            for space in range(self.table.spaces):
                mine = pages[self.table.find(space, pages) == index]
                for first in np.unique(mine & ~(GIANT_PAGES - 1)).tolist():
                    yield self.table.indices(space, first, first + GIANT_PAGES)

    def _hand_over(self, index: Ints) -> None:
        flags, pfns = self.table.flags[index], self.table.pfn[index]
        # Without a dirty bit, a writable page counts as written.
        dirty = flags & (DIRTY if self.paging.dirty_bit else WRITABLE) != 0
        real = pfns > bits.ZERO_PFN
        self.frames.flags[pfns[dirty & real]] |= bits.FRAME_DIRTY
        self.frames.content[pfns[(flags & WRITTEN != 0) & real]] = 0
        self.frames.flags[pfns[(flags & ACCESSED != 0) & real]] |= bits.REFERENCED

    def _chain(self, index: Ints, gfns: Ints, as_id: int) -> None:
        if not len(index):
            return
        self.rmap.ensure_pages(as_id, gfns)
        heads = self.rmap.find(as_id, gfns)
        if len(np.unique(gfns)) < len(gfns):
            for one in range(len(index)):
                self.table.next[index[one]] = self.rmap.head[heads[one]]
                self.rmap.head[heads[one]] = index[one]
        else:
            self.table.next[index] = self.rmap.head[heads]
            self.rmap.head[heads] = index
        # The as_id is stored in two top bits of the gfn, so that an entry finds its own chain.
        self.table.gfn[index] = gfns | np.int64(as_id) << 60

    def _unchain(self, index: Ints) -> None:
        """Remove entries that no longer map a frame from the chains of their gfns."""
        marked = self.table.gfn[index]
        for as_id in range(ADDRESS_SPACES):
            mine = marked >> 60 == as_id
            if mine.any():
                heads = np.unique(self.rmap.find(as_id, marked[mine] & ((1 << 60) - 1)))
                self._relink(heads)
        self.table.next[index] = -1
        self.table.gfn[index] = -1

    def _relink(self, heads: Ints) -> None:
        """Remove entries without a frame from each chain."""
        left = np.zeros(len(heads), dtype=np.bool_)
        current = self.rmap.head[heads].astype(np.int64)
        walking = np.flatnonzero(current >= 0)
        while len(walking):
            left[walking] |= self.table.flags[current[walking]] & MAPS != 0
            current[walking] = self.table.next[current[walking]]
            walking = walking[current[walking] >= 0]
        for head in heads[left].tolist():
            keep, entry = [], int(self.rmap.head[head])
            while entry >= 0:
                if self.table.flags[entry] & MAPS:
                    keep.append(entry)
                entry = int(self.table.next[entry])
            self.rmap.head[head] = keep[0]
            for entry, following in zip(keep, [*keep[1:], -1], strict=True):
                self.table.next[entry] = following
        self.rmap.head[heads[~left]] = -1
