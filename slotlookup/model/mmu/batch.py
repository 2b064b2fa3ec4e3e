"""The faults of one batch of guest accesses: their work, and how many can be handled together."""

from __future__ import annotations

import numpy as np

from slotlookup.address import HOLE
from slotlookup.arrays import Bools, Ints, Vcpus
from slotlookup.memslots import LOG_DIRTY_PAGES, READONLY
from slotlookup.model.host import bits
from slotlookup.model.host.faults import Kind, allocates, classify, resolve
from slotlookup.model.mmu.sptes import PRESENT, TRACKED, WRITABLE
from slotlookup.model.mmu.state import Mmu


class Plan:
    """The misses of a batch: their work, and how many can be handled together.

    Distinct missed pages of one table are stored in the order of their first access. `cut` is the position in the batch
    of the first access that must wait for earlier ones.
    """

    def __init__(self, mmu: Mmu, space: int, missed: Ints, entries: Ints, writes: Bools) -> None:
        """`missed` are positions in the batch of accesses that fault, `entries` their pages of the table."""
        self.mmu, self.space, self.as_id, self.missed = mmu, space, mmu.as_id_of(space), missed
        _, first, inverse = np.unique(entries, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.group = rank[inverse]
        first = first[order]
        self.position = missed[first]
        self.entries, self.writes = entries[first], writes[first]
        self.gfns = mmu.translate(space, self.entries)
        self.numbers = mmu.slots.numbers(self.as_id, self.gfns)
        self.hole = self.numbers == HOLE
        host = mmu.host
        pages = mmu.slots.hva_pages(self.numbers, self.gfns)
        pages[self.hole] = 0
        self.index = host.pages.find(0, pages)
        self.kinds = classify(host, self.index, self.writes)
        self._sort_out()
        self.cut = self._first_to_wait(first, writes)

    def _sort_out(self) -> None:
        """Mark faults that cannot be handled with others as HARD, and those that need no host page."""
        mmu = self.mmu
        flags = mmu.slots.flags[self.numbers]
        self.kinds[mmu.host.pages.pte[self.index] & bits.HUGE != 0] = Kind.HARD
        self.kinds[(flags & READONLY != 0) & self.writes] = Kind.HARD
        spte = mmu.sptes.table.flags[mmu.sptes.table.find(self.space, self.entries)]
        enough = ~self.writes | (spte & WRITABLE != 0)
        self.tracked = (spte & TRACKED != 0) & enough & (self.kinds != Kind.HARD) & ~self.hole
        self.kinds[self.hole | self.tracked] = Kind.READY
        # Whether an spte installed by a read will permit a write.
        host = mmu.host
        pte, vma = host.pages.pte[self.index], host.pages.vma[self.index]
        lasting = (self.kinds == Kind.READY) & (pte & bits.WRITE != 0)
        lasting |= (self.kinds == Kind.SWAP_READ) & (vma & bits.VM_WRITE != 0)
        lasting |= self.kinds == Kind.REUSE
        lasting &= flags & (LOG_DIRTY_PAGES | READONLY) == 0
        self.passes = self.writes | lasting | self.hole

    def _first_to_wait(self, first: Ints, writes: Bools) -> int:
        """The position of the first access that must wait."""
        blocked = self.kinds >= Kind.HARD
        blocked |= np.cumsum(allocates(self.kinds)) > max(0, self.mmu.host.spare)
        if self.mmu.paging.prefetch:
            blocked |= ~self.hole
        blocked |= self._copies_to_wait()
        if self.mmu.paging.shadow or self.mmu.memslots.aliased():
            # Two gfns of one host page: the second finds the frame of the first.
            again = np.ones(len(self.index), dtype=np.bool_)
            again[np.unique(self.index, return_index=True)[1]] = False
            blocked |= again & ~self.hole
        cut = int(self.position[np.argmax(blocked)]) if blocked.any() else 1 << 62
        later = writes & ~self.passes[self.group]
        later[first] = False
        return min(cut, int(self.missed[np.argmax(later)])) if later.any() else cut

    def _copies_to_wait(self) -> Bools:
        """The copies that affect more than their own page."""
        copies: Bools = self.kinds == Kind.COPY
        if not copies.any():
            return copies
        if self.mmu.paging.shadow or self.mmu.memslots.aliased():
            return copies  # they also unmap pages that later accesses of the batch may hit
        # If the last reference is dropped, the next fault may use the frame.
        pfns = self.mmu.host.pages.num[self.index[copies]]
        _, which, sharers = np.unique(pfns, return_inverse=True, return_counts=True)
        wait = np.zeros_like(copies)
        wait[copies] = (pfns != bits.ZERO_PFN) & (self.mmu.host.frames.refs[pfns] <= sharers[which])
        return wait

    def mark_copied(self, index: Ints, writes: Bools) -> None:
        """Store the reads that hit a page before its copy: they belong to the old frame."""
        copies = np.flatnonzero(self.kinds == Kind.COPY)
        if len(copies):
            table = self.mmu.sptes.table
            copied = table.find(self.space, self.entries[copies])
            table.copied_at[copied] = self.position[copies]
            before = np.flatnonzero(table.copied_at[index] > np.arange(len(index)))
            table.copied_at[copied] = 0
            before = before[table.flags[index[before]] & PRESENT != 0]
            self.mmu.sptes.mark(index[before], writes[before])

    def carry_out(self, vcpus: Vcpus, cut: int) -> None:
        """Look up, resolve and install everything before `cut`."""
        mmu, counters = self.mmu, self.mmu.counters
        count = int(np.searchsorted(self.position, cut))
        if not count:
            return
        hole, tracked = self.hole[:count], self.tracked[:count]
        asked = self._new_holes(count)
        begin = len(mmu.recorder)
        # A copy invalidates its own fault, which is retried.
        copies = self.kinds[:count] == Kind.COPY
        times = asked.astype(np.int64) + copies
        again = np.repeat(np.arange(count), times)
        mmu.ask(self.gfns[again], vcpus[self.position[again]], self.as_id, self.numbers[again])
        if copies.any():
            self._announce(np.flatnonzero(copies), again, begin)
        found = int(np.count_nonzero(~hole))
        outside = int(np.count_nonzero(self.hole[self.group[: int(np.searchsorted(self.missed, cut))]]))
        counters.exits += found + outside + int(np.count_nonzero(copies))
        counters.retries += int(np.count_nonzero(copies))
        counters.mmio += outside
        counters.mmio_known += outside - (int(np.count_nonzero(asked)) - found)
        counters.faults += found
        table = mmu.sptes.table
        if tracked.any():
            kept = table.find(self.space, self.entries[:count][tracked])
            table.flags[kept] = table.flags[kept] & ~np.uint16(TRACKED) | np.uint16(PRESENT)
            counters.tracked += len(kept)
        plain = np.flatnonzero(~hole & ~tracked)
        if len(plain):
            entries, writes = self.entries[plain], self.writes[plain]
            table.ensure_pages(self.space, entries)
            pfns, writable = resolve(mmu.host, self.index[plain], writes, self.kinds[plain])
            index = table.find(self.space, entries)
            mmu.install(self.numbers[plain], index, self.gfns[plain], pfns, writable, writes)
            counters.installed += len(plain)

    def _announce(self, copies: Ints, asked: Ints, begin: int) -> None:
        """Invalidate the copied pages, each between its fault's two lookups."""
        mmu = self.mmu
        pages = mmu.host.pages.page_of(self.index[copies])
        lookups = len(mmu.recorder) - begin
        mmu.host.notifiers.invalidate_pages(pages, change_pte=True)
        visits = len(mmu.recorder) - begin - lookups
        second = np.zeros(lookups, dtype=np.int64)
        second[1:] = asked[1:] == asked[:-1]
        keys = np.concatenate([asked * 4 + 2 * second, np.repeat(copies * 4 + 1, visits // len(copies))])
        mmu.recorder.reorder(begin, keys)

    def _new_holes(self, count: int) -> Bools:
        """Which of the first `count` pages need a lookup: all except holes with an MMIO spte."""
        asked = np.ones(count, dtype=np.bool_)
        known = self.mmu.known_holes
        for at in np.flatnonzero(self.hole[:count]).tolist():
            key = (self.as_id, int(self.gfns[at]))
            if key in known:
                asked[at] = False
            known.add(key)
        return asked
