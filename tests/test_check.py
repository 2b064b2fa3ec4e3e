"""The gate: passes and regressions, the file that an update writes, and the exit codes of the console script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from checking import BASELINE, CONFIG, call, code, edit, gfn_of, settle, update

from slotlookup import registry
from slotlookup.address import HOLE
from slotlookup.bench.gate import suite
from slotlookup.bench.gate.baseline import read_baseline, to_text
from slotlookup.bench.gate.judge import Verdict, allowed, judge
from slotlookup.config.settings import Tolerance
from slotlookup.structure import Costs, Family, Preset, PythonStructure, RangeIndex
from slotlookup.trace import Trace, gfn_events, write_trace
from slotlookup.vocabulary import Count, Operation


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


def test_the_baseline_holds_totals_as_counted_by_hand() -> None:
    update()
    held = json.loads(BASELINE.read_text())
    # As in test_run.py: lookups examine 1, 1, 2, 2, 3, 3, 3 slots, then, with a fourth slot, 4 and 4.
    assert gfn_of(held)["slots_examined"] == 23
    assert gfn_of(held)["operations"] == 9
    small = held["workloads"]["small"]
    assert (small["slots"], small["events"], small["seed"], small["name"]) == (4, 12, 0, "./small.parquet")
    assert held["placement"] == "packed"


def test_the_baseline_is_made_for_diffs() -> None:
    update()
    text = BASELINE.read_text()
    lines = text.splitlines()
    assert len([line for line in lines if '"operations"' in line]) == 2 * 3

    def in_order(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert pairs == sorted(pairs, key=lambda pair: pair[0])
        return dict(pairs)

    json.loads(text, object_pairs_hook=in_order, parse_float=lambda number: pytest.fail(f"{number} is no integer"))
    assert to_text(read_baseline(BASELINE)) == text


def test_what_is_unchanged_passes() -> None:
    update()
    result = call()
    assert code(result) == 0
    assert "All 24 compared figures equal slotlookup-baseline.json." in result.stdout


def test_an_update_without_change_writes_the_same_bytes() -> None:
    update()
    before = BASELINE.read_bytes()
    result = call("--update")
    assert BASELINE.read_bytes() == before
    assert "is up to date" in result.stdout


def test_one_compare_more_is_a_regression() -> None:
    update()
    edit(lambda held: gfn_of(held).update(compares=gfn_of(held)["compares"] - 1))
    result = call()
    assert code(result) == 3
    (row,) = [line for line in result.stdout.splitlines() if "regression" in line]
    assert row.split()[:4] == ["small", "linear", "gfn", "compares"]
    assert "1 of 24 figures is above the limit of slotlookup-baseline.json." in result.stdout


def test_what_became_cheaper_passes_and_says_that_the_baseline_is_stale() -> None:
    update()
    edit(lambda held: gfn_of(held).update(compares=gfn_of(held)["compares"] + 1))
    result = call()
    assert code(result) == 0
    assert "cheaper" in result.stdout
    assert "slotlookup-baseline.json is out of date; `slotlookup check --update` stores" in result.stdout


class Scan(RangeIndex):
    """A list, scanned. `extra` is how many key comparisons a lookup makes for nothing."""

    extra = 0
    wrong = False

    def __init__(self) -> None:
        self.held: list[tuple[int, int, int]] = []

    def insert(self, start: int, last: int, number: int) -> None:
        self.held.append((start, last, number))

    def remove(self, start: int, last: int, number: int) -> None:
        self.held.remove((start, last, number))

    def find(self, point: int) -> int:
        for _ in range(self.extra):
            _ = point <= point
        if self.wrong and point == 3:
            return HOLE
        return next((n for s, e, n in self.held if s <= point <= e), HOLE)

    def visit(self, start: int, last: int) -> Iterable[int]:
        return [n for s, e, n in self.held if s <= last and start <= e]

    def check(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self.held)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> type[Scan]:
    """A strategy of the test's own, checked beside linear."""

    class Planted(Scan):
        pass

    structure = PythonStructure("planted", "a test's", Costs("?", "?", "?"), "a test", Planted)
    known = {**registry.structures(), "planted": structure}
    monkeypatch.setattr(registry, "structures", lambda: known)
    Path("slotlookup.toml").write_text(CONFIG.replace('"rbtree"', '"planted"'))
    return Planted


