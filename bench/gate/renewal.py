"""The baseline that `check --update` writes."""

from __future__ import annotations

from collections.abc import Sequence

from slotlookup.errors import SlotlookupError

from ..results.figures import TimeFigure
from .baseline import PARTS_PER_MILLION, Baseline
from .suite import Counted
from .time import TimeMeasurement


def new_baseline(
    counted: Counted, times: Sequence[TimeMeasurement], placement: str, old: Baseline | None, *, keep_times: bool
) -> Baseline:
    """The counted figures and the measured times, or the times of `old` if times were left out of the check.

    Raises SlotlookupError if a time is too noisy.
    """
    new = Baseline(placement=placement, workloads=counted.workloads)  # type: ignore[arg-type]
    for title, figures in new.workloads.items():
        held = old.workloads[title].times if old is not None and title in old.workloads else {}
        if keep_times:
            figures.times.update(held)
        for time in times:
            if time.gate.workload == title:
                kept = keep_or_renew(time, held.get(time.key))
                if kept is None:
                    raise SlotlookupError(
                        f"{title}: the time of {time.key}, is too noisy for a baseline; repeat with a larger budget"
                    )
                figures.times[time.key] = kept
    return new


def keep_or_renew(time: TimeMeasurement, old: TimeFigure | None) -> TimeFigure | None:
    """The ratio for a new baseline: the old one if it is in the new interval, so that noise causes no diff."""
    new = time.figure()
    ratio = time.ratio
    if old is None or new is None or ratio is None or (old.cpu, old.displaced) != (new.cpu, new.displaced):
        return new
    known = old.ratio_ppm / PARTS_PER_MILLION
    inside = ratio.low is not None and ratio.high is not None and ratio.low <= known <= ratio.high
    return old if inside else new
