"""Recordings of real VMs that ship with the package: each is `data/NAME.parquet` with `data/NAME.json` beside it.

The JSON tells `summary`, `stresses` and `slots` (those at the end), so that listing workloads reads no trace. A
recording is added by adding these two files; `data/README.md` tells where each comes from.
"""

from __future__ import annotations

import json
from pathlib import Path

from slotlookup.errors import UsageError
from slotlookup.trace import Trace, read_trace
from slotlookup.workload import Origin, Workload

DATA = Path(__file__).parent / "data"


class Recorded(Workload):
    """A trace that ships."""

    origin = Origin.RECORDED

    def __init__(self, path: Path, summary: str, stresses: str, slots: int) -> None:
        self.name = path.stem
        self.summary = summary
        self.stresses = stresses
        self.slots = slots
        self._path = path

    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The first `events` events, or all where there are no more. The seed is ignored.

        Raises UsageError where other slots are asked for, or no events.
        """
        if slots not in (None, self.slots):
            raise UsageError(f"workload '{self.name}' was recorded with {self.slots} slots; it cannot have {slots:,}")
        if events is not None and events < 1:
            raise UsageError(f"{events:,} events: ask for at least 1")
        trace = read_trace(self._path)
        if events is None or events >= len(trace.events):
            return trace
        return Trace(trace.name, trace.start, trace.events[:events], trace.provenance)


def _shipped() -> tuple[Recorded, ...]:
    found = []
    for described in sorted(DATA.glob("*.json")):
        told = json.loads(described.read_text(encoding="utf-8"))
        path = described.with_suffix(".parquet")
        found.append(Recorded(path, str(told["summary"]), str(told["stresses"]), int(told["slots"])))
    return tuple(found)


RECORDED = _shipped()
