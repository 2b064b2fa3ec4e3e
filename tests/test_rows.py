"""A role's row is the structure that served the role: its name, the strategies that share it, and their equal costs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner
from results import by_strategy, gfn, result, row, timing

from slotlookup import registry
from slotlookup.address import HOLE
from slotlookup.bench.cli import cli
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.bench.measure.setup import SetupTask
from slotlookup.bench.measure.tasks import GfnTask, HvaTask, UpdateTask
from slotlookup.bench.results.load import load_result
from slotlookup.errors import BrokenStrategy
from slotlookup.families.native import HOT
from slotlookup.memslots import make_memslot
from slotlookup.questions import questions_of
from slotlookup.strategy import Strategy
from slotlookup.structure import Costs, Family, PythonStructure, RangeIndex
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events, write_trace

HVA = 0x7000_0000_0000
START = tuple(make_memslot(number, number << 18, 0x4000, HVA + (number << 18)) for number in range(20))
SMM = make_memslot((1 << 16) | 5, 0x0, 0x8000, 0x4000_0000_0000)
TRACE = Trace(
    "small",
    (*START, SMM),
    np.concatenate(
        [
            gfn_events([number << 6 for number in (3, 9, 3, 19, 0, 7)]),
            hva_events([HVA, HVA + (9 << 18)], [HVA + 0x1000, HVA + (12 << 18)]),
            slot_events([(30, 0x8000_0000, 0x1000, 0x5000_0000_0000, 0), (9, 9 << 18, 0, HVA + (9 << 18), 0)]),
            gfn_events([0x8_0000, 9 << 6, 5]),
            gfn_events([2, 9], as_id=1),
            hva_events([0x5000_0000_0000, HVA], [0x5000_0000_1000, HVA + (4 << 18)]),
        ]
    ),
)

STILL = Trace("still", TRACE.start, gfn_events([number << 6 for number in range(20)]))


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "SETUP_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    write_trace(TRACE, tmp_path / "small.parquet")
    write_trace(STILL, tmp_path / "still.parquet")


def run(*strategies: str, options: Iterable[str] = ("--counts-only",), workload: str = "small.parquet") -> Any:
    asked = [part for strategy in strategies for part in ("-s", strategy)]
    done = CliRunner().invoke(cli, ["run", workload, *asked, *options, "--json"], standalone_mode=False)
    assert done.exception is None, done.exception
    return json.loads(done.stdout)


def names(found: Any, role: str) -> dict[str, list[str]]:
    """The strategies of each row."""
    rows = found["setup"] if role == "setup" else found["roles"][role]
    return {one["name"]: one["strategies"] for one in rows}


@pytest.mark.parametrize(
    ("spec", "lookups", "visits", "changes"),
    [
        ("linear", "linear", "linear", "linear"),
        ("eytzinger", "eytzinger", "interval-tree", "eytzinger + interval-tree"),
        ("max-array", "rbtree", "max-array", "rbtree + max-array"),
        ("linear,cache=last-used", "linear,cache=last-used", "linear", "linear,cache=last-used"),
        ("size-sorted,unaliased", "size-sorted", "size-sorted,unaliased", "size-sorted,unaliased"),
        (
            "gfn=sorted,hva=size-sorted,cache=per-vcpu,update=copy,unaliased",
            "sorted,cache=per-vcpu,update=copy",
            "size-sorted,update=copy,unaliased",
            "sorted + size-sorted,cache=per-vcpu,update=copy,unaliased",
        ),
    ],
)
def test_what_serves_each_role(spec: str, lookups: str, visits: str, changes: str) -> None:
    parsed = registry.parse_spec(spec)
    assert [parsed.serving(role) for role in ("gfn", "hva", "update")] == [lookups, visits, changes]


def test_a_shared_structure_is_one_row_and_is_ranked_once() -> None:
    found = run("linear", "eytzinger", "static-btree", "interval-tree", "vhost")
    assert names(found, "gfn") == {
        "linear": ["linear"],
        "eytzinger": ["eytzinger"],
        "static-btree": ["static-btree"],
        "interval-tree": ["interval-tree", "vhost"],
    }
    assert names(found, "hva") == {
        "linear": ["linear"],
        "interval-tree": ["eytzinger", "static-btree", "interval-tree", "vhost"],
    }
    whole = {
        "linear": ["linear"],
        "eytzinger + interval-tree": ["eytzinger"],
        "static-btree + interval-tree": ["static-btree"],
        "interval-tree": ["interval-tree", "vhost"],
    }
    assert names(found, "update") == names(found, "setup") == whole
    assert [one["measured_in"] for one in found["roles"]["hva"]] == ["linear", "interval-tree"]
    assert by_strategy(found)["vhost"]["rows"] == dict.fromkeys(("gfn", "hva", "update"), "interval-tree")
    shown = CliRunner().invoke(
        cli,
        ["run", "small.parquet", "-s", "eytzinger", "-s", "static-btree", "--counts-only", "--role", "hva"],
        standalone_mode=False,
    )
    words = " ".join(shown.stdout.split())
    assert "interval-tree serves eytzinger and static-btree." in words
    assert "hva visits: interval-tree by lines and slots examined" in words


def test_presets_stand_under_their_names_and_say_what_they_use() -> None:
    found = run("kvm-5.17", "kvm-5.17-vcpu", "crosvm", "rust-vmm", "bhyve")
    assert names(found, "hva") == {
        "kvm-5.17": ["kvm-5.17", "kvm-5.17-vcpu"],
        "crosvm": ["crosvm", "rust-vmm"],
        "bhyve": ["bhyve"],
    }
    assert [one["uses"] for one in found["roles"]["hva"]] == [
        "interval-tree,update=two-sets",
        "linear,update=copy",
        "linear",
    ]
    # Beside the structure itself a preset adds nothing; beside a spec that says the same, its name is the shorter.
    beside = run("bhyve", "linear", "gfn=rbtree,hva=interval-tree,cache=last-used,update=two-sets", "kvm-5.17")
    assert list(names(beside, "gfn")) == ["linear", "kvm-5.17"]


def test_a_run_of_everything_ranks_nothing_twice() -> None:
    found = run()
    for rows in (*found["roles"].values(), found["setup"]):
        uses = [(one["family"], one["uses"]) for one in rows]
        assert len(uses) == len(set(uses)) == len({one["name"] for one in rows})
    here = {one["strategy"] for one in found["strategies"] if one["state"] == "verified"}
    for role in ("gfn", "hva", "update", "setup"):
        shared = [strategy for strategies in names(found, role).values() for strategy in strategies]
        assert here <= set(shared) and len(shared) == len(set(shared))


@pytest.mark.parametrize("make", [GfnTask, HvaTask, UpdateTask])
@pytest.mark.parametrize("trace", ["changing", "still"])
def test_whatever_shares_a_row_counts_the_same(make: type[GfnTask | HvaTask | UpdateTask], trace: str) -> None:
    """A row's counts are those of each strategy that shares it, with slot changes and two address spaces too."""
    questions = questions_of({"changing": TRACE, "still": STILL}[trace], 0)
    task = make(questions, 200)
    found: dict[str, dict[str, object]] = {}
    for name in registry.strategy_names():
        if registry.family_of(name) is Family.NATIVE:
            # The row's stride is that of the strategy that it was measured in; what else stands in a slot moves it.
            counts = replace(task.count(name), slot_stride=None)
            found.setdefault(registry.parse_spec(name).serving(task.role), {})[name] = counts
    apart = {serving: counts for serving, counts in found.items() if len(set(map(str, counts.values()))) > 1}
    assert apart == {}
    assert max(map(len, found.values())) > 1
    if make is HvaTask and trace == "still":
        # What the update discipline adds to a slot is seen, so it belongs to what serves a role.
        assert set(map(str, found["interval-tree"].values())) != set(
            map(str, found["interval-tree,update=two-sets"].values())
        )


