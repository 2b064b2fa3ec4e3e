"""MMU notifiers: the callbacks of a host's memory management to a hypervisor, and the detection of stale faults.

The host calls a `Subscriber` before and after it changes page tables. A range is half-open, in bytes, of any alignment.
`InvalidateState` is KVM's part: the sequence count, the invalidations in progress, and the union of the guest ranges
that they cover. The union only grows until all have ended, so some faults retry without need: tracking every range
would cost more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import numpy as np

from slotlookup.address import ADDRESS_LIMIT, PAGE_SHIFT
from slotlookup.arrays import Bools, Ints

EVERYTHING = (0, ADDRESS_LIMIT - 1)
"""The range that clearing all soft-dirty bits of a process invalidates: to ULONG_MAX, which is not a page's end."""


class NotifierKind(IntEnum):
    """The callbacks of struct mmu_notifier_ops that concern guest memory."""

    INVALIDATE_START = 0
    INVALIDATE_END = 1
    CLEAR_FLUSH_YOUNG = 2
    CLEAR_YOUNG = 3
    TEST_YOUNG = 4
    CHANGE_PTE = 5
    RELEASE = 6


class Retry(StrEnum):
    """How a fault detects that an invalidation made it stale."""

    GFN_RANGE = "gfn-range"
    """Today's: the union of invalidations in progress contains the gfn, or the sequence changed."""
    ANY = "any"
    """Before 5.12: any invalidation is in progress, or the sequence changed."""


class Subscriber(ABC):
    """A receiver of callbacks.

    Methods that take `pages` (hva page numbers) represent one callback pair per page, in order.
    """

    @abstractmethod
    def invalidate_range_start(self, start: int, end: int) -> None:
        """Page tables of [start, end) are about to change: nothing may map these pages when this returns."""

    @abstractmethod
    def invalidate_range_end(self, start: int, end: int) -> None:
        """The change is done."""

    @abstractmethod
    def invalidate_pages(self, pages: Ints, change_pte: bool = False) -> None:
        """Start and end for each page alone, with change_pte between them if requested."""

    @abstractmethod
    def clear_young(self, pages: Ints, flush: bool) -> Bools:
        """Whether each page was used since the last query; clears it. `flush`: clear_flush_young."""

    @abstractmethod
    def age_and_invalidate(self, pages: Ints, young: Bools, force: bool) -> Bools:
        """Reclaim of one page after another: clear_flush_young, then start and end if the page is old.

        `young` are the accessed bits of the host's own page table; `force` also invalidates young pages. Returns
        whether a subscriber reported each page as young.
        """

    @abstractmethod
    def test_young(self, pages: Ints) -> Bools:
        """Whether each page was used since the last query."""

    @abstractmethod
    def release(self) -> None:
        """The address space has ended."""

    @abstractmethod
    def forget_writes(self, pages: Ints) -> None:
        """Not a callback of the kernel: the contents of these pages are set, whatever the guest wrote before."""


class NotifierLog(Subscriber):
    """Records every callback, as a kernel's tracepoints do: `events` has (kind, start, end) in order."""

    def __init__(self) -> None:
        self.events: list[tuple[NotifierKind, int, int]] = []

    def invalidate_range_start(self, start: int, end: int) -> None:
        self.events.append((NotifierKind.INVALIDATE_START, start, end))

    def invalidate_range_end(self, start: int, end: int) -> None:
        self.events.append((NotifierKind.INVALIDATE_END, start, end))

    def invalidate_pages(self, pages: Ints, change_pte: bool = False) -> None:
        kinds = [NotifierKind.INVALIDATE_START, NotifierKind.INVALIDATE_END]
        if change_pte:
            kinds.insert(1, NotifierKind.CHANGE_PTE)
        self._pages(kinds, pages)

    def clear_young(self, pages: Ints, flush: bool) -> Bools:
        self._pages([NotifierKind.CLEAR_FLUSH_YOUNG if flush else NotifierKind.CLEAR_YOUNG], pages)
        return np.zeros(len(pages), dtype=np.bool_)

    def age_and_invalidate(self, pages: Ints, young: Bools, force: bool) -> Bools:
        invalidated = [NotifierKind.CLEAR_FLUSH_YOUNG, NotifierKind.INVALIDATE_START, NotifierKind.INVALIDATE_END]
        for i in range(len(pages)):
            self._pages(invalidated[:1] if young[i] and not force else invalidated, pages[i : i + 1])
        return np.zeros(len(pages), dtype=np.bool_)

    def test_young(self, pages: Ints) -> Bools:
        self._pages([NotifierKind.TEST_YOUNG], pages)
        return np.zeros(len(pages), dtype=np.bool_)

    def release(self) -> None:
        self.events.append((NotifierKind.RELEASE, 0, 0))

    def forget_writes(self, pages: Ints) -> None:
        """Nothing to record: a kernel has no tracepoint here."""

    def _pages(self, kinds: list[NotifierKind], pages: Ints) -> None:
        for page in pages.tolist():
            self.events += [(kind, page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT) for kind in kinds]