def test_a_structure_slowed_by_one_comparison_is_a_regression(planted: type[Scan]) -> None:
    update()
    before = gfn_of(json.loads(BASELINE.read_text()), "planted")["compares"]
    assert code(call()) == 0
    planted.extra = 1
    result = call("--format", "json")
    assert code(result) == 3
    (row,) = [row for row in json.loads(result.stdout)["counts"] if row["verdict"] == "regression"]
    assert (row["strategy"], row["role"], row["metric"]) == ("planted", "gfn", "compares")
    # One for each of the nine lookups.
    assert (row["baseline"], row["now"]) == (before, before + 9)
    assert "gfn compares" in result.stderr or "1 of" in result.stderr


def test_a_native_preset_that_takes_another_structure_is_a_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    def plant(spec: str) -> None:
        known = {**registry.presets(), "mine": Preset("mine", spec, "a test's", "a test")}
        monkeypatch.setattr(registry, "presets", lambda: known)

    Path("slotlookup.toml").write_text(CONFIG.replace('"rbtree"', '"mine"'))
    plant("gfn=linear,hva=linear")
    update()
    plant("gfn=linear,hva=linear,unaliased")
    assert code(call()) == 3


def test_a_wrong_answer_comes_before_everything(planted: type[Scan]) -> None:
    update()
    edit(lambda held: gfn_of(held).update(compares=0))
    edit(lambda held: held["workloads"].update(other=held["workloads"]["small"]))
    planted.wrong = True
    result = call()
    assert code(result) == 1
    # gfn 3 is the last page of slot 0.
    assert "small: planted: gfn lookup 1 (0x3): answered slot -1; the right answer is 0" in str(result.exception)
    assert "regression" in result.stdout


def test_wrong_answers_are_never_written(planted: type[Scan]) -> None:
    planted.wrong = True
    assert code(call("--update")) == 1
    assert not BASELINE.exists()
    planted.wrong = False
    update()
    before = BASELINE.read_bytes()
    planted.wrong = True
    planted.extra = 1
    assert code(call("--update")) == 1
    assert BASELINE.read_bytes() == before


def test_a_regression_comes_before_what_cannot_be_compared() -> None:
    update()
    edit(lambda held: gfn_of(held).update(compares=0))
    edit(lambda held: held["workloads"]["small"]["strategies"].pop("rbtree"))
    result = call()
    assert code(result) == 3
    assert "Not compared: strategy 'rbtree' is not in the baseline." in result.stdout


def test_another_seed_asked_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    update()
    monkeypatch.setenv("SLOTLOOKUP_SEED", "5")
    result = call()
    assert code(result) == 4
    assert "workload 'small' differs: seed was 0 in the baseline and is 5 now" in str(result.exception)


def test_the_baseline_lies_beside_the_file_that_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    update()
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert code(call()) == 0


def test_another_baseline_can_be_given() -> None:
    assert code(call("--update", "--baseline", "other.json")) == 0
    assert not BASELINE.exists()
    assert code(call("--baseline", "other.json")) == 0
    assert code(call()) == 4


def test_an_update_replaces_what_cannot_be_read() -> None:
    BASELINE.write_text("{}")
    update()
    assert code(call()) == 0


def test_an_update_shows_what_moved() -> None:
    update()
    edit(lambda held: gfn_of(held).update(compares=1))
    result = call("--update")
    assert code(result) == 0
    assert "regression" in result.stdout and "written, 6 groups of figures" in result.stdout
    assert code(call()) == 0


def test_an_update_that_cannot_be_written_is_one_line() -> None:
    result = call("--update", "--baseline", "no/dir/x.json")
    assert code(result) == 2
    assert "cannot be written" in str(result.exception)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("strategies = []", "check.strategies: there is no strategy to check"),
        ("workloads = []", "check.workloads: there is no workload to check"),
        ("workloads = ['two-slot', 'two-slot']", "two workloads are called 'two-slot'; give one a label"),
        (
            "workloads = ['two-slott']",
            "check.workloads.0.name: no workload is called 'two-slott'; did you mean 'two-slot'",
        ),
        ("strategies = ['linear', 'rbtre']", "check.strategies.1: strategy 'rbtre': no strategy is called 'rbtre'"),
        ("workloads = [{name='microvm-1G', slots=7}]", "check.workloads.0: workload 'microvm-1G'"),
        ("workloads = ['./none.parquet']", "no such file"),
        (
            "workloads = ['one-slot']\ntolerances = [{strategy='lineal', percent=5}]",
            "check.tolerances.0.strategy: no strategy that is checked matches 'lineal'; did you mean 'linear'?",
        ),
        (
            "workloads = ['one-slot']\ntolerances = [{workload='two*', percent=5}]",
            "check.tolerances.0.workload: no workload that is checked matches 'two*'",
        ),
    ],
)
def test_a_suite_that_cannot_be_is_bad_usage(check: str, words: str) -> None:
    Path("slotlookup.toml").write_text(f"[check]\n{check}\n")
    for arguments in ((), ("--update",)):
        result = call(*arguments)
        assert code(result) == 2
        assert words in str(result.exception)
        assert "slotlookup.toml: " in str(result.exception)
        assert "\n" not in str(result.exception)


