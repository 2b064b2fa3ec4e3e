"""The questions of a run: a trace's own streams, and labelled substitutes for kinds that the trace lacks.

A recording of page accesses contains no notifier events, and a recording of slot changes no accesses. Instead of an
empty table, missing streams are derived from the existing ones by the rules below; every stream has a label.

    gfn lookups   skewed by slot size, drawn from the seed, as many after each slot change
    hva visits    the host page of each looked-up gfn is invalidated, as reclaim in access order would do
    slot changes  a slot drawn at random (from all, or from a choice of many) is deleted and created again

*Why changes come in random order:* in the order of creation a list finds each slot to delete at its front and appends
it again, so that it examines one slot per change, however many there are. That is a list's best case, not a VM's. Of
more than DERIVED_CHANGES / 2 slots a seeded choice is changed again and again; a list then holds these last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slotlookup.address import ADDRESS_LIMIT, HOLE, PAGE_SHIFT, PAGE_SIZE
from slotlookup.arrays import Words
from slotlookup.memslots import ADDRESS_SPACES, ChangeKind, Memslot, SlotChange, by_number, follow
from slotlookup.oracle import expected_gfns
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_at, change_table, creation_table
from slotlookup.trace import SlotOrder, Trace
from slotlookup.vocabulary import Operation

DERIVED_LOOKUPS = 200_000
DERIVED_VISITS = 200_000
DERIVED_CHANGES = 1_024
CHANGED_AND_HELD = 1 << 19
LEAST_CHANGED = 16
"""Strategies that make a new table per change work on every slot held: of many slots fewer are changed, so that slots
changed times slots held stay below CHANGED_AND_HELD until LEAST_CHANGED."""

ASKED_AND_HELD = 1 << 27
LEAST_ASKED = 4_096
"""A structure that scans examines every slot for every question: of many slots fewer lookups and visits are derived, so
that questions times slots stay below ASKED_AND_HELD until LEAST_ASKED. Means of counts over as many differ little."""
_GROWTH = {ChangeKind.CREATE: 1, ChangeKind.DELETE: -1}

_ORDER_UNKNOWN = {
    SlotOrder.GPA: "order of creation not recorded, slots in order of gpa: scans and the shapes of trees depend on it",
    SlotOrder.UNKNOWN: "order of creation not recorded, slots as listed: scans and the shapes of trees depend on it",
}


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a run. `start` creates the starting slots; `origin` labels the source of each role's stream.

    `derived` are the roles of which the trace has no events, so that their streams are substitutes.
    """

    start_slots: tuple[Memslot, ...]
    start: Words
    gfn: GfnStream
    hva: HvaStream
    update: Words
    origin: dict[str, str]
    derived: frozenset[Operation]

    @property
    def update_is_closed(self) -> bool:
        """Whether the slot changes end with the starting slots, so that they can be replayed again directly."""
        held = by_number(self.start_slots)
        for row in range(len(self.update)):
            follow(held, change_at(self.update, row))
        return held == by_number(self.start_slots)


def questions_of(trace: Trace, seed: int) -> Questions:
    """The streams of `trace`; missing ones are derived from `seed`."""
    origin: dict[str, str] = {role: trace.provenance.get(role, "recorded") for role in Operation}
    derived: set[Operation] = set()
    gfn = trace.gfn_stream()
    if not len(gfn):
        derived.add(Operation.GFN)
        gfn = _derive_gfns(trace, seed)
        origin[Operation.GFN] = "synthetic: a page drawn at random after each slot change; the trace has no lookups"
    hva = trace.hva_stream()
    if not len(hva):
        derived.add(Operation.HVA)
        hva = _derive_hvas(trace, gfn)
        origin[Operation.HVA] = "derived: the host pages of the first lookups are invalidated; the trace has no visits"
    update = trace.change_table
    if not len(update):
        derived.add(Operation.UPDATE)
        update = derive_changes(trace.start, seed)
        origin[Operation.UPDATE] = "derived: random slots are deleted and created again; the trace has no changes"
    if trace.slot_order is not SlotOrder.CREATION:
        origin = {role: f"{source}; {_ORDER_UNKNOWN[trace.slot_order]}" for role, source in origin.items()}
    return Questions(trace.start, creation_table(trace.start), gfn, hva, update, origin, frozenset(derived))


