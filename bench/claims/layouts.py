"""Experiments on whole layouts: one slot instead of many, and what a change does to an array of slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from slotlookup.address import HOLE, PAGE_SHIFT, Gfn, Hva, SlotNumber
from slotlookup.memslots import (
    READONLY,
    ChangeKind,
    Memslot,
    SlotChange,
    by_number,
    find_aliased,
    follow,
)
from slotlookup.oracle import expected_gfns
from slotlookup.questions import Questions, derive_changes
from slotlookup.registry import make_strategy
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_at, creation_table, one_segment
from slotlookup.vocabulary import Operation, UpdateDiscipline

from .figures import Locking, OneSlot
from .lab import Lab, Subject
from .lookups import TWO_SLOT, recorded

ARRAY = "linear"
REVERSE_MAP = 8
"""Bytes per page that KVM allocates with a slot for reverse maps under shadow paging: one pointer."""
CHANGED = (TWO_SLOT, Subject("synthetic-uniform", 64, 20_000), Subject("q35-2G-dynamic"), Subject("q35-4G-numa64-boot"))
MOST_CHANGES = 256
"""Changes that are staged and looked at; the first ones of a layout."""


def one_slot_for_all(lab: Lab) -> list[OneSlot]:
    """Claim 12: every recorded layout, as it is at the end, and one slot from its lowest gfn to its highest."""
    found = []
    for subject in recorded():
        trace, questions = lab.trace(subject), lab.questions(subject)
        slots = list(trace.final_slots())
        whole = merged(slots)
        holes = whole.npages - covered(slots)
        one = asked_of(whole, questions)
        answers = expected_gfns(questions.start_slots, questions.gfn)
        now = expected_gfns(one.start_slots, one.gfn)
        missed = answers == HOLE
        counted = {
            role: [lab.counts(subject, role, ARRAY), lab.count(one, role, ARRAY)]
            for role in (Operation.GFN, Operation.HVA)
        }
        examined = {role: [each.slots_examined or 0.0 for each in pair] for role, pair in counted.items()}
        found.append(
            OneSlot(
                workload=subject.workload,
                slots=len(slots),
                command=lab.command(subject, [ARRAY], [Operation.GFN, Operation.HVA]),
                readonly=sum(slot.flags & READONLY != 0 for slot in slots),
                spaces=len({slot.as_id for slot in slots}),
                aliased=len(find_aliased(slots)),
                span=whole.npages,
                holes=holes,
                hole_bytes=holes * REVERSE_MAP,
                lookups=examined[Operation.GFN][0],
                one_lookup=examined[Operation.GFN][1],
                visits=examined[Operation.HVA][0],
                one_visit=examined[Operation.HVA][1],
                missed=int(missed.sum()),
                found=int((now[missed] != HOLE).sum()),
            )
        )
    return found


def merged(slots: Iterable[Memslot]) -> Memslot:
    """One slot over all of them, and over the holes between them, in one region of host memory."""
    held = list(slots)
    first, last = min(slot.base_gfn for slot in held), max(slot.end_gfn for slot in held)
    return Memslot(SlotNumber(0), first, last - first, Hva((1 << 40) + (first << PAGE_SHIFT)))


def covered(slots: Iterable[Memslot]) -> int:
    """The pages that at least one slot has, in any address space."""
    pages, end = 0, 0
    for slot in sorted(slots, key=lambda slot: slot.base_gfn):
        pages += max(slot.end_gfn - max(slot.base_gfn, end), 0)
        end = max(end, slot.end_gfn)
    return pages


def asked_of(slot: Memslot, questions: Questions) -> Questions:
    """The same lookups, asked of one slot that never changes; visits of the host pages that back them."""
    nothing = creation_table(())
    gfns = questions.gfn.gfns
    inside = gfns[(gfns >= slot.base_gfn) & (gfns < slot.end_gfn)]
    starts = (inside - np.uint64(slot.base_gfn) << np.uint64(PAGE_SHIFT)) + np.uint64(slot.userspace_addr)
    ends = starts + np.uint64(1 << PAGE_SHIFT)
    return replace(
        questions,
        start_slots=(slot,),
        start=creation_table((slot,)),
        gfn=GfnStream(gfns, Timeline(one_segment(len(gfns)), nothing)),
        hva=HvaStream(starts, ends, Timeline(one_segment(len(starts)), nothing)),
        update=derive_changes((slot,), 0),
    )


Places = Callable[[Iterable[Memslot]], dict[SlotNumber, int]]
"""The index of each slot in an array."""


def by_id(slots: Iterable[Memslot]) -> dict[SlotNumber, int]:
    """An array in which a slot's number is its index, as in 2008."""
    return {slot.number: slot.number for slot in slots}


def by_size(slots: Iterable[Memslot]) -> dict[SlotNumber, int]:
    """An array without gaps, the largest slot first."""
    order = sorted(slots, key=lambda slot: (-slot.npages, slot.number))
    return {slot.number: i for i, slot in enumerate(order)}


ARRAYS = (
    ("slot-id-array", "id", by_id, UpdateDiscipline.IN_PLACE),
    *(("size-sorted", "size", by_size, discipline) for discipline in UpdateDiscipline),
)


def locking(lab: Lab) -> list[Locking]:
    """Claim 15: what a change moves, what readers see meanwhile, and what both pay, by order and update discipline."""
    found = []
    for subject in CHANGED:
        for structure, order, places, discipline in ARRAYS:
            strategy = structure
            if discipline is not UpdateDiscipline.IN_PLACE:
                strategy = f"{structure},update={discipline}"
            moved, readers, size = staged(lab.questions(subject), strategy, places)
            found.append(
                Locking(
                    workload=subject.workload,
                    slots=lab.slots(subject),
                    command=lab.command(subject, [strategy], [Operation.GFN, Operation.UPDATE]),
                    order=order,
                    update=discipline,
                    moved=moved,
                    readers=readers,
                    lookup_lines=lab.counts(subject, Operation.GFN, strategy).lines or 0.0,
                    change_lines=lab.counts(subject, Operation.UPDATE, strategy).lines or 0.0,
                    bytes=size,
                )
            )
    return found


def staged(questions: Questions, name: str, places: Places) -> tuple[float, str, int]:
    """The mean number of moved entries, the slots that readers see while a change is staged, and bytes at the end."""
    strategy = make_strategy(name)
    strategy.load_table(questions.start)
    held = by_number(questions.start_slots)
    moved, seen = [], set()
    for row in range(min(len(questions.update), MOST_CHANGES)):
        change = change_at(questions.update, row)
        before = dict(held)
        follow(held, change)
        was, now = places(before.values()), places(held.values())
        moved.append(sum(was[number] != now[number] for number in was.keys() & now.keys() - {change.slot.number}))
        strategy.stage(change)
        for gfn, old, new in _differ(change, before, held):
            answer = strategy.lookup_gfn(gfn, change.slot.as_id)
            seen.add("old" if answer == old else "new" if answer == new else "other")
        strategy.publish()
    size = strategy.bytes()
    return float(np.mean(moved)), "/".join(sorted(seen)), size or 0


def _differ(
    change: SlotChange, before: dict[SlotNumber, Memslot], after: dict[SlotNumber, Memslot]
) -> Iterable[tuple[Gfn, int, int]]:
    """A gfn whose slot is another after a change, with the slot before and after; none if only flags change."""
    number = change.slot.number
    if change.kind is ChangeKind.CREATE:
        yield after[number].base_gfn, HOLE, number
    elif change.kind is ChangeKind.DELETE:
        yield before[number].base_gfn, number, HOLE
