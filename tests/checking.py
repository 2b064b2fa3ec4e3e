"""A small suite for the gate in a separate folder, and a call of the gate as from the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from slotlookup.bench.commands.check import command
from slotlookup.memslots import make_memslot
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events, write_trace

START = (
    make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),
    make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000),
    make_memslot(2, 0x40000, 0x8000, 0x7000_0000_0000),
)
STEPS = np.concatenate(
    [
        gfn_events([0, 3, 0x11, 0x2F, 0x47, 0x30, 0x999]),
        hva_events([0x7000_0000_0000, 0x6000_0000_1000], [0x7000_0000_1000, 0x6000_0000_3000]),
        slot_events([(3, 0x80000, 0x1000, 0x5000_0000_0000, 0)]),
        gfn_events([0x80, 0x81]),
    ]
)
CONFIG = """
[check]
strategies = ["linear", "rbtree"]
workloads = [{ name = "./small.parquet", label = "small" }]
"""
BASELINE = Path("slotlookup-baseline.json")


def settle(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Go to a folder with a trace and a configuration, out of reach of the surroundings' own."""
    for name in list(os.environ):
        if name.startswith(("SLOTLOOKUP_", "GITHUB_")) or name == "COLUMNS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SLOTLOOKUP_PROCESSES", "1")
    monkeypatch.chdir(folder)
    write_trace(Trace("small", START, STEPS), "small.parquet")
    Path("slotlookup.toml").write_text(CONFIG)


def call(*arguments: str) -> Result:
    """A check without the conformance suite, which would start processes each time."""
    return verified("--no-verify", *arguments)


def verified(*arguments: str) -> Result:
    """A whole check."""
    return CliRunner().invoke(command, list(arguments), standalone_mode=False)


def code(result: Result) -> int:
    """The exit code that the console script would give."""
    if result.exception is None:
        assert isinstance(result.return_value, int)
        return result.return_value
    found = getattr(result.exception, "exit_code", None)
    assert isinstance(found, int), result.exception
    return found


def update() -> None:
    assert code(call("--update")) == 0


def edit(change: Callable[[dict[str, Any]], None]) -> None:
    held = json.loads(BASELINE.read_text())
    change(held)
    BASELINE.write_text(json.dumps(held))


def gfn_of(held: dict[str, Any], strategy: str = "linear") -> dict[str, Any]:
    found: dict[str, Any] = held["workloads"]["small"]["strategies"][strategy]["gfn"]
    return found


def set_gfn(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda held: gfn_of(held).update({key: value})