class Notifiers(Subscriber):
    """The subscribers of one address space, called in the order of subscription."""

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []

    def invalidate_range_start(self, start: int, end: int) -> None:
        for subscriber in self.subscribers:
            subscriber.invalidate_range_start(start, end)

    def invalidate_range_end(self, start: int, end: int) -> None:
        for subscriber in self.subscribers:
            subscriber.invalidate_range_end(start, end)

    def invalidate_pages(self, pages: Ints, change_pte: bool = False) -> None:
        if len(pages):
            for subscriber in self.subscribers:
                subscriber.invalidate_pages(pages, change_pte)

    def clear_young(self, pages: Ints, flush: bool) -> Bools:
        young = np.zeros(len(pages), dtype=np.bool_)
        if len(pages):
            for subscriber in self.subscribers:
                young |= subscriber.clear_young(pages, flush)
        return young

    def age_and_invalidate(self, pages: Ints, young: Bools, force: bool) -> Bools:
        # The first subscriber needs the answers of the later ones, so these are called before it.
        behind = [s.clear_young(pages, flush=True) for s in self.subscribers[1:]]
        known: Bools = np.logical_or.reduce([young, *behind])
        if not self.subscribers:
            return known
        found: Bools = self.subscribers[0].age_and_invalidate(pages, known, force) | known
        for subscriber in self.subscribers[1:]:
            subscriber.invalidate_pages(pages if force else pages[~found])
        return found

    def test_young(self, pages: Ints) -> Bools:
        young = np.zeros(len(pages), dtype=np.bool_)
        if len(pages):
            for subscriber in self.subscribers:
                young |= subscriber.test_young(pages)
        return young

    def release(self) -> None:
        for subscriber in self.subscribers:
            subscriber.release()

    def forget_writes(self, pages: Ints) -> None:
        for subscriber in self.subscribers:
            subscriber.forget_writes(pages)


@dataclass
class InvalidateState:
    """KVM's mmu_invalidate_seq, mmu_invalidate_in_progress and the union of gfns [start, end) being invalidated.

    `start` is None if no range was added since the count was last 0.
    """

    retry: Retry = Retry.GFN_RANGE
    seq: int = 0
    in_progress: int = 0
    start: int | None = None
    end: int = 0

    def begin(self) -> None:
        """An invalidation that hits a slot begins."""
        self.in_progress += 1
        if self.in_progress == 1:
            self.start, self.end = None, 0

    def add_range(self, start: int, end: int) -> None:
        """One slot's part of it, in gfns."""
        if self.start is None:
            self.start, self.end = start, end
        else:
            self.start, self.end = min(self.start, start), max(self.end, end)

    def finish(self) -> None:
        """The invalidation ends.

        The sequence changes before the count decreases, so that a fault sees one or the other.
        """
        self.seq += 1
        self.in_progress -= 1
        if self.in_progress < 0:
            raise RuntimeError("an invalidation ended that had not begun")

    def overtaken(self, snapshot: int, gfn: int) -> bool:
        """Whether a fault at `gfn` that read `snapshot` as the sequence must be retried."""
        if self.in_progress:
            if self.retry is Retry.ANY:
                return True
            if self.start is not None and self.start <= gfn < self.end:
                return True
        return self.seq != snapshot