def test_a_wrong_strategy_does_not_take_a_shared_row_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    right = HvaTask.verify

    def verify(self: HvaTask, strategy: Strategy) -> None:
        if strategy.name == "interval-tree":
            raise BrokenStrategy("planted")
        right(self, strategy)

    monkeypatch.setattr(HvaTask, "verify", verify)
    arguments = ["run", "still.parquet", "-s", "interval-tree", "-s", "eytzinger", "-s", "linear", "--json"]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.return_value == 1
    found = json.loads(done.stdout)
    assert {one["strategy"]: one["state"] for one in found["strategies"]} == {
        "interval-tree": "void",
        "eytzinger": "verified",
        "linear": "verified",
    }
    shared = found["roles"]["hva"][0]
    assert (shared["name"], shared["measured_in"], shared["state"]) == ("interval-tree", "eytzinger", "verified")
    assert shared["figures"]["ns"]["throughput_hot"]["median"] > 0
    # Lookups were right, but nobody should believe them of a strategy that was wrong elsewhere.
    lookups = {one["name"]: (one["state"], one["reason"]) for one in found["roles"]["gfn"]}
    assert lookups["interval-tree"] == ("void", "planted") and lookups["eytzinger"][0] == "verified"


def test_setting_up_is_measured_and_shown_apart() -> None:
    found = run("linear", "rbtree", "py-linear", options=(), workload="still.parquet")
    for one in found["setup"]:
        figures = one["figures"]
        assert figures["slots"] == 21
        assert figures["ns"]["median"] > 0 and figures["ns"]["raw_samples"] is None
        assert figures["ns"]["ratio"]["median"] > 0
        assert (figures["bytes_per_slot"] is None) == (one["family"] == "python")
        assert len(figures["ns"]["samples"]) >= (7 if one["family"] == "native" else 1)
    assert [one["figures"]["ns"] for one in run("linear")["setup"]] == [None]
    shown = (
        CliRunner()
        .invoke(cli, ["run", "still.parquet", "-s", "linear", "--role", "setup"], standalone_mode=False)
        .stdout
    )
    assert "set-up  loading the 21 starting slots" in shown


