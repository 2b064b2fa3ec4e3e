"""Experiments on gfn lookups."""

from __future__ import annotations

from slotlookup.registry import workloads
from slotlookup.vocabulary import Operation
from slotlookup.workload import Origin

from .figures import SizeSorted
from .lab import Lab, Subject

TWO_SLOT = Subject("two-slot", events=100_000)


def recorded() -> list[Subject]:
    """Every recorded layout that ships."""
    return [Subject(name) for name, workload in workloads().items() if workload.origin is Origin.RECORDED]


def size_sorted_array(lab: Lab) -> list[SizeSorted]:
    """Claim 1: lookups on the two-slot layout and on every recorded one."""
    found = []
    for subject in (TWO_SLOT, *recorded()):
        origin = lab.questions(subject).origin[Operation.GFN]
        counted = {name: lab.counts(subject, Operation.GFN, name) for name in ("linear", "size-sorted")}
        synthetic = subject == TWO_SLOT
        found.append(
            SizeSorted(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, list(counted), [Operation.GFN]),
                accesses="synthetic" if synthetic else "recorded" if origin.startswith("recorded") else "derived",
                lookups=counted["linear"].operations,
                linear=counted["linear"].slots_examined or 0.0,
                size_sorted=counted["size-sorted"].slots_examined or 0.0,
            )
        )
    return found
