"""The summary of a run: what is cheapest, by figures that can be calculated on paper."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from results import result, row
from rich.console import Console

from slotlookup.bench.results.document import document
from slotlookup.bench.results.export import to_markdown
from slotlookup.bench.results.model import RoleResult, RunResult, State, Timing
from slotlookup.bench.results.ranking import Cheapest, DecidedBy, Entry, by_counts, cheapest, ranks
from slotlookup.bench.results.screen import print_screen
from slotlookup.bench.results.statistics import Interval, median_interval, noise, ratio_interval
from slotlookup.bench.results.summary import ALL, mix_words, summarise
from slotlookup.bench.results.tables import print_tables
from slotlookup.vocabulary import Operation

# Six processes: everything drifts alike, so pairs stay comparable.
DRIFT = [1.0, 1.02, 0.98, 2.0, 2.04, 1.98]
EVENTS = {"gfn": 60, "hva": 30, "update": 10}
Counts = tuple[float | None, float | None, float | None, float | None]
COUNTS: Counts = (5.0, 10.0, 3.0, 4.0)


def figures(ns: float | None, counts: Counts = COUNTS) -> RoleResult:
    if ns is None:
        return RoleResult(100, *counts)
    samples = tuple(ns * d for d in DRIFT)
    timing = Timing(samples, median_interval(samples), ratio_interval(samples, [10.0 * d for d in DRIFT]))
    return RoleResult(100, *counts, ns={"throughput_hot": timing})


def roles(gfn: float, hva: float, update: float, **counts: Any) -> dict[str, RoleResult]:
    return {"gfn": figures(gfn, **counts), "hva": figures(hva, **counts), "update": figures(update, **counts)}


def run(*rows: Any, derived: str = "", control: Interval | None = None, **options: Any) -> RunResult:
    mix = {role: {"events": events, "derived": role == derived} for role, events in EVENTS.items()}
    return result(*rows, workload={"mix": mix}, control=control, options={"processes": 6, **options})


LINEAR = row("linear", roles(10, 20, 10))  # an event costs 6 + 6 + 1 = 13
TREE = row("rbtree", roles(5, 30, 20))  # 3 + 9 + 2 = 14
FAST = row("interval-tree", roles(5, 5, 20))  # 3 + 1.5 + 2 = 6.5


def text(found: RunResult, width: int = 80, tables: tuple[str, ...] = ()) -> str:
    console = Console(width=width, force_terminal=False, record=True, file=io.StringIO())
    print_screen(found, summarise(found), "Full tables: --all.", console)
    if tables:
        print_tables(found, tables, "cost", console)
    return console.export_text()


def test_costs_are_those_of_the_workloads_own_mix() -> None:
    summary = summarise(run(LINEAR, TREE, FAST))
    assert [one.strategies for one in summary.ranking] == [("interval-tree",), ("linear",), ("rbtree",)]
    medians = [one.cost.median for one in summary.ranking if one.cost]
    assert medians == pytest.approx([6.5 * 1.5, 13 * 1.5, 14 * 1.5])  # the middle two of the drift: 1.02 and 1.98
    ratios = [one.ratio.median for one in summary.ranking if one.ratio]
    assert ratios == pytest.approx([0.5, 1, 14 / 13])
    assert summary.sentences[0] == "Cheapest in all: interval-tree, 9.75 ms per million events, 0.50 of linear."
    assert "hva visits: interval-tree at 7.5 ns" in summary.sentences[1]
    assert "gfn lookups: rbtree and interval-tree tied at 7.5 ns" in summary.sentences[1]


def test_weights_that_are_given_replace_those_of_the_events() -> None:
    summary = summarise(run(LINEAR, TREE, FAST, mix={"update": 1.0}))
    assert summary.cheapest[ALL] == Cheapest("linear", ("linear",), DecidedBy.TIME)
    assert mix_words(summary.mix) == "given mix: 100% slot changes"


def test_derived_roles_say_so_and_the_rest_is_given_alone() -> None:
    found = run(LINEAR, TREE, derived="hva")
    summary = summarise(found)
    assert mix_words(summary.mix) == "mix: 60% gfn lookups, 30% hva visits (derived), 10% slot changes"
    # Of 70 own events, 60 cost 10 and 10 cost 10; of the tree's, 60 cost 5 and 10 cost 20.
    own = {one.strategies[0]: one.own.median for one in summary.ranking if one.own}
    assert own == pytest.approx({"linear": 10 * 1.5, "rbtree": 500 / 70 * 1.5})
    assert "hva visits (derived)" in summary.sentences[1]
    assert "recorded" in text(found) and "DERIVED" in text(found, tables=("hva",))
    assert "DERIVED" not in text(found, tables=("gfn",))


def test_a_difference_above_the_noise_is_named_on_any_machine() -> None:
    wild = Interval(1.0, 0.61, 1.64)
    entries = [Entry("linear", [10.0 * d for d in DRIFT]), Entry("rbtree", [2.3, 1.5, 4.9, 4.6, 4.7, 4.5])]
    # Ratios from 0.15 to 0.5: the highest is below 1 / 1.64.
    assert cheapest(entries, noise(wild)) == Cheapest("rbtree", ("rbtree",), DecidedBy.TIME)
    assert cheapest(entries, 1.5) == Cheapest(None, ("rbtree", "linear"), DecidedBy.NOTHING)


def test_ties_share_a_rank() -> None:
    entries = [Entry(str(ns), [ns * d for d in DRIFT]) for ns in (10, 10.5, 12, 12.1, 30)]
    assert ranks(entries, 0.1) == [1, 1, 3, 3, 5]
    assert ranks(entries, 0.0) == [1, 2, 3, 4, 5]
    found = run(LINEAR, row("sorted", roles(10, 20, 10)), FAST)
    assert summarise(found).places == ("1", "2=", "2=")


@pytest.mark.parametrize(
    ("counts", "winner"),
    [
        ({"a": (4.0, 2.0), "b": (5.0, 3.0)}, "a"),
        ({"a": (4.0, 3.0), "b": (5.0, 2.0)}, None),  # each is better in one
        ({"a": (4.0, 2.0), "b": (4.02, 2.01)}, None),  # the third digit
        ({"a": (4.0, 2.0), "b": (4.02, 2.5)}, "a"),
        ({"a": (4.0, 2.0), "b": (None, 1.0)}, None),  # one alone is no comparison
        ({"a": (4.0, 2.0), "b": (8.0, 2.0), "c": (1.0, None)}, "a"),
    ],
)
def test_lines_and_slots_examined_decide_together(
    counts: Mapping[str, tuple[float | None, float | None]], winner: str | None
) -> None:
    entries = [Entry(name, (), lines, examined) for name, (lines, examined) in counts.items()]
    assert by_counts(entries) == winner


def test_where_time_cannot_decide_counts_do_and_a_remedy_is_named() -> None:
    few = row("sorted", roles(10, 20, 10, counts=(2.0, 10.0, 3.0, 2.0)))
    first = summarise(run(LINEAR, few)).sentences[0]
    assert first.startswith("In all, linear and sorted are tied: they differ by less than the noise (0%);")
    assert "sorted is the cheapest of them by lines and slots examined" in first
    assert "--rigorous" in first and "--cpu" in first
    level = summarise(run(LINEAR, row("sorted", roles(10, 20, 10)))).sentences[0]
    assert "by lines" not in level and "--rigorous" in level


def test_compares_alone_decide_nothing() -> None:
    known = row("linear", {"gfn": figures(None, COUNTS)})
    unknown = row("mine", {"gfn": figures(None, (None, 1.0, None, None))})
    summary = summarise(run(known, unknown, counts_only=True))
    gfn = summary.cheapest["gfn"]
    assert gfn is not None and gfn.winner is None


def test_void_strategies_are_not_ranked_and_python_ones_only_alone() -> None:
    void, python = row("rbtree", {}, fault="wrong"), row("py-linear", roles(1, 1, 1), "python")
    summary = summarise(run(LINEAR, void, python))
    assert [one.strategies for one in summary.ranking] == [("linear",)]
    assert "rbtree is void: wrong" in text(run(LINEAR, void))
    assert summarise(run(void, python)).family == "python"
    assert "none is named the cheapest" in summarise(run(void)).sentences[0]
    json.dumps(document(run(void)))


def test_what_was_not_run_further_has_a_lower_bound_and_is_never_absent() -> None:
    found = run(FAST, LINEAR)
    cut = {str(role): found.roles[role] for role in Operation}
    last = dataclasses.replace(
        found.roles["gfn"][1], state=State.CUT, reason="not run further", figures=None, at_least_ns=500.0
    )
    found = dataclasses.replace(found, roles={**cut, "gfn": (found.roles["gfn"][0], last)})
    summary = summarise(found)
    # 60 of 100 events cost 500 or more; the others 20 and 10 at the drift's median.
    assert summary.ranking[-1].strategies == ("linear",)
    assert summary.ranking[-1].at_least == pytest.approx(300 + 7 * 1.5)
    shown = text(found, tables=("gfn",))
    assert "≥ 310" in shown and "not run further" in shown
    assert "at least 310" in to_markdown([found])


def test_the_first_screen_fits_24_lines_of_80_columns() -> None:
    rows = [LINEAR, TREE, FAST, *(row(f"structure-{i}", roles(i, 5, 20)) for i in range(4, 30))]
    rows += [row("kvm-5.17", roles(100, 100, 100))]
    for found in (run(*rows), run(*rows, derived="hva"), run(*rows, counts_only=True), run(*rows[:2])):
        lines = text(found).splitlines()
        assert len(lines) <= 23
        assert max(len(line.rstrip()) for line in lines) <= 80
    shown = text(run(*rows))
    assert "linear (reference)" in shown and "kvm-5.17" in shown and "interval-tree" in shown
    assert "Cheapest in all" in shown and "Cheapest in each role" in shown and "Full tables" in shown


def test_markdown_and_json_answer_first() -> None:
    found = run(LINEAR, TREE, FAST)
    markdown = to_markdown([found])
    assert markdown.index("Cheapest in all: interval-tree") < markdown.index("**gfn lookups**")
    assert "| interval-tree | 1 | 9.75 " in markdown
    summary = document(found)["summary"]
    assert [one["strategies"] for one in summary["ranking"]] == [["interval-tree"], ["linear"], ["rbtree"]]
    assert summary["cheapest"]["all"] == {"winner": "interval-tree", "tied": ["interval-tree"], "by": "time"}


def test_noise_counts_both_ways() -> None:
    assert noise(Interval(1.0, 0.8, 1.1)) == pytest.approx(0.25)
    assert noise(Interval(1.0, 0.95, 1.1)) == pytest.approx(0.1)
    assert noise(Interval(1.25, None, None)) == pytest.approx(0.25)
    assert noise(None) == 0


def test_the_noise_of_native_strategies_is_not_that_of_python_ones() -> None:
    noisy = run(LINEAR, control=Interval(1.0, 0.8, 1.1))
    assert noisy.noise("native", "gfn", "throughput_hot") == pytest.approx(0.25)
    assert noisy.noise("native", "gfn", "latency_hot") == noisy.noise("native", "hva", "throughput_hot") == 0
    assert noisy.noise("python", "gfn", "throughput_hot") == 0
    # Of the 13 that an event costs the reference, 6 are lookups.
    assert summarise(noisy).noise == pytest.approx(0.25 * 6 / 13)
