"""The default set against its rule, by the figures of a run of every strategy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from results import by_strategy

from slotlookup.bench.cli import cli
from slotlookup.bench.measure.default_set import default_set, growth
from slotlookup.registry import presets, structures
from slotlookup.structure import NativeStructure
from slotlookup.vocabulary import Role


def call(*arguments: str) -> Any:
    done = CliRunner().invoke(cli, ["run", *arguments, "--counts-only", "--json"], standalone_mode=False)
    assert done.exception is None, done.exception
    return json.loads(done.stdout)


def test_the_set_has_the_threads_structures_the_presets_and_the_best_of_each_kind() -> None:
    found = by_strategy(call("synthetic-uniform", "--slots", "64", "--events", "2000", "--all"))
    chosen = default_set()
    assert {"linear", "size-sorted", "rbtree", "prio-tree", *presets()} <= set(chosen)
    natives = {name: one for name, one in structures().items() if isinstance(one, NativeStructure)}
    assert set(chosen) <= {*natives, *presets()}
    best = set()
    for role in Role:
        kinds: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
        for name, structure in natives.items():
            if role in structure.roles:
                figures = found[name]["figures"][role]
                kind = growth(getattr(structure.costs, role)), growth(structure.costs.update)
                kinds.setdefault(kind, []).append((figures["lines"], figures["slots_examined"], name))
        best |= {sorted(members)[0][2] for members in kinds.values()}
        assert len(kinds) > 3
    assert set(chosen) == {"linear", "size-sorted", "rbtree", "prio-tree", *presets(), *best}


@pytest.mark.parametrize(
    ("cost", "grows"),
    [
        ("O(n)", "n"),
        ("O(m), m the largest id", "n"),
        ("O(log n + k) to O(n)", "log n"),
        ("O(b + k)", "bounded"),
        ("O(1)", "bounded"),
    ],
)
def test_kinds_follow_the_declared_growth(cost: str, grows: str) -> None:
    assert growth(cost) == grows


def test_a_run_replays_the_default_set_unless_others_are_named() -> None:
    small = ("one-slot", "--events", "20")
    assert [one["strategy"] for one in call(*small)["strategies"]] == list(default_set())
    assert {one["strategy"] for one in call(*small, "--all")["strategies"]} == {*structures(), *presets()}
    assert [one["strategy"] for one in call(*small, "--all", "-s", "linear")["strategies"]] == ["linear"]