def test_a_workload_that_asks_nothing_is_refused() -> None:
    write_trace(Trace("nothing", (), gfn_events([])), "small.parquet")
    assert "no questions" in str(call("--update").exception)


def test_no_native_strategies_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("slotlookup.toml").unlink()
    monkeypatch.setattr(suite, "native_strategies", tuple)
    result = call("--update")
    assert code(result) == 2
    assert "there is no strategy to check" in str(result.exception)


@pytest.mark.parametrize(
    ("baseline", "now", "tolerance", "verdict"),
    [
        (20, 20, 0.0, Verdict.SAME),
        (20, 19, 0.0, Verdict.CHEAPER),
        (20, 21, 0.0, Verdict.REGRESSION),
        (20, 21, 5.0, Verdict.TOLERATED),
        (20, 22, 5.0, Verdict.REGRESSION),
        (1000, 1003, 0.3, Verdict.TOLERATED),
        (1000, 1004, 0.3, Verdict.REGRESSION),
        (0, 1, 100.0, Verdict.REGRESSION),
        (0, 0, 0.0, Verdict.SAME),
        (2**60, 2**60 + 1, 0.0, Verdict.REGRESSION),
    ],
)
def test_totals_are_judged_exactly(baseline: int, now: int, tolerance: float, verdict: Verdict) -> None:
    assert judge(baseline, now, tolerance) is verdict


def test_the_last_tolerance_that_matches_holds() -> None:
    tolerances = (
        Tolerance(percent=1),
        Tolerance(strategy="kvm-*", percent=5),
        Tolerance(strategy="kvm-*", role=Operation.GFN, metric=Count.LINES, workload="syn*", percent=10),
    )
    assert allowed(tolerances, "two-slot", "linear", "gfn", "lines") == 1
    assert allowed(tolerances, "two-slot", "kvm-5.17", "gfn", "lines") == 5
    assert allowed(tolerances, "synthetic-same", "kvm-5.17", "gfn", "lines") == 10
    assert allowed(tolerances, "synthetic-same", "kvm-5.17", "hva", "lines") == 5
    assert allowed((), "x", "y", "gfn", "lines") == 0


def test_a_tolerance_lets_through_what_it_names_and_no_more() -> None:
    update()
    tolerance = '[[check.tolerances]]\nstrategy = "lin*"\nrole = "gfn"\nmetric = "slots_examined"\npercent = 5\n'
    Path("slotlookup.toml").write_text(CONFIG + tolerance)
    # 23 is 4.5 % above 22, 9.5 % above 21.
    edit(lambda held: gfn_of(held).update(slots_examined=22))
    result = call()
    assert code(result) == 0
    assert "tolerated (5 %)" in result.stdout
    edit(lambda held: gfn_of(held).update(slots_examined=21))
    assert code(call()) == 3


def console_script(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    script = Path(sysconfig.get_path("scripts")) / "slotlookup"
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_exit_codes_of_the_console_script() -> None:
    missing = console_script("check", "--no-verify")
    assert (missing.returncode, missing.stdout) == (4, "")
    assert missing.stderr.count("\n") == 1 and missing.stderr.startswith("slotlookup: ")
    assert console_script("check", "--update").returncode == 0
    assert console_script("check", "--no-verify").returncode == 0
    edit(lambda held: gfn_of(held).update(hops=0))
    assert console_script("check", "--no-verify").returncode == 3
    assert console_script("check", "--no-verify", "--format", "junit").returncode == 3
    assert console_script("check", "--format", "yaml").returncode == 2


def test_the_same_baseline_from_every_process() -> None:
    """All native strategies, with strings hashed in two ways."""
    Path("slotlookup.toml").write_text('[check]\nworkloads = ["two-slot", "q35-2G-dynamic"]\n')
    for seed in ("1", "2"):
        done = console_script("check", "--no-verify", "--update", "--baseline", f"{seed}.json", PYTHONHASHSEED=seed)
        assert done.returncode == 0, done.stderr
    assert Path("1.json").read_bytes() == Path("2.json").read_bytes()
    names = read_baseline(Path("1.json")).workloads["two-slot"].strategies
    native = [name for name in registry.strategy_names() if registry.family_of(name) is Family.NATIVE]
    assert sorted(names) == sorted(native)
