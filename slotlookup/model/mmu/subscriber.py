"""KVM's mmu notifier callbacks: each visits the slots that overlap a range, then zaps or ages their sptes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE, Hva
from slotlookup.arrays import Bools, Ints
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import ADDRESS_SPACES
from slotlookup.model.mmu.settings import Era
from slotlookup.model.mmu.slot_table import SlotTable
from slotlookup.model.mmu.sptes import Sptes
from slotlookup.model.notifier import InvalidateState, Subscriber
from slotlookup.model.recorder import Recorder
from slotlookup.strategy import Strategy
from slotlookup.stream import HvaStream, Timeline, one_segment

NO_CHANGES = np.zeros((0, 6), dtype=np.uint64)


@dataclass
class NotifierCounters:
    """Counters of the callbacks. `visits` are questions to the strategy, `missed` those without a slot."""

    visits: int = 0
    missed: int = 0
    invalidations: int = 0
    zapped: int = 0
    aged: int = 0
    young: int = 0
    pinned: int = 0
    """Reported young, and therefore kept, although not used since the last query."""
    wrongly_evicted: int = 0
    """Reported old, and therefore unmapped, although the guest had used them since the last query."""


class KvmNotifier(Subscriber):
    """One VM's subscription."""

    def __init__(self, strategy: Strategy, slots: SlotTable, sptes: Sptes, era: Era, recorder: Recorder) -> None:
        self.strategy = strategy
        self.slots = slots
        self.sptes = sptes
        self.era = era
        self.recorder = recorder
        self.state = InvalidateState(era.retry)
        self.counters = NotifierCounters()

    def invalidate_range_start(self, start: int, end: int) -> None:
        numbers = self._visit(start, end)
        self.counters.invalidations += 1
        if not numbers:
            return
        self.state.begin()
        for number in numbers:
            gfn_start, gfn_end = self.slots.gfn_range(number, start, end)
            self.state.add_range(gfn_start, gfn_end)
            self.counters.zapped += self.sptes.zap_gfns(number >> 16, gfn_start, gfn_end)

    def invalidate_range_end(self, start: int, end: int) -> None:
        if self.era.end_looks_up:
            numbers = self._visit(start, end)
        else:
            numbers = self.strategy.visit_hva(Hva(start), Hva(end)) if self.state.in_progress else []
        if numbers:
            self.state.finish()

    def invalidate_pages(self, pages: Ints, change_pte: bool = False) -> None:
        times = 1 + self.era.end_looks_up + (change_pte and self.era.change_pte)
        numbers, where = self._visit_pages(np.repeat(pages, times))
        first = where % times == 0
        self._invalidated(pages, numbers[first], where[first] // times)

    def clear_young(self, pages: Ints, flush: bool) -> Bools:
        numbers, where = self._visit_pages(pages)
        return self._age(pages, numbers, where)[0]

    def age_and_invalidate(self, pages: Ints, young: Bools, force: bool) -> Bools:
        numbers, where = self._ask(pages)
        found, truth = self._age(pages, numbers, where)
        going = np.ones(len(pages), dtype=np.bool_) if force else ~(found | young)
        self.counters.pinned += int(np.count_nonzero(found & ~truth & ~young & ~going))
        self.counters.wrongly_evicted += int(np.count_nonzero(truth & going))
        # One page after another: its ageing, then its invalidation if it is evicted.
        times = 1 + going * (1 + self.era.end_looks_up)
        asked = np.repeat(pages, times)
        self._record(asked)
        self._ask(pages[going])
        if self.era.end_looks_up:
            self._ask(pages[going])
        leaving = going[where]
        place = np.cumsum(going) - 1
        self._invalidated(pages[going], numbers[leaving], place[where[leaving]])
        met = np.bincount(where, minlength=len(pages)) > 0
        self.counters.missed += int(times[~met].sum())
        return found

    def test_young(self, pages: Ints) -> Bools:
        numbers, where = self._visit_pages(pages)
        young = np.zeros(len(pages), dtype=np.bool_)
        for as_id, gfns, place in self._by_space(pages, numbers, where):
            answer, _ = self.sptes.young(as_id, gfns, clear=False)
            np.logical_or.at(young, place, answer)
        return young

    def release(self) -> None:
        self.counters.zapped += self.sptes.zap_all()

    def forget_writes(self, pages: Ints) -> None:
        for number in np.flatnonzero(self.slots.npages).tolist():
            offset = pages - self.slots.hva_page[number]
            gfns = self.slots.base[number] + offset[(offset >= 0) & (offset < self.slots.npages[number])]
            self.sptes.forget_writes(number >> 16, gfns)

    def _age(self, pages: Ints, numbers: Ints, where: Ints) -> tuple[Bools, Bools]:
        young, truth = np.zeros(len(pages), dtype=np.bool_), np.zeros(len(pages), dtype=np.bool_)
        for as_id, gfns, place in self._by_space(pages, numbers, where):
            answer, used = self.sptes.young(as_id, gfns, clear=True)
            np.logical_or.at(young, place, answer)
            np.logical_or.at(truth, place, used)
        self.counters.aged += len(pages)
        self.counters.young += int(np.count_nonzero(young))
        return young, truth

    def _invalidated(self, pages: Ints, numbers: Ints, where: Ints) -> None:
        """Pages were invalidated one after another; slots `numbers` were found at positions `where` of `pages`."""
        self.counters.invalidations += len(pages)
        for as_id, gfns, _ in self._by_space(pages, numbers, where):
            self.counters.zapped += self.sptes.zap(as_id, gfns)
        met = where[_firsts(where)]
        if len(met):
            # Begin, range and end of each at once: the last range remains set, as in the kernel.
            self.state.seq += len(met)
            if not self.state.in_progress:
                last = where == met[-1]
                gfns = self.slots.base[numbers[last]] + pages[where[last]] - self.slots.hva_page[numbers[last]]
                self.state.start, self.state.end = int(gfns.min()), int(gfns.max()) + 1
            else:
                gfns = self.slots.base[numbers] + pages[where] - self.slots.hva_page[numbers]
                self.state.add_range(int(gfns.min()), int(gfns.max()) + 1)

    def _by_space(self, pages: Ints, numbers: Ints, where: Ints) -> list[tuple[int, Ints, Ints]]:
        """For the slots found: address space, distinct gfns, and the position in `pages` of each."""
        found = []
        gfns = self.slots.base[numbers] + pages[where] - self.slots.hva_page[numbers]
        for as_id in range(ADDRESS_SPACES):
            mine = numbers >> 16 == as_id
            if mine.any():
                found.append((as_id, gfns[mine], where[mine]))
        return found

    def _visit(self, start: int, end: int) -> list[int]:
        self.recorder.visits(np.array([start], dtype=np.uint64), np.array([end], dtype=np.uint64))
        numbers = self.strategy.visit_hva(Hva(start), Hva(end))
        self.counters.visits += 1
        self.counters.missed += not numbers
        if any(self.slots.npages[number] == 0 for number in numbers):
            raise BrokenStrategy(f"{self.strategy.name} visits a slot that does not exist in [{start:#x}, {end:#x})")
        return numbers

    def _visit_pages(self, pages: Ints) -> tuple[Ints, Ints]:
        self._record(pages)
        numbers, where = self._ask(pages)
        self.counters.missed += len(pages) - int(np.count_nonzero(_firsts(where)))
        return numbers, where

    def _record(self, pages: Ints) -> None:
        starts = pages.astype(np.uint64) << np.uint64(PAGE_SHIFT)
        self.recorder.visits(starts, starts + np.uint64(PAGE_SIZE))
        self.counters.visits += len(pages)

    def _ask(self, pages: Ints) -> tuple[Ints, Ints]:
        """The slots of each page: their numbers, and the position of the page."""
        if not len(pages):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        starts = pages.astype(np.uint64) << np.uint64(PAGE_SHIFT)
        stream = HvaStream(starts, starts + np.uint64(PAGE_SIZE), Timeline(one_segment(len(pages)), NO_CHANGES))
        answers = self.strategy.answer_hvas(stream)
        numbers = answers.numbers.astype(np.int64)
        where = np.repeat(np.arange(len(pages)), answers.counts.astype(np.int64))
        if len(numbers):
            at = pages[where] - self.slots.hva_page[numbers]
            if (at < 0).any() or (at >= self.slots.npages[numbers]).any():
                raise BrokenStrategy(f"{self.strategy.name} visits a slot that does not overlap the range")
        return numbers, where


def _firsts(where: Ints) -> Bools:
    """Which elements of an ascending sequence differ from the previous one."""
    firsts = np.ones(len(where), dtype=np.bool_)
    np.not_equal(where[1:], where[:-1], out=firsts[1:])
    return firsts
