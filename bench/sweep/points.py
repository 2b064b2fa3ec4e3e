"""A sweep: one workload at many slot counts, each a separate run.

Each point is a full run: every answer checked, every operation counted, strategies timed in rotation. A point has the
published form of a run, whether it was just measured or read from a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from typing import Any

from slotlookup.errors import InputFileError, UsageError
from slotlookup.memslots import USER_SLOTS
from slotlookup.model.outcome import Outcome
from slotlookup.structure import PATIENCE
from slotlookup.trace import Trace
from slotlookup.vocabulary import Count, TimingMode

from ..measure.processes import TimingProcesses
from ..measure.run_options import NATIVE_SECONDS, Report, RunOptions
from ..measure.runner import run
from ..measure.selection import describe_workload, load_with_outcome
from ..results.document import document
from ..results.model import State
from .crossover import count_of_slots
from .curves import panels

SCHEMA_VERSION = 1
"""The schema version of `sweep --json`. The runs in it have their own."""
DEFAULT_WORKLOAD = "synthetic-uniform"
DEFAULT_SLOTS = (*(1 << i for i in range(15)), USER_SLOTS)
QUICK_SLOTS = DEFAULT_SLOTS[:13]
"""Up to 4,096: filling larger arrays takes longer than everything else together."""
LEAST_EVENTS = 5_000

Point = dict[str, Any]
"""A run in its published form."""
Keep = Callable[[int, Point], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """The time of a point: `seconds` of timing per role, and the maximum of slots times events."""

    seconds: float
    scanned: int
    most_events: int


EFFORTS = {
    "quick": Effort(0.4, 40_000_000, 40_000),
    "default": Effort(1.5, 400_000_000, 100_000),
    "rigorous": Effort(6.0, 1_600_000_000, 400_000),
}


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """The options common to all points of a sweep; `strategies` are names with specs, `timing` is a TimingMode."""

    workload: str
    seed: int
    strategies: Mapping[str, str]
    effort: str
    counts_only: bool
    timing: TimingMode
    displaced: int
    placement: str
    processes: int
    stride: int = 0
    floor: bool = False

    def as_json(self) -> dict[str, Any]:
        """All options, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def make_point_trace(options: SweepOptions, slots: int) -> tuple[Trace, Outcome | None]:
    """The trace of one point, with fewer events at many slots, so that a linear scan stays affordable.

    Of a modelled workload also what it cost its guest and its host.
    """
    effort = EFFORTS[options.effort]
    events = max(LEAST_EVENTS, min(effort.most_events, effort.scanned // slots))
    return load_with_outcome(options.workload, slots, events, options.seed)


def measure(
    options: SweepOptions,
    slots: int,
    report: Report,
    patience: float = PATIENCE,
    processes: TimingProcesses | None = None,
) -> Point:
    """One point: a run with `slots` slots. `patience` is that of `RunOptions`, `processes` as for `run`."""
    report("building the workload", 0.0)
    trace, outcome = make_point_trace(options, slots)
    how = RunOptions(
        options.counts_only,
        options.seed,
        EFFORTS[options.effort].seconds / NATIVE_SECONDS,
        options.displaced,
        options.placement,
        patience,
        (options.timing,),
        options.processes,
        options.stride,
        options.floor,
    )
    asked = {"slots": slots, "events": len(trace.events), "memory": None}
    workload = describe_workload(trace, slots, options.seed, asked, outcome)
    return document(run(trace, workload, list(options.strategies), how, report, processes=processes))


def sweep(
    options: SweepOptions,
    wanted: Sequence[int],
    points: dict[int, Point],
    keep: Keep,
    report: Report,
    patience: float = PATIENCE,
) -> None:
    """Measure the `wanted` slot counts that are not in `points`, one after another, fewest slots first.

    Each measured point is added to `points` and passed to `keep`. KeyboardInterrupt loses the one in progress.
    """
    missing = [n for n in wanted if n not in points]
    several = options.processes > 1 and not options.counts_only and missing
    with TimingProcesses(options.processes) if several else nullcontext() as processes:
        for done, slots in enumerate(missing):

            def tell(what: str, part: float, done: int = done, slots: int = slots) -> None:
                report(f"{count_of_slots(slots)}: {what}", (done + part) / len(missing))

            points[slots] = measure(options, slots, tell, patience, processes)
            keep(slots, points[slots])


def check_points(options: SweepOptions, points: Mapping[int, Point], source: str) -> None:
    """Raise InputFileError if points in the file `source` do not match `options`."""
    for slots, point in sorted(points.items()):
        trace, _ = make_point_trace(options, slots)
        if point["workload"]["fingerprint"] != trace.fingerprint:
            raise InputFileError(
                source,
                None,
                f"workload '{options.workload}' with {count_of_slots(slots)} has changed since; "
                "start again with --save",
            )


def faults(points: Mapping[int, Point]) -> dict[str, tuple[int, str]]:
    """The void strategies, each with the smallest slot count at which it is void, and its fault there."""
    found: dict[str, tuple[int, str]] = {}
    for slots, point in sorted(points.items()):
        for strategy in point["strategies"]:
            if strategy["state"] != State.VERIFIED:
                found.setdefault(strategy["strategy"], (slots, str(strategy["reason"])))
    return found


def as_json(options: SweepOptions, machine: Mapping[str, object], points: Mapping[int, Point]) -> dict[str, Any]:
    """The published form: every run, the cheapest strategies by slot count, and the crossovers, by every metric."""
    metrics = tuple(Count) if options.counts_only else (options.timing, *Count)
    cheapest: list[dict[str, Any]] = []
    crossovers: list[dict[str, Any]] = []
    for panel in (panel for metric in metrics for panel in panels(points, metric)):
        place = {"family": panel.family, "role": panel.role, "metric": panel.metric}
        cheapest += [{**place, **asdict(standing)} for standing in panel.standings()]
        crossovers += [{**place, "exact": panel.exact, **asdict(crossing)} for crossing in panel.crossovers()]
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": dict(machine),
        "options": options.as_json(),
        "slots": sorted(points),
        "points": [points[n] for n in sorted(points)],
        "cheapest": cheapest,
        "crossovers": crossovers,
    }


def to_json(options: SweepOptions, machine: Mapping[str, object], points: Mapping[int, Point]) -> str:
    """The JSON text of a sweep."""
    return json.dumps(as_json(options, machine, points), indent=2, allow_nan=False) + "\n"


def parse_slots(text: str) -> tuple[int, ...]:
    """Slot counts from "1,2,4" and ranges "4-64", each once and ascending. Raises UsageError."""
    found: set[int] = set()
    for part in text.split(","):
        given = re.fullmatch(r"\s*(-?\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if given is None:
            raise UsageError(f"--slots: '{part.strip()}' is not a number; write --slots 1,2,4 or --slots 1-64")
        first, last = int(given[1]), int(given[2] or given[1])
        for slots in (first, last):
            if not 1 <= slots <= USER_SLOTS:
                raise UsageError(f"--slots: {slots:,} is not within 1 to {USER_SLOTS:,}, the range of a VM")
        if last < first:
            raise UsageError(f"--slots: the range {part.strip()} ends before it begins; write {last}-{first}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def chosen(points: Mapping[int, Point], wanted: Iterable[int]) -> dict[int, Point]:
    """The requested points that were measured; a file may contain others."""
    return {n: points[n] for n in sorted(wanted) if n in points}
