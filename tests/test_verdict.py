"""The closing sentence: the strategy named the cheapest, and when none is named."""

from __future__ import annotations

import pytest

from slotlookup.bench.results.model import RoleResult, Row, RunResult, State, Timing
from slotlookup.bench.results.statistics import Interval, median_interval, noise, ratio_interval
from slotlookup.bench.results.verdict import closing_sentence, significant, what_rows_are

# Twelve rounds on a machine that slows down half way: everything drifts alike, so pairs stay comparable.
DRIFT = [1.0, 1.01, 0.99, 1.0, 1.02, 1.0, 2.0, 2.02, 1.98, 2.0, 2.04, 2.0]


def row(name: str, ns: float, *, family: str = "native", fault: str | None = None) -> Row[RoleResult]:
    samples = tuple(ns * d for d in DRIFT)
    base = [10.0 * d for d in DRIFT]
    timing = Timing(samples, median_interval(samples), ratio_interval(samples, base))
    figures = RoleResult(12, ns={"throughput_hot": timing})
    state = State.VERIFIED if fault is None else State.VOID
    return Row(name, name, family, (name,), name, state, fault, figures if fault is None else None)


def run(*rows: Row[RoleResult], control: Interval | None = None) -> RunResult:
    measured = {"gfn": {"throughput_hot": control}} if control else {}
    references = {"native": "linear", "python": "py-linear"}
    return RunResult({}, {}, {}, references, (), {"gfn": rows, "hva": (), "update": ()}, control=measured)


def test_the_cheapest_is_named_with_its_lead() -> None:
    sentence = closing_sentence(run(row("linear", 10.0), row("rbtree", 8.0), row("interval-tree", 16.0)))
    # The middle two of the drift are 1.02 and 1.98, so a base of 8 has the median 8 * 1.5.
    assert (
        sentence == "Cheapest here: for gfn lookups, rbtree at 12 ns, 0.80 of linear (1.25 times cheaper than linear)."
    )


def test_equals_are_reported_as_tied() -> None:
    sentence = closing_sentence(run(row("linear", 10.0), row("rbtree", 8.0), row("kvm-5.17", 8.0)))
    assert "rbtree at 12 ns" in sentence
    assert "(tied with kvm-5.17)" in sentence


def test_of_many_equals_the_nearest_are_named() -> None:
    rows = [row("linear", 10.0), row("rbtree", 8.0), *(row(name, 8.0) for name in "abcdef")]
    assert "(tied with a, b, c and 3 others)" in closing_sentence(run(*rows))
    assert "(tied with a, b, c and d)" in closing_sentence(run(*rows[:6]))


def test_a_lead_smaller_than_the_noise_is_no_lead() -> None:
    quiet, noisy = Interval(1.0, 0.99, 1.01), Interval(1.05, 0.98, 1.12)
    rows = row("linear", 10.0), row("rbtree", 9.2)
    assert "times cheaper than linear" in closing_sentence(run(*rows, control=quiet))
    assert "(tied with linear)" in closing_sentence(run(*rows, control=noisy))


def test_on_a_wild_machine_nobody_is_named() -> None:
    sentence = closing_sentence(run(row("linear", 10.0), row("rbtree", 1.0), control=Interval(1.0, 0.7, 1.4)))
    assert "too noisy to decide (identical work differed by 43%)" in sentence
    assert "rbtree" not in sentence


def test_noise_counts_both_ways() -> None:
    assert noise(Interval(1.0, 0.8, 1.1)) == pytest.approx(0.25)
    assert noise(Interval(1.0, 0.95, 1.1)) == pytest.approx(0.1)
    assert noise(Interval(1.25, None, None)) == pytest.approx(0.25)
    assert noise(None) == 0


def test_the_noise_of_native_strategies_is_not_that_of_python_ones() -> None:
    noisy = run(control=Interval(1.0, 0.8, 1.1))
    assert noisy.noise("native", "gfn", "throughput_hot") == pytest.approx(0.25)
    assert noisy.noise("native", "gfn", "latency_hot") == noisy.noise("native", "hva", "throughput_hot") == 0
    assert noisy.noise("python", "gfn", "throughput_hot") == 0


def test_void_and_python_rows_win_nothing() -> None:
    rows = row("linear", 10.0), row("broken", 1.0, fault="wrong"), row("py-linear", 0.5, family="python")
    sentence = closing_sentence(run(*rows))
    assert "linear at" in sentence and "broken" not in sentence and "py-linear" not in sentence
    assert "among Python strategies: for gfn lookups, py-linear" in closing_sentence(run(rows[2]))
    assert "none is named the cheapest" in closing_sentence(run(rows[1]))


def test_without_times_all_that_tie_are_named() -> None:
    def counted(name: str, compares: float) -> Row[RoleResult]:
        return Row(name, name, "native", (name,), name, figures=RoleResult(12, compares=compares))

    sentence = closing_sentence(run(counted("linear", 3.0), counted("rbtree", 2.0), counted("kvm-5.17", 2.0)))
    assert sentence == "Cheapest here: for gfn lookups, by compares alone, rbtree and kvm-5.17 with 2 each."


def test_rows_say_what_they_serve_where_their_names_do_not() -> None:
    assert what_rows_are([("linear", "linear", ["linear"])]) == ""
    rows = [
        ("interval-tree", "interval-tree", ["eytzinger", "interval-tree", "vhost"]),
        ("rbtree", "rbtree", ["gfn=rbtree,hva=linear"]),
        ("crosvm", "linear,update=copy", ["crosvm", "rust-vmm"]),
        ("kvm-5.17", "interval-tree,update=two-sets", ["kvm-5.17"]),
    ]
    assert what_rows_are(rows) == (
        "interval-tree also serves eytzinger and vhost; rbtree serves gfn=rbtree,hva=linear; "
        "crosvm uses linear,update=copy, as does rust-vmm; kvm-5.17 uses interval-tree,update=two-sets."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0, "0"),
        (0.2512, "0.251"),
        (29.13, "29.1"),
        (999.6, "1,000"),
        (1234.5, "1,234"),
        (-7.26, "-7.26"),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert significant(value) == text
