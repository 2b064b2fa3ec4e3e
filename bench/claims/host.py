"""Experiments on what the host pays: without accessed bits, and for slots in faults and invalidations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, ConfigDict

from slotlookup.errors import SlotlookupError
from slotlookup.vocabulary import Operation

from ..kernel.figures import Measurement, read_measurement
from ..kernel.measure import recorded_path
from ..measure.policies import MEMORY, SLOTS, compare_policies, policy_scenarios
from ..results.statistics import median, median_interval
from .figures import Ageing, Estimate, Share
from .lab import HOT, Lab, Subject
from .lookups import recorded

SEARCHES = {Operation.GFN: 1, Operation.HVA: 2}
"""Searches per operation: an invalidation searches at its start and at its end."""
FAULT, INVALIDATION = "page fault", "invalidation"
SEARCHED = {FAULT: (Operation.GFN, "gfn lookup, random"), INVALIDATION: (Operation.HVA, "hva invalidation, random")}
"""By operation: the role of its searches, and the kernel measurement of one, by its title."""


class _Faults(BaseModel):
    """Page faults of a guest, measured by slot count: `ns` per fault, one figure per run."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    class Point(BaseModel):
        """One slot count."""

        slots: int
        ns: list[float]

    source: str
    machine: str
    points: list[Point]


@dataclass(frozen=True, slots=True)
class _Measured:
    """An operation of the kernel with `slots` slots in nanoseconds; `share` is that of the search in percent."""

    slots: int
    whole: float
    search: float
    share: Estimate


def enough_slots(lab: Lab) -> list[Share]:
    """Claim 11: the kernel's own searches and those of a list, on recorded layouts and with many slots."""
    found = []
    for subject in (*recorded(), *(Subject("synthetic-uniform", slots) for slots in lab.effort.larger)):
        slots = lab.slots(subject)
        for operation, (role, title) in SEARCHED.items():
            measured = _kernel(operation, title, slots)
            samples = lab.times(subject, role, HOT, ("linear",)).of.net["linear"]
            found.append(
                Share(
                    workload=subject.workload,
                    slots=slots,
                    command=lab.command(subject, ["linear"], [role], timed=True),
                    operation=operation,
                    measured=measured.slots,
                    whole=measured.whole,
                    search=measured.search,
                    share=measured.share,
                    array=estimate([ns * SEARCHES[role] for ns in samples]),
                )
            )
    return found


def estimate(samples: Sequence[float]) -> Estimate:
    """The median of samples with its interval. Raises SlotlookupError if there are too few."""
    found = median_interval(samples)
    if found.low is None or found.high is None:
        raise SlotlookupError(f"{len(samples)} samples are too few for an interval")
    return Estimate(found.median, found.low, found.high)


def _kernel(operation: str, title: str, slots: int) -> _Measured:
    """What the shipped measurements say of an operation with at least as many slots, or with the most measured."""
    points = _recorded().lookups()[title]
    measured, lookups = next((point for point in points if point[0] >= slots), points[-1])
    more = lookups.kernel.marginal()
    search = estimate(more)
    if operation == INVALIDATION:
        many = lookups.kernel.many
        share = estimate([100 * each / all_ for each, all_ in zip(more, many, strict=True)])
        return _Measured(measured, median(many), search.median, share)
    faults = _faults().points
    ns = next((point.ns for point in faults if point.slots >= slots), faults[-1].ns)
    share = Estimate(100 * search.median / median(ns), 100 * search.low / max(ns), 100 * search.high / min(ns))
    return _Measured(measured, median(ns), search.median, share)


@cache
def _recorded() -> Measurement:
    return read_measurement(recorded_path())


@cache
def _faults() -> _Faults:
    return _Faults.model_validate_json(recorded_path().with_name("faults.json").read_bytes())


def without_accessed_bits(lab: Lab) -> list[Ageing]:
    """Claim 14: every answer to ageing requests, next to accessed bits."""
    found = []
    first = lab.options.seed
    for seed in range(first, first + lab.effort.seeds):
        size = policy_scenarios()[0].size(slots=SLOTS, events=None, seed=seed, memory=MEMORY)
        bits, *others = compare_policies(size, lab.effort.accesses, lab.report)
        for one in others:
            found.append(
                Ageing(
                    workload=one.workload,
                    slots=SLOTS,
                    command=f"slotlookup policies --accesses {lab.effort.accesses} --seed {seed}",
                    policy=one.policy,
                    memory=MEMORY,
                    accesses=one.outcome.accesses,
                    answers=one.outcome.ageing_calls,
                    pinned=one.outcome.pinned,
                    exits=one.outcome.exits,
                    bits_exits=bits.outcome.exits,
                    cached=one.swap_cache_faults,
                    bits_cached=bits.swap_cache_faults,
                    major=one.outcome.major_faults,
                    bits_major=bits.outcome.major_faults,
                )
            )
    return found
