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


def _states(trace: Trace) -> list[tuple[int, list[Memslot]]]:
    """(changes that precede, current slots) of every moment between changes that has slots."""
    held = by_number(trace.start)
    states = [(0, list(held.values()))] if held else []
    for i, change in enumerate(trace.changes, 1):
        follow(held, change)
        if held:
            states.append((i, list(held.values())))
    return states


def _derive_gfns(trace: Trace, seed: int) -> GfnStream:
    states = _states(trace)
    rng = np.random.Generator(np.random.PCG64(seed))
    each = max(DERIVED_LOOKUPS // max(len(states), 1), 1)
    gfns: list[Words] = [np.zeros(0, dtype=np.uint64)]
    segments: list[tuple[int, int, int]] = []
    asked = 0
    for precede, slots in states:
        spaces = sorted({slot.as_id for slot in slots})
        for as_id in spaces:
            of_space = [slot for slot in slots if slot.as_id == as_id]
            count = max(each // len(spaces), 1)
            gfns.append(pages_by_size(of_space, count, rng))
            asked += count
            segments.append((asked, as_id, precede))
    table = np.array(segments, dtype=np.uint64).reshape(-1, 3)
    return GfnStream(np.concatenate(gfns), Timeline(table, trace.change_table))


def pages_by_size(slots: list[Memslot], count: int, rng: np.random.Generator) -> Words:
    """`count` gfns, each a page drawn uniformly from all pages of `slots`. uint64[count]."""
    npages = np.array([slot.npages for slot in slots], dtype=np.uint64)
    behind = np.cumsum(npages)
    page = rng.integers(0, int(behind[-1]), size=count, dtype=np.uint64)
    slot = np.searchsorted(behind, page, side="right")
    base = np.array([s.base_gfn for s in slots], dtype=np.uint64)
    return base[slot] + (page - (behind - npages)[slot])


def _derive_hvas(trace: Trace, gfn: GfnStream) -> HvaStream:
    asked = gfn.part(0, DERIVED_VISITS)
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
