"""Results built by hand, with figures that can be calculated on paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slotlookup.bench.results.model import (
    Figures,
    RoleResult,
    Row,
    RunResult,
    SetupResult,
    State,
    StrategyResult,
    Timing,
)
from slotlookup.bench.results.statistics import Interval
from slotlookup.vocabulary import Operation

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


@dataclass(frozen=True)
class Made:
    """A strategy that serves every role by itself: one row in each, under its own name."""

    name: str
    family: str
    roles: Mapping[str, RoleResult]
    spec: str
    note: str = ""
    fault: str | None = None
    absent: str | None = None
    bytes_per_slot: float | None = 64.0
    setup: Timing | None = None

    @property
    def state(self) -> State:
        if self.absent:
            return State.ABSENT
        return State.VOID if self.fault else State.VERIFIED

    def strategy(self) -> StrategyResult:
        """What was asked for."""
        names: dict[str, str] = dict.fromkeys(Operation, self.name)
        return StrategyResult(
            self.name, self.spec, self.family, names, self.note, self.state, self.absent or self.fault
        )

    def row(self, figures: Figures | None) -> Row[Figures]:
        """The row of a role or of the set-up."""
        ran = None if self.absent else self.name
        sound = self.state is State.VERIFIED
        return Row(
            self.name,
            self.name,
            self.family,
            (self.name,),
            ran,
            self.state,
            self.absent or self.fault,
            figures if sound else None,
        )


def row(name: str, roles: Mapping[str, RoleResult], family: str = "native", **more: Any) -> Made:
    """A strategy of that name, with 64 bytes per slot unless `more` says otherwise."""
    return Made(name, family, roles, **{"spec": f"gfn={name},hva={name}", **more})


def result(
    *rows: Made,
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
        "parameters": {"slots": None, "events": None, "memory": None},
        "outcome": None,
        "origin": {"gfn": "recorded", "hva": "recorded", "update": "recorded"},
        "mix": {
            "gfn": {"events": 10, "derived": False},
            "hva": {"events": 0, "derived": False},
            "update": {"events": 0, "derived": False},
        },
    }
    how = {
        "counts_only": False,
        "budget": 1.0,
        "displaced": 65536,
        "placement": "packed",
        "timings": ["throughput_hot", "throughput_cold", "latency_hot", "latency_cold"],
        "patience": 10.0,
        "processes": 1,
        "stride": 0,
        "floor": False,
        "mix": None,
        "complete": True,
    }
    return RunResult(
        {**asked, **(workload or {})},
        {**MACHINE, "date": date, **(machine or {})},
        {**how, **(options or {})},
        {"native": "linear", "python": "py-linear"},
        tuple(made.strategy() for made in rows),
        {
            role: tuple(made.row(made.roles.get(role)) for made in rows if any(role in other.roles for other in rows))
            for role in Operation
        },
        tuple(made.row(SetupResult(4, made.bytes_per_slot, made.setup)) for made in rows),
        {"gfn": {"throughput_hot": Interval(0.25, 0.2, 0.3)}},
        {} if control is None else {"gfn": {"throughput_hot": control}},
    )


def by_strategy(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The strategies of a run's JSON by name, each with the `figures` of the rows that it is served by, and `setup`."""
    return {
        one["strategy"]: {
            **one,
            "figures": {role: _figures(rows, one["rows"][role]) for role, rows in run["roles"].items()},
            "setup": _figures(run["setup"], one["rows"]["update"]),
        }
        for one in run["strategies"]
    }


def _figures(rows: list[dict[str, Any]], name: str) -> Any:
    return next((row["figures"] for row in rows if row["name"] == name), None)