class _Space:
    """The slots of one address space, in order: a slot that is changed keeps its place. No change costs a scan."""

    def __init__(self, slots: Iterable[Memslot]) -> None:
        held = list(slots)
        self._place = {slot.number: place for place, slot in enumerate(held)}
        self._npages = np.array([slot.npages for slot in held], dtype=np.uint64)
        self._base = np.array([slot.base_gfn for slot in held], dtype=np.uint64)
        self._used = len(held)

    def __len__(self) -> int:
        return len(self._place)

    def follow(self, change: SlotChange) -> None:
        slot = change.slot
        if change.kind is ChangeKind.DELETE:
            self._npages[self._place.pop(slot.number)] = 0  # no page of it is drawn
            return
        if slot.number not in self._place:
            if self._used == len(self._npages):
                self._make_room()
            self._place[slot.number] = self._used
            self._used += 1
        place = self._place[slot.number]
        self._npages[place], self._base[place] = slot.npages, slot.base_gfn

    def _make_room(self) -> None:
        """Forget the places of deleted slots, and append as many as are left, and some."""
        kept = list(self._place.values())
        room = np.zeros(len(kept) + 64, dtype=np.uint64)
        self._npages = np.concatenate([self._npages[kept], room])
        self._base = np.concatenate([self._base[kept], room])
        self._place = {number: place for place, number in enumerate(self._place)}
        self._used = len(kept)

    def draw(self, count: int, rng: np.random.Generator) -> Words:
        """`count` gfns, each a page drawn uniformly from all pages of the slots. uint64[count]."""
        behind = np.cumsum(self._npages[: self._used])
        page = rng.integers(0, int(behind[-1]), size=count, dtype=np.uint64)
        slot = np.searchsorted(behind, page, side="right")
        return self._base[slot] + (page - (behind[slot] - self._npages[slot]))


def _affordable(trace: Trace, most: int) -> int:
    """How many lookups or visits are derived: `most`, or fewer of many slots."""
    slots = len(trace.start) + sum(change.kind is ChangeKind.CREATE for change in trace.changes)
    return min(most, max(ASKED_AND_HELD // max(slots, 1), LEAST_ASKED))


def _derive_gfns(trace: Trace, seed: int) -> GfnStream:
    rng = np.random.Generator(np.random.PCG64(seed))
    held = np.cumsum([len(trace.start), *(_GROWTH.get(change.kind, 0) for change in trace.changes)])
    each = max(_affordable(trace, DERIVED_LOOKUPS) // max(int((held > 0).sum()), 1), 1)
    gfns: list[Words] = [np.zeros(0, dtype=np.uint64)]
    segments: list[tuple[int, int, int]] = []
    asked = 0
    spaces = [_Space(slot for slot in trace.start if slot.as_id == as_id) for as_id in range(ADDRESS_SPACES)]
    for precede in range(len(trace.changes) + 1):
        if precede:
            change = trace.changes[precede - 1]
            spaces[change.slot.as_id].follow(change)
        there = [as_id for as_id, space in enumerate(spaces) if len(space)]
        for as_id in there:
            count = max(each // len(there), 1)
            gfns.append(spaces[as_id].draw(count, rng))
            asked += count
            segments.append((asked, as_id, precede))
    table = np.array(segments, dtype=np.uint64).reshape(-1, 3)
    return GfnStream(np.concatenate(gfns), Timeline(table, trace.change_table))


def _derive_hvas(trace: Trace, gfn: GfnStream) -> HvaStream:
    asked = gfn.part(0, _affordable(trace, DERIVED_VISITS))
    found = expected_gfns(trace.start, asked)
    starts = np.zeros(len(asked), dtype=np.uint64)
    # By slot number: the hva of page 0 of the guest if the slot extended to it. Modular arithmetic, so it is exact.
    origin = np.zeros(ADDRESS_SPACES << 16, dtype=np.uint64)

    def enter(slot: Memslot) -> None:
        origin[slot.number] = (slot.userspace_addr - slot.gpa) % ADDRESS_LIMIT

    for slot in trace.start:
        enter(slot)
    begin = applied = 0
    for end, _, changes in asked.timeline.segments.tolist():
        for row in range(applied, changes):
            enter(change_at(asked.timeline.changes, row).slot)
        applied = changes
        hits = begin + np.flatnonzero(found[begin:end] != HOLE)
        starts[hits] = origin[found[hits]] + (asked.gfns[hits] << np.uint64(PAGE_SHIFT))
        begin = end
    keep = found != HOLE
    kept_before = np.concatenate([[0], np.cumsum(keep)]).astype(np.uint64)
    segments = asked.timeline.segments.copy()
    if len(segments):
        segments[:, 0] = kept_before[segments[:, 0].astype(np.int64)]
        segments[:, 1] = 0
    starts = starts[keep]
    return HvaStream(starts, starts + np.uint64(PAGE_SIZE), Timeline(segments, asked.timeline.changes))


def derive_changes(start: tuple[Memslot, ...], seed: int | None) -> Words:
    """Slots of `start` deleted and created again one by one. uint64[n, 6].

    Each slot is drawn independently from `seed`, at least twice as often as there are slots. With None they come in
    turn, in the order of `start`, which is a list's best case: for comparison.
    """
    most = min(DERIVED_CHANGES, max(CHANGED_AND_HELD // max(len(start), 1), LEAST_CHANGED)) if start else 0
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = np.sort(rng.permutation(len(start))[: most // 2])
    turns = np.arange(most) % max(len(chosen), 1) if seed is None else rng.integers(0, max(len(chosen), 1), most)
    changes: list[SlotChange] = []
    for i in chosen[turns].tolist() if most else ():
        changes += (SlotChange(ChangeKind.DELETE, start[i]), SlotChange(ChangeKind.CREATE, start[i]))
    return change_table(changes)
