"""Experiments on what a VM asks, and on what the host pays."""

from __future__ import annotations

import numpy as np

from slotlookup.registry import workloads
from slotlookup.trace import EventKind
from slotlookup.vocabulary import Operation
from slotlookup.workload import Origin

from .figures import Mix
from .lab import Lab, Subject
from .lookups import recorded

SCENARIOS = (
    *("boot", "steady", "balloon", "ksm", "swap", "hugepages", "snapshot", "precopy", "postcopy", "hotplug"),
    *("firmware", "ageing", "mix"),
)


def common_case(lab: Lab) -> list[Mix]:
    """Claim 13: the events of every recording that has both kinds, and of every scenario of a VM's life."""
    found = []
    for subject in (*recorded(), *(Subject(name, events=lab.effort.events) for name in SCENARIOS)):
        trace = lab.trace(subject)
        kinds = np.bincount(trace.events["kind"], minlength=len(EventKind))
        origin = workloads()[subject.workload].origin
        if origin is Origin.RECORDED and not all(kind in trace.provenance for kind in (Operation.GFN, Operation.HVA)):
            continue
        found.append(
            Mix(
                workload=subject.workload,
                slots=lab.slots(subject),
                command=lab.command(subject, ["linear"], [Operation.GFN, Operation.HVA]),
                origin=origin,
                lookups=int(kinds[EventKind.GFN_LOOKUP]),
                visits=int(kinds[EventKind.HVA_VISIT]),
            )
        )
    return found
