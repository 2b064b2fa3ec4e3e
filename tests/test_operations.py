"""How many operations of each role a family replays: every command and the pytest fixture replay equal numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from results import by_strategy

from slotlookup.bench.cli import cli
from slotlookup.bench.measure import tasks, timing
from slotlookup.bench.pytest_plugin import Measure
from slotlookup.bench.sweep import points
from slotlookup.memslots import make_memslot
from slotlookup.questions import questions_of
from slotlookup.trace import Trace, gfn_events, slot_events

SLOTS = 4096
STRATEGIES = ("linear", "py-sortedcontainers")
CHOSEN = [word for name in STRATEGIES for word in ("-s", name)]
Operations = dict[str, dict[str, int]]
"""By strategy and role."""


@pytest.fixture(autouse=True)
def no_settings_of_the_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def json_of(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [*arguments, "--json"], standalone_mode=False)
    assert result.exception is None, result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def in_run(run: dict[str, Any]) -> Operations:
    return {
        name: {role: figures["operations"] for role, figures in one["figures"].items()}
        for name, one in by_strategy(run).items()
    }


def run(events: int) -> Operations:
    return in_run(
        json_of("run", "synthetic-uniform", f"--slots={SLOTS}", f"--events={events}", "--counts-only", *CHOSEN)
    )


def check(events: int) -> Operations:
    workload = f'{{ name = "synthetic-uniform", slots = {SLOTS}, events = {events}, label = "checked" }}'
    Path("slotlookup.toml").write_text(f"[check]\nstrategies = {json.dumps(STRATEGIES)}\nworkloads = [{workload}]\n")
    result = CliRunner().invoke(cli, ["check", "--no-verify", "--update"], standalone_mode=False)
    assert result.exception is None, result.exception
    held = json.loads(Path("slotlookup-baseline.json").read_text())["workloads"]["checked"]["strategies"]
    return {name: {role: figures["operations"] for role, figures in roles.items()} for name, roles in held.items()}


def sweep(events: int, monkeypatch: pytest.MonkeyPatch) -> Operations:
    # A sweep chooses its events by slots and effort; here it chooses those that the others are given.
    monkeypatch.setattr(points, "LEAST_EVENTS", events)
    monkeypatch.setitem(points.EFFORTS, "quick", points.Effort(0.0, 0, events))
    found = json_of("sweep", "synthetic-uniform", f"--slots={SLOTS}", "--quick", "--counts-only", *CHOSEN)
    (point,) = found["points"]
    assert point["workload"]["events"] == events
    return in_run(point)


def fixture(events: int, slot_cost: Measure) -> Operations:
    costs = [slot_cost(name, "synthetic-uniform", slots=SLOTS, events=events) for name in STRATEGIES]
    return {
        cost.strategy: {role: getattr(cost, role).operations for role in ("gfn", "hva", "update")} for cost in costs
    }


# Four of five events of this workload are lookups, the fifth a visit; it has no slot changes, and of 4,096 slots
# 2^19 / 4,096 = 128 are deleted and created again. A Python strategy replays at most 5,000,000 / 4,096 = 1,220.
@pytest.mark.parametrize(
    ("events", "native", "python"),
    [
        (100, {"gfn": 80, "hva": 20, "update": 256}, {"gfn": 80, "hva": 20, "update": 256}),
        (10_000, {"gfn": 8_000, "hva": 2_000, "update": 256}, {"gfn": 1_220, "hva": 1_220, "update": 256}),
    ],
)
def test_every_command_replays_equal_numbers(
    events: int,
    native: dict[str, int],
    python: dict[str, int],
    slot_cost: Measure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = dict(zip(STRATEGIES, (native, python), strict=True))
    assert run(events) == expected
    assert sweep(events, monkeypatch) == expected
    assert fixture(events, slot_cost) == expected
    assert check(events) == expected


def test_few_slots_leave_python_strategies_their_most_operations(slot_cost: Measure) -> None:
    slots = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),)
    trace = Trace("many", slots, gfn_events([0] * 25_000))
    assert slot_cost("linear", trace).gfn.operations == 25_000
    assert slot_cost("py-linear", trace).gfn.operations == 20_000


def test_a_rule_that_cuts_one_role_short_is_noticed(slot_cost: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of the four uses the rule in the tasks' module: where it is changed, all of them move."""
    monkeypatch.setattr(tasks, "PYTHON_OPERATIONS", 50)
    monkeypatch.setattr(tasks, "PYTHON_CHANGES", 50)
    expected = {"linear": {"gfn": 80, "hva": 20, "update": 256}, STRATEGIES[1]: {"gfn": 50, "hva": 20, "update": 50}}
    assert run(100) == expected
    assert sweep(100, monkeypatch) == expected
    assert fixture(100, slot_cost) == expected
    assert check(100) == expected


def test_slot_changes_are_timed_in_stretches_that_end_as_they_began() -> None:
    here, elsewhere = (0, 0x0, 0x4000, 0x7000_0000_0000, 0), (1, 0x10000, 0x4000, 0x7100_0000_0000, 0)
    gone = [(slot, base, 0, hva, flags) for slot, base, _, hva, flags in (here, elsewhere)]
    # By hand: 0 goes, 1 comes, 0 returns, 1 goes (as at the start after 4); 1 comes and goes (6); 0 goes for good (7).
    changes = [gone[0], elsewhere, here, gone[1], elsewhere, gone[1], gone[0]]
    trace = Trace("changes", (make_memslot(*here[:4]),), slot_events(changes))
    task = tasks.UpdateTask(questions_of(trace, 0), 100)
    assert (task.cuts, task.restarts) == ((0, 4, 6, 7), True)
    assert timing._spans(task, 1) == [(0, 4), (4, 6), (6, 7)]
    assert timing._spans(task, 5) == [(0, 6), (6, 7)]
    assert timing._spans(task, 1000) == [(0, 7)]
    closed = tasks.UpdateTask(questions_of(trace, 0), 6)
    assert (closed.cuts, closed.restarts) == ((0, 4, 6), False)
    assert [timing._Block(4, 1, timing._spans(closed, 1)).span(round_, 6) for round_ in range(3)] == [
        (0, 4),
        (4, 6),
        (0, 4),
    ]
