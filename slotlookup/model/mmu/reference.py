"""A reference strategy of sorted columns and brute force, with which scenarios run if no structure is measured.

It shares no code with the compared structures; a test runs all of them through the same scenarios.
"""

from __future__ import annotations

import numpy as np

from slotlookup.address import ADDRESS_LIMIT, PAGE_SHIFT, Gfn, Hva, SlotNumber
from slotlookup.arrays import Ints, Numbers
from slotlookup.errors import BrokenStrategy
from slotlookup.memslots import ADDRESS_SPACES, ChangeKind, Memslot, SlotChange, follow
from slotlookup.model.mmu.slot_table import SlotTable
from slotlookup.strategy import Capabilities, Counters, Strategy
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream
from slotlookup.structure import Family
from slotlookup.vocabulary import UpdateDiscipline


class ReferenceStrategy(Strategy):
    """Finds slots in NumPy columns."""

    def __init__(self) -> None:
        self.name = self.spec = "reference"
        self.note = ""
        self.capabilities = Capabilities(Family.PYTHON, UpdateDiscipline.IN_PLACE, "Python", counts=())
        self._table = SlotTable()
        self._held: dict[SlotNumber, Memslot] = {}
        self._columns: tuple[Ints, Ints, Ints, bool] | None = None
        self._generations = list(range(ADDRESS_SPACES))

    def stage(self, change: SlotChange) -> None:
        self._table.apply(change)
        follow(self._held, change)
        self._generations[change.slot.as_id] += ADDRESS_SPACES
        if change.kind in (ChangeKind.DELETE, ChangeKind.CREATE):
            self._columns = None

    def publish(self) -> None:
        """Nothing to do: changes are visible as soon as they are staged."""

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return int(self._table.numbers(as_id, np.array([gfn], dtype=np.int64))[0])

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        numbers, starts, ends, _ = self._by_hva()
        start_page, end_page = start >> PAGE_SHIFT, min(-(-end >> PAGE_SHIFT), ADDRESS_LIMIT >> PAGE_SHIFT)
        met: list[int] = numbers[(starts < end_page) & (ends > start_page)].tolist()
        return sorted(met) if start < end else []

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        if not stream.timeline.static:
            return super().answer_gfns(stream)
        out = np.empty(len(stream), dtype=np.int32)
        begin = 0
        for end, as_id, _ in stream.timeline.segments.tolist():
            out[begin:end] = self._table.numbers(as_id, stream.gfns[begin:end].astype(np.int64))
            begin = end
        return out

    def answer_hvas(self, stream: HvaStream) -> HvaAnswers:
        numbers, starts, ends, apart = self._by_hva()
        if not (apart and stream.timeline.static):
            return super().answer_hvas(stream)
        first = (stream.starts >> np.uint64(PAGE_SHIFT)).astype(np.int64)
        last = ((stream.ends - np.uint64(1)) >> np.uint64(PAGE_SHIFT)).astype(np.int64)
        lo = np.searchsorted(ends, first, side="right")
        counts = np.searchsorted(starts, last, side="right") - lo
        before = np.cumsum(counts) - counts
        at = np.repeat(lo - before, counts) + np.arange(int(counts.sum()))
        answers = HvaAnswers(counts.astype(np.uint64), numbers[at].astype(np.int32))
        return answers.ordered() if (counts > 1).any() else answers

    def generation(self, as_id: int = 0) -> int:
        return self._generations[as_id]

    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        slot = self._held.get(SlotNumber(self.lookup_gfn(gfn, as_id)))
        return None if slot is None else slot.flags

    def counters(self) -> Counters:
        return Counters(None, None, None, None)

    def reset_counters(self) -> None:
        """There are none."""

    def check(self) -> None:
        for as_id in range(ADDRESS_SPACES):
            held = [number for number in self._held if number >> 16 == as_id]
            bases = self._table.base[held]
            if not (self._table.numbers(as_id, bases) == held).all():
                raise BrokenStrategy("reference: a slot's first gfn finds another slot")

    def bytes(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self._held)

    def _by_hva(self) -> tuple[Ints, Ints, Ints, bool]:
        """Number, first page and page after the last of all slots by hva; and whether no two overlap."""
        if self._columns is None:
            numbers = np.array(sorted(self._held), dtype=np.int64)
            starts = self._table.hva_page[numbers]
            order = np.argsort(starts, kind="stable")
            numbers, starts = numbers[order], starts[order]
            ends = starts + self._table.npages[numbers]
            self._columns = (numbers, starts, ends, bool((ends[:-1] <= starts[1:]).all()))
        return self._columns
