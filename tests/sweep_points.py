"""Points of sweeps built by hand: runs in their published form, with samples that can be calculated on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results import result, row

from slotlookup.bench.results.document import document
from slotlookup.bench.results.model import RoleResult, Timing
from slotlookup.bench.results.statistics import Interval, median_interval
from slotlookup.bench.sweep.points import SweepOptions

MODE = "throughput_hot"
ROUNDS = 7


def options(*strategies: str, **more: Any) -> SweepOptions:
    """What a sweep of `strategies` was asked; `more` says what differs from the usual."""
    usual: dict[str, Any] = {
        "workload": "synthetic-uniform",
        "seed": 0,
        "strategies": {name: f"gfn={name},hva={name}" for name in strategies},
        "effort": "quick",
        "counts_only": False,
        "timing": MODE,
        "displaced": 65536,
        "placement": "packed",
        "processes": 1,
    }
    return SweepOptions(**{**usual, **more})


def role(ns: float | Sequence[float] | None = None, compares: float = 1.0) -> RoleResult:
    """One role: every round took `ns`, or as a sequence tells."""
    if ns is None:
        return RoleResult(100, compares, compares, compares, compares)
    samples = tuple(ns) if isinstance(ns, Sequence) else (ns,) * ROUNDS
    timing = Timing(samples, median_interval(samples), None)
    return RoleResult(100, compares, compares, compares, compares, {MODE: timing})


def point(
    slots: int,
    native: Mapping[str, Mapping[str, RoleResult]],
    python: Mapping[str, Mapping[str, RoleResult]] | None = None,
    control: Interval | None = None,
) -> dict[str, Any]:
    """A run with `slots` slots: roles by strategy; `control` is the ratio of identical gfn lookups."""
    rows = [row(name, roles) for name, roles in native.items()]
    rows += [row(name, roles, "python", bytes_per_slot=None) for name, roles in (python or {}).items()]
    return document(result(*rows, workload={"name": "synthetic-uniform", "slots": slots}, control=control))
