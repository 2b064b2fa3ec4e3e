"""Recordings of real VMs that ship with the package: each is `data/NAME.parquet` with a `data/NAME.json`.

The JSON has `summary`, `stresses` and `slots` (the number at the end), so listing workloads reads no trace. To add a
recording, add these two files; `data/README.md` describes the source of each.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from slotlookup.errors import UsageError
from slotlookup.trace import Trace, read_trace
from slotlookup.workload import Origin, Workload

DATA = Path(__file__).parent / "data"


class Recorded(Workload):
    """A trace that ships with the package."""

    origin = Origin.RECORDED

    def __init__(self, path: Path, summary: str, stresses: str, slots: int) -> None:
        self.name = path.stem
        self.summary = summary
        self.stresses = stresses
        self.slots = slots
        self._path = path

    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The first `events` events, or all if there are fewer. The seed is ignored.

        Raises UsageError for another number of slots, and for no events.
        """
        if slots not in (None, self.slots):
            raise UsageError(f"workload '{self.name}' was recorded with {self.slots} slots; it cannot have {slots:,}")
        if events is not None and events < 1:
            raise UsageError(f"{events:,} events; --events must be at least 1")
        trace = read_trace(self._path)
        if events is None or events >= len(trace.events):
            return trace
        return replace(trace, events=trace.events[:events])


def _shipped() -> tuple[Recorded, ...]:
    found = []
    for described in sorted(DATA.glob("*.json")):
        told = json.loads(described.read_text(encoding="utf-8"))
        path = described.with_suffix(".parquet")
        found.append(Recorded(path, str(told["summary"]), str(told["stresses"]), int(told["slots"])))
    return tuple(found)


RECORDED = _shipped()