def test_a_load_that_puts_its_work_off_is_timed_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(RangeIndex):
        """Sorts when first asked."""

        asked: ClassVar[list[str]] = []

        def __init__(self) -> None:
            self.held = 0

        def insert(self, start: int, last: int, number: int) -> None:
            self.held += 1

        def remove(self, start: int, last: int, number: int) -> None:
            self.held -= 1

        def find(self, point: int) -> int:
            self.asked.append("find")
            return HOLE

        def visit(self, start: int, last: int) -> list[int]:
            self.asked.append("visit")
            return []

        def check(self) -> None:
            pass

        def __len__(self) -> int:
            return self.held

    lazy = PythonStructure("lazy", "late", Costs("?", "?", "?"), "a test", Lazy)
    known = {**registry.structures(), "lazy": lazy}
    monkeypatch.setattr(registry, "structures", lambda: known)
    task = SetupTask(questions_of(TRACE, 0))
    assert task.time(registry.make_strategy("lazy"), 0, task.operations, HOT) > 0
    assert {"find", "visit"} <= set(Lazy.asked)
    monkeypatch.setattr(Lazy, "insert", lambda self, start, last, number: None)
    strategy = registry.make_strategy("lazy")
    monkeypatch.setattr(type(strategy), "__len__", lambda self: 3)
    with pytest.raises(BrokenStrategy, match="holds 3 slots when loaded, not 21"):
        task.time(strategy, 0, task.operations, HOT)


def test_every_parameter_is_kept() -> None:
    given = ("--slots", "40", "--events", "300", "--seed", "7", "--displace", "4096", "--placement", "slab")
    found = run("linear", options=(*given, "--patience", "3", "--quick"), workload="synthetic-uniform")
    assert found["workload"]["parameters"] == {"slots": 40, "events": 300, "memory": None}
    assert found["workload"]["seed"] == 7
    assert {name: found["options"][name] for name in ("counts_only", "displaced", "placement", "patience")} == {
        "counts_only": False,
        "displaced": 4096,
        "placement": "slab",
        "patience": 3.0,
    }
    assert found["options"]["budget"] < 1
    modelled = run("linear", options=("--memory", "16M", "--events", "200", "--counts-only"), workload="boot")
    assert modelled["workload"]["parameters"] == {"slots": None, "events": 200, "memory": 16 << 20}


def test_cold_samples_are_kept_as_they_were_taken() -> None:
    run("linear", "rbtree", options=("--save", "saved.json"), workload="still.parquet")
    for one in load_result("saved.json").roles["gfn"]:
        assert one.figures is not None
        for mode, measured in one.figures.ns.items():
            if not mode.endswith("cold"):
                assert measured.raw_samples is None
                continue
            # The cost of displacing the caches was subtracted, and it is above zero.
            assert measured.raw_samples is not None
            assert all(raw > net for raw, net in zip(measured.raw_samples, measured.samples, strict=True))


def test_results_do_not_change() -> None:
    made = result(row("linear", gfn(throughput_hot=timing(2, 1, 3)), setup=timing(2, 1, 3)))
    lookups, setup = made.roles["gfn"][0], made.setup[0]
    assert lookups.figures is not None and setup.figures is not None
    parts = (made, made.strategies[0], lookups, lookups.figures, lookups.figures.ns["throughput_hot"], setup.figures)
    for part in parts:
        with pytest.raises(FrozenInstanceError):
            setattr(part, fields(part)[0].name, None)
