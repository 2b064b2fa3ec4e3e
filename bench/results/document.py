"""The published form of a run: the JSON that `run --json` prints and `run --save` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slotlookup.vocabulary import Operation

from .model import SCHEMA_VERSION, RunResult
from .statistics import Interval
from .summary import summarise


def document(run: RunResult) -> dict[str, Any]:
    """A run with all keys, and its summary."""
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": dict(run.machine),
        "workload": dict(run.workload),
        "options": dict(run.options),
        "references": dict(run.references),
        "summary": summarise(run).as_json(),
        "empty_ns": _intervals(run.empty_ns),
        "floor_ns": _intervals(run.floor_ns),
        "control": _intervals(run.control),
        "strategies": [strategy.as_json() for strategy in run.strategies],
        "roles": {role: [row.as_json() for row in run.roles[role]] for role in Operation},
        "setup": [row.as_json() for row in run.setup],
    }


def _intervals(intervals: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    return {role: {mode: interval.as_json() for mode, interval in modes.items()} for role, modes in intervals.items()}


def to_json(run: RunResult) -> str:
    """The JSON text of a run."""
    return json.dumps(document(run), indent=2, allow_nan=False) + "\n"
