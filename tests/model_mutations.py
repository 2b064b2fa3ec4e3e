"""Bugs planted in the model, each of which a property must detect: name, replaced code, replacement, and property."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from interleaving import CASES, explore
from model_world import (
    World,
    check_ages,
    check_balloon,
    check_chains,
    check_deletion,
    check_dirty_reaches_frames,
    check_fork,
    check_logs,
    check_whole_huge,
)

from slotlookup.model.host import bits
from slotlookup.model.host.frames import Frames
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.mmu.sptes import ACCESSED, DIRTY, Sptes
from slotlookup.model.mmu.subscriber import KvmNotifier
from slotlookup.model.notifier import InvalidateState, Notifiers, Retry
from slotlookup.model.vm import Vm

Witness = Callable[[], object]


def racing(*names: str) -> Witness:
    """Every schedule of some cases, by gfn range."""
    return lambda: [explore(CASES[name], Retry.GFN_RANGE) for name in names]


def churning(paging: str = "ept", logged: bool = False) -> Witness:
    """Random treatment of small worlds, checked after each step."""

    def witness() -> None:
        for seed in range(3):
            World(paging, seed, logged).churn(60)

    return witness


def looking(check: Callable[[World], None], logged: bool = False, paging: str = "ept") -> Witness:
    """One look at one property."""
    return lambda: check(World(paging, logged=logged))


Swap = tuple[type, str, Callable[[Any], Any]]
"""Class, attribute, and the bug made from what stands there."""


def _union_of_last_slot(_: Any) -> Any:
    def add_range(self: InvalidateState, start: int, end: int) -> None:
        self.start, self.end = start, end

    return add_range


def _union_reset_by_each(_: Any) -> Any:
    def begin(self: InvalidateState) -> None:
        self.in_progress += 1
        self.start, self.end = None, 0

    return begin


def _union_reset_by_first_end(right: Any) -> Any:
    def finish(self: InvalidateState) -> None:
        right(self)
        self.start, self.end = None, 0

    return finish


def _no_sequence(_: Any) -> Any:
    def finish(self: InvalidateState) -> None:
        self.in_progress -= 1

    return finish


def _no_count(_: Any) -> Any:
    def finish(self: InvalidateState) -> None:
        self.seq += 1

    return finish


def _sequence_only(_: Any) -> Any:
    return lambda self, snapshot, gfn: self.seq != snapshot


def _range_only(_: Any) -> Any:
    return lambda self, snapshot, gfn: self.start is not None and self.in_progress and self.start <= gfn < self.end


def _end_excluded_twice(right: Any) -> Any:
    return lambda self, start, end: right(self, start, end - 1)


def _zap_one_less(right: Any) -> Any:
    return lambda self, as_id, start, end: right(self, as_id, start, end - 1)


def _first_slot_only(right: Any) -> Any:
    return lambda self, start, end: right(self, start, end)[:1]


def _first_page_slot_only(right: Any) -> Any:
    def ask(self: KvmNotifier, pages: Any) -> Any:
        numbers, where = right(self, pages)
        _, first = np.unique(where, return_index=True)
        return numbers[first], where[first]

    return ask


def _forgets(lost: int) -> Callable[[Any], Any]:
    def bug(right: Any) -> Any:
        def hand_over(self: Sptes, index: Any) -> None:
            self.table.flags[index] &= ~np.uint16(lost)
            right(self, index)

        return hand_over

    return bug


def _clears_without_asking(right: Any) -> Any:
    def young(self: Sptes, as_id: int, gfns: Any, clear: bool) -> Any:
        answer, truth = right(self, as_id, gfns, clear)
        return (answer & ~clear, truth)

    return young


def _test_clears(right: Any) -> Any:
    return lambda self, as_id, gfns, clear: right(self, as_id, gfns, True)


def _never_forgets(right: Any) -> Any:
    return lambda self, as_id, gfns, clear: right(self, as_id, gfns, False)


def _announces_too_late(_: Any) -> Any:
    def dontneed(self: AddressSpace, hva: int, size: int) -> None:
        self.zap(hva, hva + size)
        with self.invalidating(hva, hva + size):
            pass

    return dontneed


def _never_announces(_: Any) -> Any:
    return lambda self, pages, change_pte=False: None


def _does_nothing(_: Any) -> Any:
    return lambda self, *arguments: 0


def _itself(_: Any) -> Any:
    return lambda self, index: index


def _reads_after_clearing(_: Any) -> Any:
    def get_dirty_log(self: Vm, number: int) -> Any:
        self.dirty[number][:] = False
        return self.dirty[number].copy()

    return get_dirty_log


def _keeps_writable(_: Any) -> Any:
    def get_dirty_log(self: Vm, number: int) -> Any:
        log = self.dirty[number].copy()
        self.dirty[number][:] = False
        return log

    return get_dirty_log


def _leaks_a_frame(right: Any) -> Any:
    return lambda self, pfns: right(self, pfns[1:])


def _frees_twice(right: Any) -> Any:
    def release(self: Frames, pfns: Any) -> None:
        right(self, pfns)
        again = pfns[: len(self._free) - self.free]
        self._free[self.free : self.free + len(again)] = again
        self.free += len(again)

    return release


def _head_only(right: Any) -> Any:
    def entries(self: Sptes, as_id: int, gfns: Any) -> Any:
        index, where = right(self, as_id, gfns)
        _, first = np.unique(where, return_index=True)
        return index[first], where[first]

    return entries


def _ignores_sharers(_: Any) -> Any:
    return lambda self, pfns: pfns != bits.ZERO_PFN


def _everything_writable(right: Any) -> Any:
    return lambda self, index, pfns, writable, gfns, as_id: right(self, index, pfns, writable | True, gfns, as_id)


TWO, ALIASED = "fault, two invalidations", "faults in a slot and its alias"

MUTATIONS: dict[str, tuple[Swap, Witness]] = {
    "no retry at all": ((InvalidateState, "overtaken", lambda _: lambda *a: False), racing("fault, invalidate")),
    "retry by sequence only": ((InvalidateState, "overtaken", _sequence_only), racing("fault, invalidate")),
    "retry by range only": ((InvalidateState, "overtaken", _range_only), racing("fault, invalidate")),
    "the sequence stands still": ((InvalidateState, "finish", _no_sequence), racing("fault, invalidate")),
    "the count never falls": ((InvalidateState, "finish", _no_count), racing("fault, invalidate")),
    "the union holds the last slot only": ((InvalidateState, "add_range", _union_of_last_slot), racing(ALIASED)),
    "each invalidation resets the union": ((InvalidateState, "begin", _union_reset_by_each), racing(TWO)),
    "the first end resets the union": ((InvalidateState, "finish", _union_reset_by_first_end), racing(TWO)),
    "the union lacks its last page": (
        (InvalidateState, "add_range", _end_excluded_twice),
        racing("fault at the last page of a range"),
    ),
    "a zap lacks its last page": ((Sptes, "zap_gfns", _zap_one_less), churning()),
    "an alias is not zapped": ((KvmNotifier, "_visit", _first_slot_only), racing(ALIASED)),
    "an alias is not zapped page by page": ((KvmNotifier, "_ask", _first_page_slot_only), churning()),
    "a dirty bit is lost in a zap": ((Sptes, "_hand_over", _forgets(DIRTY)), looking(check_dirty_reaches_frames)),
    "an age is lost in a zap": ((Sptes, "_hand_over", _forgets(ACCESSED)), looking(check_ages)),
    "ages are cleared, not asked": ((Sptes, "young", _clears_without_asking), looking(check_ages)),
    "test_young clears": ((Sptes, "young", _test_clears), looking(check_ages)),
    "clear_young does not clear": ((Sptes, "young", _never_forgets), looking(check_ages)),
    "freed before it is announced": ((AddressSpace, "dontneed", _announces_too_late), looking(check_balloon)),
    "single pages are never announced": ((Notifiers, "invalidate_pages", _never_announces), churning()),
    "a slot goes without a zap": ((Sptes, "zap_all", _does_nothing), looking(check_deletion)),
    "a huge spte is zapped in part": ((Sptes, "_whole", _itself), looking(check_whole_huge)),
    "logging does not protect": ((Sptes, "write_protect", _does_nothing), looking(check_logs, logged=True)),
    "a log is cleared, then read": ((Vm, "get_dirty_log", _reads_after_clearing), looking(check_logs, logged=True)),
    "a log is read without protecting": ((Vm, "get_dirty_log", _keeps_writable), looking(check_logs, logged=True)),
    "a frame is lost": ((Frames, "release", _leaks_a_frame), churning()),
    "a frame is freed twice": ((Frames, "release", _frees_twice), churning()),
    "a swap slot is lost": ((Frames, "put_slots", _leaks_a_frame), churning()),
    "a chain is followed to its head only": ((Sptes, "entries", _head_only), looking(check_chains, paging="shadow")),
    "a chain keeps what is unmapped": ((Sptes, "_unchain", _does_nothing), looking(check_chains, paging="shadow")),
    "shared pages are written in place": ((AddressSpace, "exclusive", _ignores_sharers), looking(check_fork)),
    "every spte is writable": ((Sptes, "install", _everything_writable), churning()),
}
