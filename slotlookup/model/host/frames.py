"""Physical frames: their references, the two reclaim lists, the swap cache and swap slots.

Invariants:
  1. A frame is free, or has `refs` > 0, or is in the swap cache (SWAP_CACHE) waiting to be written out.
  2. A frame is on at most one list. An entry of a list is valid while the frame's stamp equals the entry's, so that
     removing a frame from a list costs nothing and leaves an invalid entry.
  3. The frame of a swap slot, if it has one, has SWAP_CACHE.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slotlookup.arrays import Ints
from slotlookup.errors import OutOfHostMemory
from slotlookup.model.host.bits import ACTIVE, BATCHED, KSM, LISTED, SWAP_CACHE, ZERO_PFN

FOLIO_BATCH = 31
"""Entries of a per-CPU folio batch (PAGEVEC_SIZE)."""


class Fifo:
    """A queue of frames with stamps: appended and taken in batches, entries of moved frames skipped."""

    def __init__(self, stamps: Ints) -> None:
        self._stamps = stamps
        self._pfn = np.zeros(1024, dtype=np.int32)
        self._stamp = np.zeros(1024, dtype=np.int64)
        self._head = self._tail = 0

    def push(self, pfns: Ints, stamps: Ints) -> None:
        """Append frames whose stamps are `stamps`."""
        if self._tail + len(pfns) > len(self._pfn):
            live = slice(self._head, self._tail)
            keep = self._stamps[self._pfn[live]] == self._stamp[live]
            pfn, stamp = self._pfn[live][keep], self._stamp[live][keep]
            room = max(1024, 2 * (len(pfn) + len(pfns)))
            self._pfn, self._stamp = np.zeros(room, dtype=np.int32), np.zeros(room, dtype=np.int64)
            self._pfn[: len(pfn)], self._stamp[: len(pfn)] = pfn, stamp
            self._head, self._tail = 0, len(pfn)
        end = self._tail + len(pfns)
        self._pfn[self._tail : end] = pfns
        self._stamp[self._tail : end] = stamps
        self._tail = end

    def take(self, count: int) -> Ints:
        """Up to `count` frames from the front. They stay listed until the caller moves them."""
        parts: list[Ints] = []
        while count > 0 and self._head < self._tail:
            end = min(self._tail, self._head + count)
            pfn = self._pfn[self._head : end].astype(np.int64)
            live = pfn[self._stamps[pfn] == self._stamp[self._head : end]]
            self._head = end
            parts.append(live)
            count -= len(live)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


class Frames:
    """`total` frames of 4 KiB. Frame 0 is the zero page."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.refs = np.zeros(total, dtype=np.int32)
        self.flags = np.zeros(total, dtype=np.uint8)
        self.owner = np.full(total, -1, dtype=np.int32)
        """The page table index that maps the frame (any one of them if there are several)."""
        self.slot = np.full(total, -1, dtype=np.int32)
        """The swap slot of a frame in the swap cache."""
        self.content = np.zeros(total, dtype=np.int32)
        """The contents that KSM compares: equal numbers for equal contents, 0 for unknown."""
        self.folio = np.zeros(total, dtype=np.int64)
        """The large folio that the frame is a part of, by a number that is never used again; 0 for none."""
        self.place = np.zeros(total, dtype=np.int16)
        """The frame's place in its large folio."""
        self._folios = 0
        self._free = np.arange(total - 1, 0, -1, dtype=np.int32)
        self.free = total - 1
        self._stamp = np.zeros(total, dtype=np.int64)
        self._clock = 0
        self.inactive = Fifo(self._stamp)
        self.active = Fifo(self._stamp)
        self.cached = Fifo(self._stamp)
        self.counts = {"inactive": 0, "active": 0, "cached": 0}
        self.swap_frame = np.full(1024, -1, dtype=np.int32)
        self._free_slots = np.arange(1023, -1, -1, dtype=np.int32)
        self.free_slots = 1024
        self.batch: list[int] = []
        self.refs[ZERO_PFN] = 1

    def alloc(self, count: int) -> Ints:
        """`count` frames with one reference each, on no list. Raises OutOfHostMemory."""
        if count > self.free:
            raise OutOfHostMemory(
                f"the host has {self.free:,} of {self.total:,} frames left and needs {count:,}; increase its memory"
            )
        pfns = self._free[self.free - count : self.free][::-1].astype(np.int64)
        self.free -= count
        self.refs[pfns] = 1
        return pfns

    def make_folio(self, pfns: Ints) -> None:
        """Make frames one large folio, in this order."""
        self._folios += 1
        self.folio[pfns] = self._folios
        self.place[pfns] = np.arange(len(pfns), dtype=np.int16)

    def put(self, pfns: Ints, repeated: bool = False) -> None:
        """Drop one reference for each element; frames without references become free.

        `repeated` says that frames may occur more than once; otherwise only those of KSM may.
        """
        pfns = pfns[pfns != ZERO_PFN]
        if not len(pfns):
            return
        if repeated or (self.flags[pfns] & KSM).any():
            pfns, counts = np.unique(pfns, return_counts=True)
            self.refs[pfns] -= counts.astype(np.int32)
        else:
            self.refs[pfns] -= 1
        dead = pfns[self.refs[pfns] == 0]
        cached = self.flags[dead] & SWAP_CACHE != 0
        self.release(dead[~cached])
        self.list_on(dead[cached], "cached")

    def release(self, pfns: Ints) -> None:
        """Free frames without references."""
        if not len(pfns):
            return
        self.unlist(pfns)
        cached = pfns[self.flags[pfns] & SWAP_CACHE != 0]
        if len(cached):
            self.put_slots(self.slot[cached])
        self.flags[pfns] = 0
        self.owner[pfns] = -1
        self.slot[pfns] = -1
        self.content[pfns] = 0
        self.folio[pfns] = 0
        self._free[self.free : self.free + len(pfns)] = pfns
        self.free += len(pfns)

    def list_on(self, pfns: Ints, name: str) -> None:
        """Move frames to the end of the list `name` (inactive, active or cached)."""
        if not len(pfns):
            return
        self.unlist(pfns)
        stamps = self._clock + 1 + np.arange(len(pfns), dtype=np.int64)
        self._clock += len(pfns)
        self._stamp[pfns] = stamps
        self.flags[pfns] |= LISTED | (ACTIVE if name == "active" else 0)
        queue: Fifo = getattr(self, name)
        queue.push(pfns, stamps)
        self.counts[name] += len(pfns)

    def unlist(self, pfns: Ints) -> None:
        """Remove frames from their lists."""
        flags = self.flags[pfns]
        listed = flags & LISTED != 0
        if listed.any():
            self.counts["active"] -= int(np.count_nonzero(flags & ACTIVE))
            cached = listed & (flags & SWAP_CACHE != 0)
            self.counts["cached"] -= int(np.count_nonzero(cached))
            self.counts["inactive"] -= int(np.count_nonzero(listed & (flags & ACTIVE == 0) & ~cached))
            self._stamp[pfns] = 0
            self.flags[pfns] = flags & ~np.uint8(LISTED | ACTIVE)

    def add_to_swap(self, pfns: Ints) -> Ints:
        """Give unmapped frames a swap slot each and put them in the swap cache. Returns the slots, int64[n]."""
        if len(pfns) > self.free_slots:
            held = len(self.swap_frame)
            room = max(2 * held, held + len(pfns))
            self.swap_frame = np.concatenate([self.swap_frame, np.full(room - held, -1, dtype=np.int32)])
            free = np.zeros(room, dtype=np.int32)
            fresh = np.arange(room - 1, held - 1, -1, dtype=np.int32)
            free[: len(fresh)] = fresh
            free[len(fresh) : len(fresh) + self.free_slots] = self._free_slots[: self.free_slots]
            self._free_slots, self.free_slots = free, self.free_slots + len(fresh)
        slots = self._free_slots[self.free_slots - len(pfns) : self.free_slots][::-1].astype(np.int64)
        self.free_slots -= len(pfns)
        self.unlist(pfns)
        self.swap_frame[slots] = pfns
        self.slot[pfns] = slots
        self.flags[pfns] |= SWAP_CACHE
        self.list_on(pfns, "cached")
        return slots

    def leave_swap_cache(self, pfns: Ints) -> None:
        """Map frames found in the swap cache again: slot and cache entry are removed."""
        self.unlist(pfns)
        self.put_slots(self.slot[pfns])
        self.slot[pfns] = -1
        self.flags[pfns] &= ~np.uint8(SWAP_CACHE)

    def write_out(self, count: int) -> int:
        """Write the oldest frames of the swap cache and free them; returns their number."""
        done = 0
        while done < count:
            pfns = self.cached.take(count - done)
            if not len(pfns):
                break
            # A child's reference keeps the frame; its slot still refers to it.
            idle = self.refs[pfns] == 0
            self.unlist(pfns)
            gone = pfns[idle]
            self.swap_frame[self.slot[gone]] = -1
            self.flags[gone] &= ~np.uint8(SWAP_CACHE)
            self.release(gone)
            done += len(gone)
        return done

    def put_slots(self, slots: npt.NDArray[np.integer]) -> None:
        """Free swap slots."""
        self.swap_frame[slots] = -1
        self._free_slots[self.free_slots : self.free_slots + len(slots)] = slots
        self.free_slots += len(slots)

    def drop_slots(self, slots: Ints) -> None:
        """After page table entries with swap slots were removed: free the slots, and frames still in the cache."""
        pfns = self.swap_frame[slots]
        cached = pfns[pfns >= 0].astype(np.int64)
        self.put_slots(slots[pfns < 0])
        if len(cached):
            idle = cached[self.refs[cached] == 0]
            self.release(idle)
            held = cached[self.refs[cached] > 0]
            self.leave_swap_cache(held)

    def batch_up(self, pfns: Ints) -> None:
        """Put frames in the per-CPU folio batch, which holds a reference to each until it is full."""
        for pfn in pfns.tolist():
            self.batch.append(pfn)
            self.flags[pfn] |= BATCHED
            if len(self.batch) == FOLIO_BATCH:
                self.drain_batch()

    def drain_batch(self) -> None:
        """lru_add_drain: drop the references of the batch."""
        self.flags[self.batch] &= ~np.uint8(BATCHED)
        self.batch.clear()
