"""One vocabulary: results, the command line and the published schemas use the enumerations' names."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from importlib.resources import files
from typing import Any

import _slotlookup_native as native
import click
import pytest
from source_tree import ROOT

from slotlookup.bench.commands import run, sweep
from slotlookup.bench.results.model import RoleResult
from slotlookup.config.settings import config_schema
from slotlookup.strategy import Counters
from slotlookup.vocabulary import RANKED, CachePolicy, Count, Operation, Placement, Role, TimingMode, UpdateDiscipline

NATIVE: dict[str, Iterable[str]] = {
    "roles": Role,
    "counts": Count,
    "kinds": dict.fromkeys(mode.kind for mode in TimingMode),
    "placements": Placement,
    "caches": CachePolicy,
    "updates": UpdateDiscipline,
}
"""What the native module must call by the same names."""


def schema(name: str) -> Any:
    return json.loads((files("slotlookup.bench") / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))


def dig(document: Any, *path: str) -> Any:
    for key in path:
        document = document[key]
    return document


def texts(names: type[StrEnum]) -> list[str]:
    return [name.value for name in names]


def differing(exported: dict[str, list[str]]) -> list[str]:
    return [what for what, names in NATIVE.items() if exported.get(what) != [str(name) for name in names]]


def test_the_native_module_has_the_same_names() -> None:
    exported = native.vocabulary()
    assert exported.keys() == NATIVE.keys()
    assert not differing(exported)


@pytest.mark.parametrize("what", NATIVE)
def test_a_name_that_one_side_lacks_is_found(what: str) -> None:
    exported = native.vocabulary()
    assert differing({**exported, what: exported[what][1:]}) == [what]
    assert differing({**exported, what: [*exported[what], "new"]}) == [what]


def test_the_schema_of_results_has_a_key_for_each_name() -> None:
    defs = schema("run")["$defs"]
    assert list(dig(schema("run"), "properties", "roles", "properties")) == texts(Operation)
    assert list(dig(defs, "strategy", "properties", "rows", "properties")) == texts(Operation)
    assert dig(defs, "options", "properties", "timings", "items", "enum") == texts(TimingMode)
    assert list(dig(defs, "role", "properties")) == ["operations", "slot_stride", *texts(Count), "ns"]
    assert list(dig(defs, "role", "properties", "ns", "properties")) == texts(TimingMode)
    assert list(dig(defs, "workload", "properties", "origin", "properties")) == texts(Operation)
    assert dig(defs, "options", "properties", "placement", "enum") == texts(Placement)
    for of_loops in ("empty_ns", "control"):
        by_operation = dig(schema("run"), "properties", of_loops, "properties")
        assert list(by_operation) == texts(Operation)
        assert all(list(modes["properties"]) == texts(TimingMode) for modes in by_operation.values())


def test_the_schema_of_the_list_of_strategies_knows_the_roles() -> None:
    rows = schema("strategies")["properties"]["strategies"]
    assert dig(rows, "items", "properties", "roles", "items", "enum") == texts(Role)


def test_the_schema_of_the_configuration_lists_the_names() -> None:
    document = json.loads(config_schema())
    assert dig(document, "properties", "placement", "enum") == texts(Placement)
    assert dig(document, "$defs", "TimeGate", "properties", "mode", "enum") == texts(TimingMode)
    for table, key, names in (("TimeGate", "role", Operation), ("Tolerance", "role", Operation)):
        assert dig(document, "$defs", table, "properties", key, "enum") == texts(names)
    assert dig(document, "$defs", "Tolerance", "properties", "metric", "enum") == texts(Count)


def test_counters_and_results_have_a_field_for_each_count_in_order() -> None:
    assert [field.name for field in fields(Counters)] == texts(Count)
    assert [field.name for field in fields(RoleResult) if field.name in texts(Count)] == texts(Count)


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        (run.command, "placement", texts(Placement)),
        (sweep.command, "timing", texts(TimingMode)),
        (sweep.command, "plot_role", texts(Operation)),
        (sweep.command, "plot_metric", ["ns", *texts(Count)]),
    ],
)
def test_the_command_line_offers_the_names(command: click.Command, option: str, names: list[str]) -> None:
    (found,) = (parameter for parameter in command.params if parameter.name == option)
    assert isinstance(found.type, click.Choice)
    assert list(found.type.choices) == names


def test_roles_are_operations_and_rankings_go_by_a_timing_without_conditions() -> None:
    assert texts(Role) == texts(Operation)[:2]
    assert not RANKED.cold and not RANKED.waits
    assert [mode for mode in TimingMode if mode.cold] == [mode for mode in TimingMode if mode.endswith("_cold")]


# Words of everyday English prove nothing when they stand alone.
TELLING = {name.value for names in (Count, TimingMode, Placement, CachePolicy, UpdateDiscipline) for name in names} - {
    "none",
    "lines",
    "hops",
    "copy",
    "rebuild",
    "scattered",
}


def written_again(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string that is a name of the vocabulary; docstrings are whole texts and never are."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in TELLING:
            yield node.lineno, str(node.value)


def test_no_other_module_writes_a_name_again() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for folder in ("slotlookup", "bench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "vocabulary.py" and path.parent.name != "suites"  # these write specs, as users do
        for line, text in written_again(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_a_name_written_again_is_found() -> None:
    assert list(written_again('MODES = (\n    "throughput_hot",\n    "other",\n)\n')) == [(2, "throughput_hot")]
