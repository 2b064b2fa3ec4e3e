"""The gate and its strategies: what nothing gates is refused."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from checking import BASELINE, CONFIG, call, code, settle

from slotlookup import registry
from slotlookup.strategies.py_linear import ListIndex
from slotlookup.structure import Costs, PythonStructure

GATE = '[[check.times]]\nstrategy = "{}"\nagainst = "{}"\nworkload = "small"\npercent = 10\n'


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strategies `mine` and `other`, whose counts are unknown, as a compiled library's are."""
    mine, other = (
        PythonStructure(name, "a test's", Costs("?", "?", "?"), "a test", ListIndex, compares=False)
        for name in ("mine", "other")
    )
    known = {**registry.structures(), "mine": mine, "other": other}
    monkeypatch.setattr(registry, "structures", lambda: known)
    Path("slotlookup.toml").write_text(CONFIG.replace('"rbtree"', '"mine"'))


WORDS = "strategy 'mine' has no counts; gate it by [[check.times]]"


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("options", [(), ("--update",), ("--no-times",)])
def test_a_strategy_that_nothing_gates_is_not_comparable(options: tuple[str, ...]) -> None:
    result = call(*options)
    assert code(result) == 4
    assert str(result.exception) == f"{Path('slotlookup.toml').resolve()}: {WORDS}"
    assert not BASELINE.exists()


@pytest.mark.usefixtures("uncounted")
def test_every_format_names_the_strategy_that_nothing_gates() -> None:
    document = json.loads(call("--format", "json").stdout)
    assert (document["exit_code"], [problem["message"] for problem in document["problems"]]) == (4, [WORDS])
    suite = ElementTree.fromstring(call("--format", "junit").stdout).find("testsuite")
    assert suite is not None and suite.get("errors") == "1"
    assert "mine" in call("--format", "github").stdout


@pytest.mark.usefixtures("uncounted")
def test_the_time_of_another_strategy_gates_nothing() -> None:
    text = CONFIG.replace('"rbtree"', '"mine", "other"')
    Path("slotlookup.toml").write_text(text + GATE.format("other", "mine"))
    result = call("--update")
    assert code(result) == 4
    assert WORDS in str(result.exception)


@pytest.mark.usefixtures("uncounted")
def test_a_strategy_without_counts_is_gated_by_its_time() -> None:
    text = CONFIG.replace('"rbtree"', '"py-linear", "mine"')
    Path("slotlookup.toml").write_text(text + GATE.format("mine", "py-linear"))
    assert code(call("--update", "--no-times")) == 0
    assert code(call("--no-times")) == 0


@pytest.mark.usefixtures("uncounted")
def test_times_cannot_be_left_out_where_nothing_else_gates() -> None:
    text = CONFIG.replace('"linear", "rbtree"', '"mine", "other"')
    Path("slotlookup.toml").write_text(text + GATE.format("mine", "other") + GATE.format("other", "mine"))
    result = call("--no-times")
    assert code(result) == 4
    assert "no strategy that is checked has counts; check their times too" in str(result.exception)
