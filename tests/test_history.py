"""The history of a project's runs: what is kept, which runs are comparable, and that no change goes unnamed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from results import gfn, result, row, timing

from slotlookup.bench.cli import cli
from slotlookup.bench.history.entries import Entry, add, entry_of, read_history
from slotlookup.bench.history.series import series_of
from slotlookup.bench.report.figures import make_figures
from slotlookup.bench.report.sources import Sources
from slotlookup.bench.results.document import to_json
from slotlookup.bench.results.model import RunResult, State
from slotlookup.bench.results.statistics import Interval
from slotlookup.errors import InputFileError


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["history", *map(str, words)], standalone_mode=False)


def run(day: int, ns: float = 20.0, compares: float = 10.0, **more: Any) -> RunResult:
    """Linear at 20 ns, rbtree as given."""
    other = timing(ns, ns * 0.99, ns * 1.01, (ns / 20, ns / 20.2, ns / 19.8))
    linear = row("linear", gfn(throughput_hot=timing(20.0, 19.9, 20.1)))
    rows = [linear, row("rbtree", gfn(compares, throughput_hot=other))]
    return result(*rows, date=f"2026-03-{day:02}T10:00:00.000Z", **more)


def entries(*runs: RunResult) -> list[Entry]:
    return [entry_of(one, f"commit-{i}", f"subject {i}", changed=False) for i, one in enumerate(runs)]


def sentences(*runs: RunResult) -> list[str]:
    (series,) = series_of(entries(*runs))
    return [step.sentence for step in series.steps()]


def test_equal_runs_changed_nothing_and_say_so() -> None:
    assert sentences(run(1), run(2)) == [
        "commit-0 → commit-1: no count, no row and no state changed; no time beyond noise and effect."
    ]
    untimed = {"counts_only": True}
    (words,) = sentences(run(1, options=untimed), run(2, options=untimed))
    assert words.endswith("nothing was timed.")


def test_what_changed_is_named() -> None:
    (words,) = sentences(run(1), run(2, ns=30.0, compares=12.0))
    assert (
        words == "commit-0 → commit-1: gfn lookups, rbtree: compares 10 → 12; gfn lookups, rbtree: slower by 1.50 (ns)."
    )
    (words,) = sentences(run(1, ns=30.0), run(2))
    assert "gfn lookups, rbtree: faster by 0.67 (ns)" in words
    # 4 % is below the effect, and 50 % below the noise
    assert "no time beyond noise" in sentences(run(1), run(2, ns=20.8))[0]
    noisy = Interval(1.0, 0.4, 2.5)
    assert "no time beyond noise" in sentences(run(1, control=noisy), run(2, ns=30.0, control=noisy))[0]


def test_absent_void_and_new_rows_are_named() -> None:
    with_void = run(2)
    rows = tuple(
        replace(one, state=State.VOID, reason="a wrong answer", figures=None) if one.name == "rbtree" else one
        for one in with_void.roles["gfn"]
    )
    void = replace(with_void, roles={**with_void.roles, "gfn": rows})
    assert "gfn lookups, rbtree: verified, then void (a wrong answer)" in sentences(run(1), void)[0]
    without = replace(with_void, roles={**with_void.roles, "gfn": with_void.roles["gfn"][:1]})
    assert "gfn lookups, no longer there: rbtree" in sentences(run(1), without)[0]
    assert "gfn lookups, new: rbtree" in sentences(without, run(3))[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"machine": {"cpu": "Model B"}}, "another CPU: Model B, not Model A"),
        ({"machine": {"kernel": "6.2.0"}}, "another kernel: 6.2.0, not 6.1.0"),
        ({"machine": {"flags": "-O3"}}, "another flags: -O3, not -O2"),
        (
            {"workload": {"name": "other", "fingerprint": "ff"}},
            "another workload: other, 4 slots, 12 events, not",
        ),
        ({"workload": {"fingerprint": "ff"}}, "another fingerprint: ff, not 0123456789abcdef"),
        ({"options": {"placement": "slab"}}, "another placement: slab, not packed"),
        ({"options": {"stride": 256}}, "another stride: 256, not 0"),
    ],
)
def test_what_is_not_comparable_is_a_series_of_its_own(more: dict[str, Any], words: str) -> None:
    first, second = series_of(entries(run(1), run(2, ns=99.0, **more), run(3)))
    assert [entry.commit for entry in first.entries] == ["commit-0", "commit-2"]
    assert not first.apart and words in second.apart
    assert list(second.steps()) == []


def test_python_rows_of_another_python_are_not_compared() -> None:
    slow = timing(900.0, 890.0, 910.0)
    runs = [
        result(row("py-linear", gfn(throughput_hot=slow), "python"), date=f"2026-03-0{i}", machine={"python": version})
        for i, version in ((1, "CPython 3.11.7"), (2, "CPython 3.13.0"))
    ]
    (words,) = sentences(*runs)
    assert "Python CPython 3.11.7, then CPython 3.13.0" in words and "not compared" in words


def test_a_run_comes_back_as_it_was_added(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    one, two = entries(run(2), run(1, ns=30.0))
    for entry in (one, two):
        path = add(folder, entry)
        assert json.loads(path.read_text())["history"] == 1
    assert read_history(folder) == [two, one]  # by date
    with pytest.raises(InputFileError, match=r"has the run of 2026-03-02T10:00:00\.000Z already, as commit-0"):
        add(folder, replace_commit(one))
    assert len(list(folder.iterdir())) == 2


def replace_commit(entry: Entry) -> Entry:
    return entry.model_copy(update={"commit": "another"})


def test_the_commit_is_that_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = tmp_path / "run.json"
    saved.write_text(to_json(run(1)))
    outcome = call("add", saved)
    assert "git knows no commit here; give --label NAME instead" in str(outcome.exception)
    assert not (tmp_path / "slotlookup-history").exists()

    def git(*words: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", "run.json")
    git("commit", "-q", "-m", "The first")
    commit = git("rev-parse", "HEAD")
    assert call("add", saved).exception is None
    (entry,) = read_history(tmp_path / "slotlookup-history")
    assert (entry.commit, entry.subject, entry.changed) == (commit, "The first", False)
    saved.write_text(to_json(run(2)))  # the work tree differs from the commit now
    assert call("add", saved).exception is None
    assert read_history(tmp_path / "slotlookup-history")[1].label == f"{commit[:10]}+"
    assert "git knows no commit 'nosuch'" in str(call("add", saved, "--commit", "nosuch").exception)
    shown = call("show").stdout
    assert f"{commit[:10]} " in shown and "The first" in shown and "no count, no row" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not a run of a history"), ("{}", "not a run of a history: history"), ('{"history": 2}', "history")],
)
def test_a_file_that_is_no_entry_is_refused_in_one_line(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    outcome = call("show", "--folder", tmp_path)
    assert words in str(outcome.exception) and "\n" not in str(outcome.exception)
    assert isinstance(outcome.exception, InputFileError) and outcome.exception.exit_code == 2


def test_a_folder_without_runs_says_how_to_add_one(tmp_path: Path) -> None:
    assert "slotlookup history add RESULT.json" in str(call("show", "--folder", tmp_path).exception)
    assert "cannot be read" in str(call("show", "--folder", tmp_path / "none").exception)


def test_the_report_draws_each_figure_over_the_runs_with_its_noise() -> None:
    control = Interval(1.0, 0.9, 1.1)
    series = series_of(entries(run(1, control=control), run(2, ns=30.0)))
    (chart,) = make_figures(Sources(history=series)).charts
    rows = [one for one in chart.rows if one["metric"] == "throughput_hot" and one["strategy"] == "rbtree"]
    assert [one["run"] for one in rows] == ["1. commit-0", "2. commit-1"]
    noise = series[0].entries[0].noise["gfn"]["throughput_hot"]
    assert noise > 0
    assert rows[0]["low"] == pytest.approx(20 * 0.99 / (1 + noise)) and rows[1]["low"] == pytest.approx(30 * 0.99)
    assert rows[0]["high"] == pytest.approx(20 * 1.01 * (1 + noise))
