"""`slotlookup strategies`: derived and measured values, and readable output on narrow and on wide terminals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from slotlookup import registry
from slotlookup.bench.cli import cli
from slotlookup.structure import Costs, NativeStructure


def printed(columns: int) -> str:
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(cli, ["strategies"], standalone_mode=False)
    assert result.exception is None
    return result.stdout


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["strategies", "--json"], standalone_mode=False)
    return {row["strategy"]: row for row in json.loads(result.stdout)["strategies"]}


@pytest.mark.parametrize("columns", [40, 80, 131, 132, 140, 200])
def test_every_width_tells_everything(columns: int, rows: dict[str, dict[str, Any]]) -> None:
    text = printed(columns)
    assert max(len(line) for line in text.splitlines()) <= columns
    folded = "".join(text.split())
    for name, row in rows.items():
        assert name in text
        if columns < 132:  # in a table, the words of a cell do not stand together
            for words in (row["summary"], row["source"], row["gfn"], row["hva"], row["update"]):
                assert "".join(words.split()) in folded
    for word in ("gfn", "hva", "change", "kernel", "bytes"):
        assert word in text


def test_a_table_takes_the_width_it_needs() -> None:
    assert "in a kernel: yes" in printed(131)
    assert "in a kernel: yes" not in printed(132)
    for name in registry.strategy_names():
        assert any(line.split()[:1] == [name] for line in printed(140).splitlines()), "a name is never folded"


def test_who_could_use_it(rows: dict[str, dict[str, Any]]) -> None:
    assert (rows["rbtree"]["kernel"], rows["rbtree"]["readers"]) == ("yes", "wait")
    assert (rows["kvm-5.17"]["kernel"], rows["kvm-5.17"]["readers"]) == ("yes", "look on")
    assert rows["kvm-3.3"]["readers"] == "look on" and rows["kvm-2.6.27"]["readers"] == "wait"
    assert (rows["py-linear"]["kernel"], rows["py-linear"]["obstacle"]) == ("no", "Python")
    for row in rows.values():
        assert (row["kernel"] == "yes") == (row["obstacle"] == "")


@pytest.mark.parametrize(
    ("facts", "obstacle"),
    [
        ({}, ""),
        ({"simd": True}, "SIMD"),
        ({"big_allocation": True}, "big allocation"),
        ({"simd": True, "big_allocation": True, "kernel": False}, "SIMD, big allocation"),
        ({"kernel": False}, "not as it is"),
    ],
)
def test_obstacles_follow_from_what_is_declared(facts: dict[str, bool], obstacle: str) -> None:
    made = NativeStructure("mine", "mine", Costs("O(1)", "O(1)", "O(1)"), "here", **facts)  # type: ignore[arg-type]
    assert made.obstacle == obstacle


def test_bytes_are_measured(rows: dict[str, dict[str, Any]]) -> None:
    # In front of the slot 64 bytes; with the slot to the end of its line 192. Two arrays' entries of 24 bytes,
    # and 8 in the table of ids. Three more indexes without slots are less than a byte a slot.
    assert 192 + 48 + 8 <= rows["linear"]["bytes_per_slot"] < 192 + 48 + 9
    # Nodes in place of entries: three of 24 bytes a role lie within the lines that there are.
    assert rows["rbtree"]["bytes_per_slot"] < rows["linear"]["bytes_per_slot"]
    # 16 bytes for each of 1,024 vCPUs, two slot sets and two address spaces.
    assert rows["kvm-5.17-vcpu"]["bytes_per_slot"] - rows["kvm-5.17"]["bytes_per_slot"] == pytest.approx(64, abs=1)
    assert rows["py-linear"]["bytes_per_slot"] is None


def test_roles_and_partners(rows: dict[str, dict[str, Any]]) -> None:
    for name, structure in registry.structures().items():
        assert rows[name]["roles"] == list(structure.roles)
        if len(structure.roles) == 1:
            partner = registry.structures()[structure.partner]
            assert rows[name]["spec"] == (
                f"gfn={name},hva={partner.name}" if structure.roles == ("gfn",) else f"gfn={partner.name},hva={name}"
            )
    for name in registry.presets():
        assert rows[name]["roles"] == ["gfn", "hva"]
