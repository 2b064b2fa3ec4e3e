"""Strategies whose structures are Python: the common part of every RangeIndex."""

from __future__ import annotations

from collections.abc import Callable

from slotlookup.address import ADDRESS_LIMIT, HOLE, Gfn, Hva
from slotlookup.arrays import Words
from slotlookup.errors import BeyondLimit, BrokenStrategy
from slotlookup.memslots import ADDRESS_SPACES, ChangeKind, Memslot, SlotChange
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Capabilities, Counters, Strategy
from slotlookup.stream import change_at
from slotlookup.structure import Family, PythonStructure, obstacle_of
from slotlookup.vocabulary import CachePolicy, Count, UpdateDiscipline

CACHES = (CachePolicy.NONE, CachePolicy.LAST_USED)
"""The caches that are available for Python structures."""


class _Tally:
    """The number of comparisons made by counting keys."""

    def __init__(self) -> None:
        self.compares = 0


def counting_key(tally: _Tally) -> type[int]:
    """An int that reports each of its comparisons, so that a library's own code can be counted from outside."""

    class CountingKey(int):
        def __lt__(self, other: int) -> bool:
            tally.compares += 1
            return int.__lt__(self, other)

        def __le__(self, other: int) -> bool:
            tally.compares += 1
            return int.__le__(self, other)

        def __gt__(self, other: int) -> bool:
            tally.compares += 1
            return int.__gt__(self, other)

        def __ge__(self, other: int) -> bool:
            tally.compares += 1
            return int.__ge__(self, other)

        def __eq__(self, other: object) -> bool:
            tally.compares += 1
            return int.__eq__(self, other)

        def __ne__(self, other: object) -> bool:
            tally.compares += 1
            return int.__ne__(self, other)

        __hash__ = int.__hash__

    return CountingKey


def capabilities(structures: tuple[PythonStructure, PythonStructure]) -> Capabilities:
    """What a strategy of these structures can do."""
    counts = (Count.COMPARES,) if all(s.compares for s in structures) else ()
    limits = (structures[0].limit, structures[1].limit)
    return Capabilities(Family.PYTHON, UpdateDiscipline.IN_PLACE, obstacle_of(structures), counts, limits)


def note_of(structures: tuple[PythonStructure, PythonStructure]) -> str:
    """Which implementations run on this machine, where the structures say so."""
    return "; ".join(dict.fromkeys(note for s in structures if (note := s.note())))


class PythonStrategy(Strategy):
    """Two Python structures for each address space, with an optional last-used slot that is tested before gfn lookups.

    If `counted`, keys count their comparisons (including those of the cache). There are no other counts, and none at
    all if a structure's library does not compare the given keys.
    """

    def __init__(
        self,
        name: str,
        spec: StrategySpec,
        structures: tuple[PythonStructure, PythonStructure],
        *,
        counted: bool = False,
    ) -> None:
        """`structures` are the declarations that serve gfn lookups and hva visits, in that order."""
        self.name = name
        self.spec = str(spec)
        self.note = note_of(structures)
        self.counted = counted
        self.capabilities = capabilities(structures)
        self._limited = min(self.capabilities.limits) < ADDRESS_LIMIT - 1
        self._gfn = [structures[0].make() for _ in range(ADDRESS_SPACES)]
        self._hva = [structures[1].make() for _ in range(ADDRESS_SPACES)]
        self._caching = spec.cache == CachePolicy.LAST_USED
        self._last: list[tuple[int, int, int] | None] = [None] * ADDRESS_SPACES
        self._slots: dict[int, Memslot] = {}
        self._generations = list(range(ADDRESS_SPACES))
        self._staged = False
        self._tally = _Tally()
        self._key: Callable[[int], int] = counting_key(self._tally) if counted and self.capabilities.counts else int

    def stage(self, change: SlotChange) -> None:
        if self._staged:
            raise ValueError("a change is staged already; publish it first")
        self._carry_out(change)
        self._staged = True
        self._gfn[change.slot.as_id].settle()
        self._hva[change.slot.as_id].settle()

    def load_table(self, changes: Words) -> None:
        if self._staged:
            raise ValueError("a change is staged already; publish it first")
        for row in range(len(changes)):
            self._carry_out(change_at(changes, row))

    def _carry_out(self, change: SlotChange) -> None:
        slot = change.slot
        if self._limited and (refusal := self.capabilities.refusal(slot)):
            raise BeyondLimit(f"{self.name} cannot hold this: {refusal}")
        self._generations[slot.as_id] += ADDRESS_SPACES
        if change.kind is ChangeKind.CREATE:
            self._insert(slot)
        elif change.kind is ChangeKind.DELETE:
            self._remove(slot.number)
        elif change.kind is ChangeKind.MOVE:
            self._remove(slot.number)
            self._insert(slot)
        else:
            self._slots[slot.number] = slot

    def publish(self) -> None:
        if not self._staged:
            raise ValueError("no change is staged")
        self._staged = False

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        if not 0 <= as_id < ADDRESS_SPACES:
            raise ValueError(f"address space {as_id} does not exist")
        if not 0 <= gfn < ADDRESS_LIMIT:
            raise ValueError(f"gfn {gfn:#x} is not an unsigned 64-bit value")
        key = self._key(gfn)
        if not self._caching:
            return self._gfn[as_id].find(key)
        last = self._last[as_id]
        if last is not None and key >= last[0] and key <= last[1]:
            return last[2]
        number = self._gfn[as_id].find(key)
        if number != HOLE:
            slot = self._slots[number]
            self._last[as_id] = (slot.base_gfn, slot.end_gfn - 1, number)
        return number

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        if start >= end:
            return []
        first, last = self._key(start), self._key(end - 1)
        met: list[int] = []
        for index in self._hva:
            if len(index):
                met.extend(index.visit(first, last))
        if len(met) > 1:
            met.sort()
        return met

    def generation(self, as_id: int = 0) -> int:
        return self._generations[as_id]

    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        compares = self._tally.compares
        number = self.lookup_gfn(gfn, as_id)
        self._tally.compares = compares
        return None if number == HOLE else self._slots[number].flags

    def counters(self) -> Counters:
        known = self.counted and Count.COMPARES in self.capabilities.counts
        return Counters(None, self._tally.compares if known else None, None, None)

    def reset_counters(self) -> None:
        self._tally.compares = 0

    def check(self) -> None:
        for as_id in range(ADDRESS_SPACES):
            held = sum(1 for slot in self._slots.values() if slot.as_id == as_id)
            for index in (self._gfn[as_id], self._hva[as_id]):
                index.check()
                if len(index) != held:
                    raise BrokenStrategy(f"the structure holds {len(index)} ranges of {held} slots")

    def bytes(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self._slots)

    def _insert(self, slot: Memslot) -> None:
        key = self._key
        self._slots[slot.number] = slot
        self._gfn[slot.as_id].insert(key(slot.base_gfn), key(slot.end_gfn - 1), slot.number)
        self._hva[slot.as_id].insert(key(slot.userspace_addr), key(slot.userspace_end - 1), slot.number)

    def _remove(self, number: int) -> None:
        key = self._key
        slot = self._slots.pop(number)
        self._gfn[slot.as_id].remove(key(slot.base_gfn), key(slot.end_gfn - 1), slot.number)
        self._hva[slot.as_id].remove(key(slot.userspace_addr), key(slot.userspace_end - 1), slot.number)
        last = self._last[slot.as_id]
        if last is not None and last[2] == number:
            self._last[slot.as_id] = None
