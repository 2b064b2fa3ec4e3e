"""The gate and its strategies: what nothing gates is refused, and what does not conform fails."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from checking import BASELINE, CONFIG, call, code, settle, verified
from foreign_sources import compile_c

from slotlookup import registry
from slotlookup.address import HOLE, Gfn
from slotlookup.families.python import PythonStrategy
from slotlookup.memslots import ChangeKind, SlotChange, make_memslot
from slotlookup.strategies.py_linear import ListIndex
from slotlookup.structure import Costs, PythonStructure, RangeIndex
from slotlookup.trace import Trace, gfn_events, hva_events, write_trace

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


def test_a_library_that_nothing_gates_is_not_comparable(tmp_path: Path) -> None:
    library = compile_c(tmp_path, "list")
    Path("slotlookup.toml").write_text(CONFIG.replace('"rbtree"', f'"{library}"'))
    result = call("--update")
    assert code(result) == 4
    assert f"strategy '{library}' has no counts; gate it by [[check.times]]" in str(result.exception)
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


class Planted(ListIndex):
    """A list whose faults the small trace does not show."""


class OneTooFar(Planted):
    def visit(self, start: int, last: int) -> Iterable[int]:
        return super().visit(start, last + 1)


class EqualStarts(Planted):
    def visit(self, start: int, last: int) -> Iterable[int]:
        met = super().visit(start, last)
        firsts: dict[int, int] = {}
        for slot_start, _, number in self._ranges:
            if number in met:
                firsts.setdefault(slot_start, number)
        return list(firsts.values())


class TwiceInAVisit(Planted):
    def visit(self, start: int, last: int) -> Iterable[int]:
        met = list(super().visit(start, last))
        return met + met[-1:] if len(met) > 2 else met


class Pages(ListIndex):
    """A table of pages, right where ranges do not overlap."""

    def __init__(self) -> None:
        super().__init__()
        self._pages: dict[int, int] = {}

    def insert(self, start: int, last: int, number: int) -> None:
        super().insert(start, last, number)
        self._pages.update(dict.fromkeys(range(start, last + 1), number))

    def remove(self, start: int, last: int, number: int) -> None:
        super().remove(start, last, number)
        for page in range(start, last + 1):
            self._pages.pop(page, None)

    def find(self, point: int) -> int:
        return self._pages.get(point, HOLE)


def wrong_space(strategy: PythonStrategy, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
    return right_lookup(strategy, gfn, 0, vcpu)


def move_before_erase(strategy: PythonStrategy, change: SlotChange) -> None:
    """The old range goes last; where it takes in the new one, that is gone too."""
    if change.kind is not ChangeKind.MOVE:
        right_change(strategy, change)
        return
    old = strategy._slots[change.slot.number]
    strategy._insert(change.slot)
    strategy._slots[change.slot.number] = old
    strategy._remove(change.slot.number)
    strategy._slots[change.slot.number] = change.slot


def keeps_moved_in_cache(strategy: PythonStrategy, change: SlotChange) -> None:
    held = list(strategy._last)
    right_change(strategy, change)
    if change.kind is ChangeKind.MOVE:
        strategy._last = held


right_lookup, right_change = PythonStrategy.lookup_gfn, PythonStrategy._carry_out
APART = tuple(make_memslot(n, n << 16, 0x8000, 0x7000_0000_0000 + (n << 20)) for n in range(3))
INSIDE = np.concatenate([gfn_events([1, 0x12, 0x25, 0x11]), hva_events([0x7000_0000_0000], [0x7000_0000_1000])])
"""A workload without aliases that asks for gfns inside slots only."""
MINE = "gfn=mine,hva=py-linear,cache=last-used"
PLANTED: dict[str, tuple[str, type[RangeIndex], dict[str, object], str]] = {
    "one too far at the end": (
        "mine",
        OneTooFar,
        {},
        "empty: visit_hva(0x7efffffff000, 0x7f0000000000) gave",
    ),
    "equal starts": ("mine", EqualStarts, {}, "nested aliases: visit_hva("),
    "twice in a visit": ("mine", TwiceInAVisit, {}, "adjacent slots: visit_hva("),
    "wrong address space": (MINE, ListIndex, {"lookup_gfn": wrong_space}, "empty: lookup_gfn(0x5, as_id=1) gave 0"),
    "move before erase": (MINE, Pages, {"_carry_out": move_before_erase}, "the slot found last is moved: lookup_gfn("),
    "a cache that misses a move": (
        MINE,
        ListIndex,
        {"_carry_out": keeps_moved_in_cache},
        "the slot found last is moved: lookup_gfn(",
    ),
}
"""The strategy, the structure `mine`, methods of every Python strategy, and what the gate says."""


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_that_no_workload_shows_fails_the_check(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, index, methods, words = PLANTED[bug]
    mine = PythonStructure("mine", "a test's", Costs("?", "?", "?"), "a test", index)
    known = {**registry.structures(), "mine": mine}
    monkeypatch.setattr(registry, "structures", lambda: known)
    Path("slotlookup.toml").write_text(CONFIG.replace('"linear", "rbtree"', f'"{spec}"'))
    write_trace(Trace("small", APART, INSIDE), "small.parquet")
    for name, method in methods.items():
        monkeypatch.setattr(PythonStrategy, name, method)
    assert code(call("--update")) == 0, "the workload does not show it"
    result = verified()
    assert code(result) == 1
    assert str(result.exception).startswith(f"{spec}: {words}")
    assert "\n" not in str(result.exception)
    assert "to reproduce it, run (numbers are as_id << 16 | id): create(" in str(result.exception)
    document = json.loads(verified("--format", "json").stdout)
    assert [(f["workload"], f["strategy"]) for f in document["faults"]] == [(None, spec)]
    assert document["problems"] == []
    before = BASELINE.read_bytes()
    assert code(verified("--update")) == 1
    assert BASELINE.read_bytes() == before


def test_a_whole_check_passes() -> None:
    assert code(verified("--update")) == 0
    result = verified()
    assert code(result) == 0
    assert "left out" not in result.stdout
    assert "The conformance suite was left out." in call().stdout


def test_the_counting_instance_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    class Miscounting(ListIndex):
        def find(self, point: int) -> int:
            return HOLE if type(point) is not int and point % 8 == 5 else super().find(point)

    mine = PythonStructure("mine", "a test's", Costs("?", "?", "?"), "a test", Miscounting)
    known = {**registry.structures(), "mine": mine}
    monkeypatch.setattr(registry, "structures", lambda: known)
    Path("slotlookup.toml").write_text(CONFIG.replace('"linear", "rbtree"', '"mine"'))
    result = verified("--update")
    assert code(result) == 1
    assert "counted: " in str(result.exception)
