"""Comparison of two results: exact counts, certain differences of times, and pairs that must not be compared."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from results import Made, gfn, result, row, timing

from slotlookup.bench.commands.compare import command
from slotlookup.bench.results.compare import Change, Comparison, RowChange, Shift, TimeChange, blocks_apart, compare
from slotlookup.bench.results.document import to_json
from slotlookup.bench.results.model import RoleResult, RunResult, Timing
from slotlookup.bench.results.statistics import Interval
from slotlookup.errors import Incomparable, InputFileError, UsageError

LATER = "2026-03-02T10:00:00.000Z"
AS_ONE = (1.0, 1.0, 1.0)


def call(old: RunResult, new: RunResult, *arguments: str) -> Result:
    """The command on two saved results in the current folder."""
    Path("old.json").write_text(to_json(old))
    Path("new.json").write_text(to_json(new))
    return CliRunner().invoke(command, ["old.json", "new.json", *arguments], standalone_mode=False)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def lookups(comparison: Comparison) -> dict[str, RowChange]:
    """What became of the rows of gfn lookups, by name."""
    return {change.name: change for change in comparison.rows["gfn"]}


def pair(*new_rows: Made, old_rows: tuple[Made, ...], **new: Any) -> tuple[RunResult, RunResult]:
    return result(*old_rows), result(*new_rows, **{"date": LATER, **new})


def test_counts_change_absolutely_and_relatively() -> None:
    fewer = Change(10.0, 8.0)
    assert (fewer.changed, fewer.difference, fewer.relative) == (True, -2.0, -0.2)
    same = Change(0.1, 0.1)
    assert (same.changed, same.difference, same.relative) == (False, 0.0, 0.0)
    from_none = Change(0.0, 3.0)
    assert (from_none.changed, from_none.difference, from_none.relative) == (True, 3.0, None)
    learnt = Change(None, 3.0)
    assert (learnt.changed, learnt.difference, learnt.relative) == (True, None, None)
    assert not Change(None, None).changed


@pytest.mark.parametrize(
    ("old", "new", "least", "verdict"),
    [
        ((10, 9, 11), (12, 11.5, 12.5), 0.05, "slower"),  # apart, and 1.2
        ((12, 11.5, 12.5), (10, 9, 11), 0.05, "faster"),
        ((10, 9, 11), (12, 10.9, 12.5), 0.05, None),  # the intervals meet
        ((10, 9, 11), (12, 11, 12.5), 0.05, None),  # they touch
        ((100, 99, 101), (104, 103, 105), 0.05, None),  # apart, but 1.04
        ((100, 99, 101), (104, 103, 105), 0.04, "slower"),
        ((104, 103, 105), (100, 99, 101), 0.04, "faster"),
        ((10, 9, 11), (12, 11.5, 12.5), 0.25, None),
        ((10, None, None), (20, None, None), 0.05, None),  # too few samples for an interval
        ((-1, -3, -0.5), (5, 4, 6), 0.05, None),  # cold figures that the noise made negative
    ],
)
def test_a_time_is_called_different_only_when_it_is(old: Any, new: Any, least: float, verdict: str | None) -> None:
    assert Shift(Interval(*old), Interval(*new), least).verdict == verdict


def test_the_ratio_of_medians_needs_times_above_zero() -> None:
    assert Shift(Interval(10, 9, 11), Interval(12, 11, 13), 0).ratio == 1.2
    assert Shift(Interval(-1, -2, 1), Interval(12, 11, 13), 0).ratio is None
    assert Shift(Interval(1, 0, 2), Interval(0, -1, 1), 0).ratio is None


def test_intervals_apart_are_not_enough_where_blocks_are_not() -> None:
    # Two states, 1 and 2 ns: ten of 30 blocks were slow in one run, twenty in the other. Each is sure of its median.
    old = Timing((1.0,) * 20 + (2.0,) * 10, Interval(1.0, 1.0, 1.0), Interval(*AS_ONE))
    new = Timing((1.0,) * 10 + (2.0,) * 20, Interval(2.0, 2.0, 2.0), Interval(*AS_ONE))
    made = pair(row("linear", gfn(latency_hot=new)), old_rows=(row("linear", gfn(latency_hot=old)),))
    shift = lookups(compare(*made))["linear"].ns["latency_hot"].ns
    assert (shift.ratio, shift.blocks_apart, shift.verdict) == (2.0, False, None)


@pytest.mark.parametrize(
    ("old", "new", "apart"),
    [
        ([1, 2, 3], [4, 5, 6], True),
        ([4, 5, 6], [1, 2, 3], True),
        ([1, 2, 3], [3, 4, 5], False),
        ([*range(9), 50], [*range(9, 18), 60], True),  # of ten blocks one at either end may stray: up to 8, from 10
        ([*range(8), 50, 51], [*range(9, 18), 60], False),  # two strays are one too many
        ([1], [2], True),
    ],
)
def test_blocks_apart(old: list[float], new: list[float], apart: bool) -> None:
    assert blocks_apart(old, new) is apart
    assert blocks_apart(new, old) is apart


def slow_machine() -> tuple[RunResult, RunResult]:
    """Everything takes twice as long in NEW; size-sorted alone twice that."""
    old = (
        row("linear", gfn(throughput_hot=timing(10, 9, 11, AS_ONE))),
        row("rbtree", gfn(throughput_hot=timing(5, 4, 6, (0.5, 0.49, 0.51)))),
        row("size-sorted", gfn(throughput_hot=timing(8, 7, 9, (0.8, 0.79, 0.81)))),
    )
    new = (
        row("linear", gfn(throughput_hot=timing(20, 19, 21, AS_ONE))),
        row("rbtree", gfn(throughput_hot=timing(10, 9, 11, (0.5, 0.48, 0.52)))),
        row("size-sorted", gfn(throughput_hot=timing(32, 31, 33, (1.6, 1.59, 1.61)))),
    )
    return pair(*new, old_rows=old)


def test_the_ratio_to_the_reference_decides() -> None:
    times = {name: change.ns["throughput_hot"] for name, change in lookups(compare(*slow_machine())).items()}
    assert {name: time.ns.verdict for name, time in times.items()} == dict.fromkeys(times, "slower")
    assert times["linear"].to_reference is None
    assert times["linear"].verdict == "slower"
    assert times["rbtree"].verdict is None
    assert times["size-sorted"].verdict == "slower"


def test_a_reference_that_moved_is_remarked_on() -> None:
    words = "linear, the reference, took other times in gfn (throughput_hot 2.00 of its old times): the machine's state"
    assert any(remark.startswith(words) for remark in compare(*slow_machine()).remarks)


def test_without_a_ratio_the_nanoseconds_decide() -> None:
    slower = Shift(Interval(10, 9, 11), Interval(20, 19, 21), 0.05)
    level = Shift(Interval(1, 0.9, 1.1), Interval(1, 0.9, 1.1), 0.05)
    assert TimeChange(slower, None).verdict == "slower"
    assert TimeChange(slower, level).verdict is None


@pytest.mark.parametrize(("new", "verdict"), [(12.0, None), (12.6, "slower")])
def test_what_identical_work_does_is_no_difference(new: float, verdict: str | None) -> None:
    # Within OLD the reference came out at 0.8 to 1.1 of itself: 1 / 0.8 is 25 % apart.
    old = result(row("linear", gfn(throughput_hot=timing(10, 9.9, 10.1, AS_ONE))), control=Interval(1.0, 0.8, 1.1))
    after = result(row("linear", gfn(throughput_hot=timing(new, new - 0.1, new + 0.1, AS_ONE))), date=LATER)
    time = lookups(compare(old, after))["linear"].ns["throughput_hot"]
    assert time.ns.least == 0.25
    assert time.verdict == verdict


def test_strategies_come_and_go() -> None:
    void: dict[str, Any] = {"fault": "wrong"}
    old = (row("linear", gfn()), row("a", gfn()), row("b", gfn()), row("c", {}, **void), row("d", {}, **void))
    new = (row("linear", gfn()), row("b", {}, **void), row("c", gfn()), row("d", {}, **void), row("e", gfn()))
    comparison = compare(*pair(*new, old_rows=old))
    assert {s.strategy: s.state for s in comparison.strategies} == {
        "linear": "compared",
        "a": "removed",
        "b": "void in NEW",
        "c": "void in OLD",
        "d": "void in both",
        "e": "added",
    }
    assert {name: change.state for name, change in lookups(comparison).items()} == {
        s.strategy: s.state for s in comparison.strategies
    }
    assert [name for name, change in lookups(comparison).items() if change.counts] == ["linear"]


def test_an_absent_strategy_is_told_from_a_void_one() -> None:
    old = (row("linear", gfn()), row("a", gfn()), row("b", {}, fault="wrong"), row("c", {}, absent="not installed"))
    new = (row("linear", gfn()), *(row(name, {}, absent="not installed") for name in "abc"))
    states = {s.strategy: s.state for s in compare(*pair(*new, old_rows=old)).strategies}
    assert states == {
        "linear": "compared",
        "a": "absent in NEW",
        "b": "void in OLD, absent in NEW",
        "c": "absent in both",
    }


def test_rows_of_other_names_that_use_the_same_are_compared() -> None:
    """With the structure itself in a run, a preset's row goes under the structure's name."""
    old = result(row("vhost", gfn(10.0)), row("linear", gfn()))
    alone = replace(old.roles["gfn"][0], uses="interval-tree")
    old = replace(old, roles={**old.roles, "gfn": (alone, old.roles["gfn"][1])})
    new = result(row("linear", gfn()), row("interval-tree", gfn(9.0)), date=LATER)
    change = lookups(compare(old, new))["interval-tree"]
    assert (change.state, change.counts["compares"]) == ("compared", Change(10.0, 9.0))
    assert set(lookups(compare(old, new))) == {"linear", "interval-tree"}


def test_set_up_is_compared() -> None:
    ratio = (2.0, 1.9, 2.1)
    old = row("rbtree", gfn(), bytes_per_slot=64.0, setup=timing(100, 90, 110, ratio))
    new = row("rbtree", gfn(), bytes_per_slot=48.0, setup=timing(200, 190, 210, ratio))
    (change,) = compare(*pair(new, old_rows=(old,))).rows["setup"]
    assert change.counts == {"bytes_per_slot": Change(64.0, 48.0)}
    assert (change.ns["setup"].ns.verdict, change.ns["setup"].verdict) == ("slower", None)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "fingerprint": (
        {"workload": {"fingerprint": "f" * 16}},
        "the workload's fingerprint (0123456789abcdef of small, then ffffffffffffffff of small)",
    ),
    "seed": ({"workload": {"seed": 3}}, "the seed (0, then 3)"),
    "displaced": ({"options": {"displaced": 4096}}, "the displaced bytes (65536, then 4096)"),
    "placement": ({"options": {"placement": "scattered"}}, "the placement (packed, then scattered)"),
    "origin": (
        {"workload": {"origin": {"gfn": "drawn", "hva": "recorded", "update": "recorded"}}},
        "the origin of the gfn questions (recorded, then drawn)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_questions_are_refused_by_name(name: str) -> None:
    differing, words = REFUSED[name]
    refused = call(*pair(row("linear", gfn()), old_rows=(row("linear", gfn()),), **differing))
    assert isinstance(refused.exception, Incomparable)
    assert refused.exception.exit_code == 4
    assert str(refused.exception) == f"OLD and NEW cannot be compared; they differ in {words}"


def test_all_that_differs_is_named() -> None:
    old, new = pair(
        row("linear", gfn()), old_rows=(row("linear", gfn()),), workload={"seed": 3}, options={"displaced": 0}
    )
    with pytest.raises(Incomparable, match=re.escape("the seed (0, then 3), the displaced bytes (65536, then 0)")):
        compare(old, new)


def test_the_name_of_a_workload_does_not_matter() -> None:
    old, new = pair(row("linear", gfn()), old_rows=(row("linear", gfn()),))
    new = replace(new, workload={**new.workload, "name": "renamed"})
    with pytest.raises(Incomparable):
        compare(result(row("linear", gfn()), workload={"fingerprint": "f" * 16}), new)
    assert compare(old, new).strategies


def test_another_schema_is_incomparable() -> None:
    run = result(row("linear", gfn()))
    Path("old.json").write_text(to_json(run).replace('"schema_version": 5', '"schema_version": 1'))
    Path("new.json").write_text(to_json(run))
    refused = CliRunner().invoke(command, ["old.json", "new.json"], standalone_mode=False)
    assert isinstance(refused.exception, Incomparable)
    assert str(refused.exception).startswith("old.json: result schema 1; this slotlookup reads schema 5")


def test_a_result_is_not_compared_with_itself() -> None:
    text = to_json(result(row("linear", gfn())))
    Path("a.json").write_text(text)
    Path("copy.json").write_text(text)
    Path("link.json").symlink_to("a.json")
    for other, words in (
        ("a.json", "a.json: OLD and NEW are the same file"),
        ("link.json", "link.json: OLD and NEW are the same file"),
        ("copy.json", "OLD and NEW contain the same run, of 2026-03-01T10:00:00.000Z"),
    ):
        refused = CliRunner().invoke(command, ["a.json", other], standalone_mode=False)
        assert isinstance(refused.exception, Incomparable)
        assert str(refused.exception).startswith(words)


def test_a_missing_file_is_bad_input() -> None:
    missing = CliRunner().invoke(command, ["none.json", "none.json"], standalone_mode=False)
    assert isinstance(missing.exception, InputFileError)
    assert missing.exception.exit_code == 2


MACHINES: dict[str, tuple[dict[str, object], str]] = {
    "cpu": ({"cpu": "Model B"}, "CPU (Model A, then Model B)"),
    "kernel": ({"kernel": "6.2.0"}, "kernel (6.1.0, then 6.2.0)"),
    "compiler": ({"compiler": "Clang 20"}, "compiler (GNU 12.2.0, then Clang 20)"),
    "flags": ({"flags": "-O3"}, "flags (-O2, then -O3)"),
    "governor": ({"governor": None}, "governor (performance, then not known)"),
    "virtualised": ({"virtualised": True}, "virtualisation (no, then yes)"),
    "caches": ({"caches": {"L1d": "48K"}}, "caches (L1d 32K; L2 1024K, then L1d 48K)"),
    "two": ({"cpu": "B", "flags": "-O3"}, "CPU (Model A, then B), flags (-O2, then -O3)"),
}


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("form", [[], ["--markdown"]], ids=["text", "markdown"])
def test_on_another_machine_counts_are_compared_and_times_left_out(name: str, form: list[str]) -> None:
    differing, words = MACHINES[name]
    old = row("linear", gfn(10.0, throughput_hot=timing(2, 1, 3, AS_ONE)))
    new = row("linear", gfn(8.0, throughput_hot=timing(20, 19, 21, AS_ONE)))
    compared = call(*pair(new, old_rows=(old,), machine=differing), *form)
    assert compared.return_value == 0
    assert f"Times of native strategies are left out: different {words}." in compared.stdout
    assert "Counts: 1 of 5 changed." in compared.stdout
    assert "-20.0%" in compared.stdout
    assert "slower" not in compared.stdout


def test_another_python_leaves_out_the_times_of_python_strategies_alone() -> None:
    roles = gfn(throughput_hot=timing(2, 1, 3, AS_ONE))
    rows = (row("linear", roles), row("py-linear", roles, "python"))
    comparison = compare(*pair(*rows, old_rows=rows, machine={"python": "CPython 3.14.0"}))
    assert {name: list(change.ns) for name, change in lookups(comparison).items()} == {
        "linear": ["throughput_hot"],
        "py-linear": [],
    }
    assert list(comparison.times_left_out) == ["python"]


def remarks(**new: Any) -> list[str]:
    rows = (row("linear", gfn(throughput_hot=timing(2, 1, 3, AS_ONE))),)
    return list(compare(*pair(*rows, old_rows=rows, **new)).remarks)


def test_what_else_the_reader_must_know() -> None:
    assert remarks() == []
    assert remarks(machine={"load": [4.5, 1, 1]}) == [
        "NEW was measured under a load of 4.5 on 4 CPUs; times are doubtful"
    ]
    assert remarks(machine={"load": [4.0, 1, 1]}) == []
    assert remarks(machine={"slotlookup": "0.2.0"}) == ["another version of slotlookup (0.1.0, then 0.2.0)"]
    assert remarks(machine={"packages": {"numpy": "2.1.0"}}) == ["another version of numpy (2.0.0, then 2.1.0)"]
    assert remarks(date="2026-02-28T10:00:00.000Z") == ["OLD was measured after NEW"]
    assert remarks(options={"counts_only": True}) == ["NEW was run with --counts-only and has no times"]


def test_other_numbers_of_operations_are_not_compared() -> None:
    old, new = row("py-linear", gfn(10.0, 50_000), "python"), row("py-linear", gfn(9.0, 20_000), "python")
    comparison = compare(*pair(new, old_rows=(old,)))
    assert lookups(comparison)["py-linear"].counts == {}
    assert comparison.remarks == ["py-linear answered 50,000 gfn operations, then 20,000; not compared"]


def test_a_strategy_that_is_now_another_is_told() -> None:
    old, new = row("kvm-5.17", gfn()), row("kvm-5.17", gfn(), spec="gfn=rbtree,hva=interval-tree")
    assert compare(*pair(new, old_rows=(old,))).remarks == [
        "kvm-5.17 has changed: gfn=kvm-5.17,hva=kvm-5.17, then gfn=rbtree,hva=interval-tree"
    ]


def test_another_reference_is_told() -> None:
    comparison = compare(*pair(row("linear", gfn(9.0)), old_rows=(row("linear", gfn(10.0)),)))
    assert comparison.remarks == ["linear, the reference, does other work in gfn; ratios to it have changed as well"]


def test_json_holds_every_figure() -> None:
    printed = call(*slow_machine(), "--json")
    assert printed.return_value == 0
    found = json.loads(printed.stdout)
    assert (found["schema_version"], found["effect"], found["paired"]) == (5, 0.05, False)
    assert found["old"]["date"] < found["new"]["date"] == LATER
    sorted_ = next(s for s in found["strategies"] if s["strategy"] == "size-sorted")
    assert sorted_["state"] == "compared"
    ops = next(change for change in found["rows"]["gfn"] if change["name"] == "size-sorted")
    assert ops["operations"] == {"old": 1000, "new": 1000}
    assert ops["counts"]["compares"] == {"old": 10.0, "new": 10.0, "difference": 0.0, "relative": 0.0}
    time = ops["ns"]["throughput_hot"]
    assert time["verdict"] == "slower"
    assert time["ns"]["ratio"] == 4.0
    assert time["to_reference"] == {
        "old": {"median": 0.8, "low": 0.79, "high": 0.81},
        "new": {"median": 1.6, "low": 1.59, "high": 1.61},
        "ratio": 2.0,
        "least": 0.05,
        "blocks_apart": True,
        "verdict": "slower",
    }
    assert set(ops["ns"]) == {"throughput_hot"}
    assert found["rows"]["hva"] == []


def test_the_text_shows_both_measures_and_what_they_come_to() -> None:
    text = call(*slow_machine()).stdout
    assert "Counts: all 15 are the same." in text
    assert re.search(r"size-sorted +throughput hot +ns +8 \[7, 9\] +32 \[31, 33\] +4\.00 +slower", text)
    assert re.search(r"to linear +0\.8 \[0\.79, 0\.81\] +1\.6 \[1\.59, 1\.61\] +2\.00 +slower", text)
    assert re.search(r"to linear +0\.5 \[0\.49, 0\.51\] +0\.5 \[0\.48, 0\.52\] +1\.00 *\n", text)
    assert "to the reference, 1 slower, 0 faster, 1 without a verdict;" in text
    assert "in ns, without such a ratio, 1 slower, 0 faster, 0 without a verdict." in text
    assert "not paired" in text


def test_markdown_is_a_table() -> None:
    old, new = slow_machine()
    linear, rbtree, size_sorted = new.roles["gfn"]
    assert rbtree.figures is not None
    rbtree = replace(rbtree, figures=replace(rbtree.figures, hops=4.0))
    new = replace(new, roles={**new.roles, "gfn": (linear, rbtree, size_sorted)})
    text = call(old, new, "--markdown").stdout
    assert "| gfn | rbtree | hops | 3 | 4 | +1 | +33.3% |\n" in text
    assert "| size-sorted | throughput hot | ns | 8 [7, 9] | 32 [31, 33] | 4.00 | slower |\n" in text


def test_figures_that_differ_late_are_shown_to_differ() -> None:
    old, new = row("rbtree", gfn(6.98)), row("rbtree", gfn(6.98001))
    assert "| 6.98 | 6.98001 |" in call(*pair(new, old_rows=(old,)), "--markdown").stdout


def test_times_that_were_not_taken_are_not_left_out_aloud() -> None:
    rows = (row("linear", gfn()),)
    counted = {"counts_only": True}
    old = result(*rows, options=counted)
    text = call(old, result(*rows, date=LATER, options=counted, machine={"cpu": "Model B"})).stdout
    assert "left out" not in text
    assert "Times: none compared." in text


def test_the_effect_is_the_callers() -> None:
    roles = [{"gfn": RoleResult(1000, 5, 10, 3, 4, {"throughput_hot": t})} for t in (near(100), near(104))]
    runs = pair(row("linear", roles[1]), old_rows=(row("linear", roles[0]),))
    assert "slower, 0" not in call(*runs).stdout.replace("0 slower, 0", "")
    assert "1 slower, 0 faster" in call(*runs, "--effect", "4").stdout
    assert "differ by 4 % or more" in call(*runs, "--effect", "4").stdout


def near(median: float) -> Timing:
    return timing(median, median - 1, median + 1, AS_ONE)


@pytest.mark.parametrize("arguments", [["--json", "--markdown"], ["--effect", "nan"]])
def test_bad_usage(arguments: list[str]) -> None:
    assert isinstance(call(*slow_machine(), *arguments).exception, UsageError)
