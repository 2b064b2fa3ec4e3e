"""Results: what a run found, and its JSON form."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation, TimingMode
from slotlookup.writing import replacing

from .statistics import Interval, noise

SCHEMA_VERSION = 1
"""Of `run --json` and saved results. The schema is strict, so any key added or changed makes a new version."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds an operation, one sample a block.

    `ratio` is to the family's reference in the same blocks; None where the reference is void.
    """

    samples: tuple[float, ...]
    interval: Interval
    ratio: Interval | None

    def as_json(self) -> dict[str, Any]:
        """Median, interval and all samples."""
        return {
            **self.interval.as_json(),
            "ratio": None if self.ratio is None else self.ratio.as_json(),
            "samples": list(self.samples),
        }


@dataclass(slots=True)
class RoleResult:
    """One strategy in one role. Counts are means an operation; None where not known. `ns` is keyed by TimingMode."""

    operations: int
    slots_examined: float | None = None
    compares: float | None = None
    hops: float | None = None
    lines: float | None = None
    ns: dict[str, Timing] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All keys, null where nothing was measured."""
        return {
            "operations": self.operations,
            **{name: getattr(self, name) for name in Count},
            "ns": {name: self.ns[name].as_json() if name in self.ns else None for name in TimingMode},
        }


@dataclass(slots=True)
class StrategyResult:
    """One row. `fault` says why a row is void; `note` what its reader must know."""

    strategy: str
    spec: str
    family: str
    note: str = ""
    fault: str | None = None
    bytes_per_slot: float | None = None
    roles: dict[str, RoleResult] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        """Whether every answer agreed with the oracle."""
        return self.fault is None

    def as_json(self) -> dict[str, Any]:
        """A void row keeps its name and its fault, and no figures."""
        return {
            "strategy": self.strategy,
            "family": self.family,
            "spec": self.spec,
            "note": self.note,
            "verified": self.verified,
            "fault": self.fault,
            "bytes_per_slot": self.bytes_per_slot if self.verified else None,
            "ops": {
                role: self.roles[role].as_json() if self.verified and role in self.roles else None for role in Operation
            },
        }


@dataclass(slots=True)
class RunResult:
    """A whole run.

    `empty_ns` is what an empty native strategy cost, in nanoseconds an operation, by role and timing: the loop itself,
    and where caches were displaced the walk, which the cold figures do not contain. `options` are the run's that shape
    its figures: `counts_only`, `budget` (share of the default time), `displaced` (bytes), `placement`.
    """

    workload: dict[str, Any]
    machine: dict[str, object]
    results: list[StrategyResult]
    empty_ns: dict[str, dict[str, Interval]]
    references: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)
    control: dict[str, dict[str, Interval]] = field(default_factory=dict)
    """The paired ratio of the reference to itself, by role and timing: how far apart the machine puts equals."""

    def noise(self, family: str, role: str, mode: str) -> float:
        """The share by which identical work differed in a role and timing; 0 if unknown, as for Python strategies."""
        return noise(self.control.get(role, {}).get(mode) if family == Family.NATIVE else None)

    def as_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "machine": self.machine,
            "workload": self.workload,
            "options": self.options,
            "references": self.references,
            "empty_ns": {
                role: {mode: interval.as_json() for mode, interval in modes.items()}
                for role, modes in self.empty_ns.items()
            },
            "control": {
                role: {mode: interval.as_json() for mode, interval in modes.items()}
                for role, modes in self.control.items()
            },
            "results": [row.as_json() for row in self.results],
        }


def write_text(path: Path, text: str) -> None:
    """Write whole or not at all. Raises InputFileError where that fails; nothing half written is left."""
    with replacing(path) as file:
        file.write(text.encode())


def to_json(result: RunResult) -> str:
    """The JSON text of a run."""
    return json.dumps(result.as_json(), indent=2, allow_nan=False) + "\n"
