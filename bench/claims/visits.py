"""Experiments on hva visits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slotlookup.memslots import find_aliased
from slotlookup.oracle import expected_hvas
from slotlookup.vocabulary import Operation

from .figures import Growth, OrderedVisit, Position, UnaliasedVisit
from .lab import Lab, Subject, some_visits
from .lookups import TWO_SLOT, recorded

EVENTS = 20_000
NOT_ALIASED = (TWO_SLOT, Subject("synthetic-skewed", 64, EVENTS))
ALIASED = tuple(Subject(f"adversarial-{name}", 64, EVENTS) for name in ("nested", "same-start", "covered"))
GROWING = ("synthetic-uniform", "adversarial-nested", "adversarial-same-start", "adversarial-covered")
QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")


def _layouts() -> Iterator[Subject]:
    yield from NOT_ALIASED
    yield from recorded()
    yield from ALIASED


def sorted_by_size(lab: Lab) -> list[OrderedVisit]:
    """Claim 4: visits in order of creation and in order of size."""
    names = ("linear", "size-sorted")
    found = []
    for subject in _layouts():
        linear, by_size = (lab.counts(subject, Operation.HVA, name).slots_examined or 0.0 for name in names)
        found.append(
            OrderedVisit(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, names, [Operation.HVA]),
                linear=linear,
                size_sorted=by_size,
            )
        )
    return found


def unaliased_flag(lab: Lab) -> list[UnaliasedVisit]:
    """Claim 5: visits with and without the flag, on layouts with and without aliases."""
    names = ("size-sorted", "size-sorted,unaliased")
    found = []
    for subject in _layouts():
        trace = lab.trace(subject)
        without, flagged = (lab.counts(subject, Operation.HVA, name).slots_examined or 0.0 for name in names)
        found.append(
            UnaliasedVisit(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, names, [Operation.HVA]),
                aliased=len(find_aliased(trace.final_slots())),
                without=without,
                flagged=flagged,
            )
        )
    return found


def prio_tree(lab: Lab) -> list[Growth]:
    """Claim 6: the counts of the prio_tree from few slots to many, also where each visit finds half of the slots."""
    found = []
    for name in GROWING:
        for slots in lab.effort.growth:
            subject = Subject(name, slots, EVENTS)
            questions = lab.questions(subject)
            answers = expected_hvas(questions.start_slots, questions.hva).counts
            found.append(
                Growth(
                    workload=name,
                    slots=slots,
                    command=lab.command(subject, ["prio-tree"], [Operation.HVA]),
                    answers=float(answers.mean()),
                    examined=lab.counts(subject, Operation.HVA, "prio-tree").slots_examined or 0.0,
                )
            )
    return found


def rbtree_by_start(lab: Lab) -> list[Position]:
    """Claim 7: visits by the position of the range among the slots."""
    found = []
    for name, slots in (("adversarial-sizes", 64), ("adversarial-last", 64), ("synthetic-uniform", 512)):
        subject = Subject(name, slots, EVENTS)
        questions = lab.questions(subject)
        starts = np.sort(np.array([slot.userspace_addr for slot in questions.start_slots], dtype=np.uint64))
        below = np.searchsorted(starts, questions.hva.ends, side="left")
        parts = {"all visits": np.ones(len(below), dtype=np.bool_)}
        if name == "synthetic-uniform":
            parts |= {quarter: below * 4 // (slots + 1) == i for i, quarter in enumerate(QUARTERS)}
        for position, chosen in parts.items():
            whole = position == "all visits"
            counted = (
                lab.counts(subject, Operation.HVA, "rbtree")
                if whole
                else lab.count(some_visits(questions, chosen), Operation.HVA, "rbtree")
            )
            found.append(
                Position(
                    workload=name,
                    slots=slots,
                    command=lab.command(subject, ["rbtree"], [Operation.HVA])
                    if whole
                    else " ".join(["slotlookup claims 7 --json", *lab.seed]),
                    position=position,
                    below=float(below[chosen].mean()),
                    rbtree=counted.slots_examined or 0.0,
                )
            )
    return found
