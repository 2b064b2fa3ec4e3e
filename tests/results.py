"""Results made by hand, with figures that can be worked out on paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slotlookup.bench.results.model import RoleResult, RunResult, StrategyResult, Timing
from slotlookup.bench.results.statistics import Interval

MACHINE: dict[str, object] = {
    "date": "2026-03-01T10:00:00.000Z",
    "cpu": "Model A",
    "architecture": "x86_64",
    "cpus": 4,
    "caches": {"L1d": "32K", "L2": "1024K"},
    "virtualised": False,
    "kernel": "6.1.0",
    "mitigations": {"spectre_v1": "Mitigation: barriers"},
    "governor": "performance",
    "boost": False,
    "load": [0.5, 0.4, 0.3],
    "compiler": "GNU 12.2.0",
    "flags": "-O2",
    "python": "CPython 3.11.7",
    "packages": {"numpy": "2.0.0"},
    "slotlookup": "0.1.0",
}


def timing(median: float, low: float, high: float, ratio: tuple[float, float, float] | None = None) -> Timing:
    """Seven samples, of which `low` and `high` are the extremes, as their 95 % sign-test interval has it."""
    samples = (low, median, high, low, median, high, median)
    return Timing(samples, Interval(median, low, high), None if ratio is None else Interval(*ratio))


def gfn(compares: float = 10.0, operations: int = 1000, **ns: Timing) -> dict[str, RoleResult]:
    """One role's figures: `compares` and fixed other counts, and the timings given."""
    return {"gfn": RoleResult(operations, 5.0, compares, 3.0, 4.0, ns)}


def row(name: str, roles: Mapping[str, RoleResult], family: str = "native", **more: Any) -> StrategyResult:
    """A row of that name, with 64 bytes a slot unless `more` says otherwise."""
    more = {"bytes_per_slot": 64.0, **more}
    return StrategyResult(name, f"gfn={name},hva={name}", family, roles=dict(roles), **more)


def result(
    *rows: StrategyResult,
    date: str = "2026-03-01T10:00:00.000Z",
    machine: Mapping[str, object] | None = None,
    workload: Mapping[str, object] | None = None,
    options: Mapping[str, object] | None = None,
    control: Interval | None = None,
) -> RunResult:
    """A run of those rows; `machine`, `workload` and `options` say what differs from the usual."""
    asked = {
        "name": "small",
        "slots": 4,
        "events": 12,
        "seed": 0,
        "fingerprint": "0123456789abcdef",
        "origin": {"gfn": "recorded", "hva": "recorded", "update": "recorded"},
    }
    how = {"counts_only": False, "budget": 1.0, "displaced": 65536, "placement": "packed"}
    return RunResult(
        {**asked, **(workload or {})},
        {**MACHINE, "date": date, **(machine or {})},
        list(rows),
        {"gfn": {"throughput_hot": Interval(0.25, 0.2, 0.3)}},
        {"native": "linear", "python": "py-linear"},
        options={**how, **(options or {})},
        control={} if control is None else {"gfn": {"throughput_hot": control}},
    )
