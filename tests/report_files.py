"""Files of results of every kind, made by hand, for reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from results import MACHINE, result, row, timing
from sweep_points import options, point, role

from slotlookup.bench.claims import saved
from slotlookup.bench.kernel.measure import recorded_path
from slotlookup.bench.results.document import to_json
from slotlookup.bench.results.model import RoleResult, RunResult
from slotlookup.bench.sweep import file as sweep_file

SLOTS = (1, 4, 16, 64)
WRONG = "gfn lookup of 0x5: 0, want -1"


def a_run() -> RunResult:
    """Four strategies: rbtree is cheapest in both roles, wrong-tree is void, no-tree is absent."""

    def roles(ns: float, lines: float) -> dict[str, RoleResult]:
        hot = timing(ns, ns * 0.98, ns * 1.02, (ns / 20, ns / 20, ns / 20))
        cold = timing(ns * 3, ns * 2.9, ns * 3.1)
        one = RoleResult(1000, 5.0, 10.0, 3.0, lines, {"throughput_hot": hot, "throughput_cold": cold})
        return {"gfn": one, "hva": replace(one, lines=lines + 1)}

    return result(
        row("linear", roles(20.0, 12.0), setup=timing(50, 49, 51), bytes_per_slot=40.0),
        row("rbtree", roles(8.0, 4.0), setup=timing(90, 88, 92), bytes_per_slot=80.0),
        row("prio-tree", roles(16.0, 6.0), bytes_per_slot=120.0),
        row("wrong-tree", {}, fault=WRONG),
        row("no-tree", {}, absent="not installed"),
        workload={
            "name": "two-slot",
            "slots": 2,
            "mix": {
                "gfn": {"events": 90, "derived": False},
                "hva": {"events": 10, "derived": True},
                "update": {"events": 0, "derived": False},
            },
        },
    )


def sweep_points() -> dict[int, dict[str, Any]]:
    """Linear costs 1 ns per slot, rbtree 8 ns at any slot count: linear is cheapest up to 4, rbtree from 16 on."""
    return {
        n: point(
            n,
            {
                "linear": {"gfn": role([n * 1.0, n * 1.01] * 3 + [n * 1.0], compares=n)},
                "rbtree": {"gfn": role([8.0, 8.1] * 3 + [8.0], compares=3)},
            },
        )
        for n in SLOTS
    }


def write_all(folder: Path) -> list[Path]:
    """A run, a sweep, a measurement of the kernel and the claims that ship."""
    run, sweep, claims = folder / "run.json", folder / "sweep.jsonl", folder / "claims.json"
    run.write_text(to_json(a_run()))
    asked = options("linear", "rbtree")
    sweep_file.begin(sweep, asked, SLOTS, MACHINE)
    for slots, one in sweep_points().items():
        sweep_file.append(sweep, slots, one)
    claims.write_bytes(saved.recorded_path().read_bytes())
    kernel = folder / "kernel.json"
    kernel.write_bytes(recorded_path().read_bytes())
    return [run, sweep, kernel, claims]
