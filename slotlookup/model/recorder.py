"""Records the questions of a model to its strategy, in order, as the events of a trace."""

from __future__ import annotations

import numpy as np

from slotlookup.arrays import Ints, Vcpus, Words
from slotlookup.memslots import Memslot
from slotlookup.trace import EventKind, Events, Trace, empty_events


class Recorder:
    """Records events. `limit` is the number of events to keep, None for all."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._events = empty_events(1 << 12)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self._count >= self.limit

    def clear(self) -> None:
        """Discard all recorded events."""
        self._count = 0

    def lookups(self, gfns: Ints, vcpus: Vcpus, as_id: int) -> None:
        """Gfn lookups, each by its vCPU."""
        rows = self._rows(len(gfns))
        rows["kind"], rows["vcpu"], rows["a"], rows["b"] = EventKind.GFN_LOOKUP, vcpus, gfns, as_id

    def visits(self, starts: Words, ends: Words) -> None:
        """Hva visits of half-open ranges."""
        rows = self._rows(len(starts))
        rows["kind"], rows["a"], rows["b"] = EventKind.HVA_VISIT, starts, ends

    def call(self, number: int, gpa: int, size: int, hva: int, flags: int) -> None:
        """One call of KVM_SET_USER_MEMORY_REGION."""
        rows = self._rows(1)
        rows["kind"], rows["slot"], rows["a"] = EventKind.SLOT_CHANGE, number, gpa
        rows["b"], rows["hva"], rows["flags"] = size, hva, flags

    def reorder(self, begin: int, keys: Ints) -> None:
        """Sort the events from `begin` on by their keys; equal ones keep their order."""
        if self.limit == 0:
            return
        rows = self._events[begin : self._count]
        rows[:] = rows[np.argsort(keys, kind="stable")]

    def events(self) -> Events:
        """The recorded events."""
        return self._events[: self._count if self.limit is None else min(self._count, self.limit)].copy()

    def trace(self, name: str, start: tuple[Memslot, ...], source: str) -> Trace:
        """A trace that begins with the slots `start`; `source` is the label of each kind of event that occurs."""
        events = self.events()
        present: dict[str, str] = {kind.operation: source for kind in EventKind if (events["kind"] == kind).any()}
        return Trace(name, start, events, {"source": source, **present})

    def _rows(self, count: int) -> Events:
        end = self._count + count
        if self.limit == 0:
            self._count = end
            return empty_events(count)
        if end > len(self._events):
            room = empty_events(max(end, 2 * len(self._events)))
            room[: self._count] = self._events[: self._count]
            self._events = room
        rows = self._events[self._count : end]
        self._count = end
        return rows
