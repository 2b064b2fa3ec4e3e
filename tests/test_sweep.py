"""The sweep as users see it: figures, tables, resuming after any interruption, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from results import MACHINE
from sweep_points import options, point, role

from slotlookup.bench.commands import sweep as sweep_command
from slotlookup.bench.measure import passes as bench_passes
from slotlookup.bench.results.document import document
from slotlookup.bench.results.load import load_result
from slotlookup.bench.results.model import SCHEMA_VERSION as RUN_SCHEMA_VERSION
from slotlookup.bench.sweep import file as sweep_file
from slotlookup.bench.sweep import points as bench_sweep
from slotlookup.bench.sweep.parallel import sweep_in_parallel
from slotlookup.errors import InputFileError
from slotlookup.memslots import USER_SLOTS

BASE = ("synthetic-uniform", "-s", "linear", "-s", "rbtree", "--quick", "--counts-only")
SLOTS = ("--slots", "4,1,2,2")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests look at figures, not at their precision; and no configuration of the surroundings may reach them."""
    monkeypatch.setattr(bench_passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(bench_passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.setattr(bench_sweep, "LEAST_EVENTS", 500)
    monkeypatch.setitem(bench_sweep.EFFORTS, "quick", bench_sweep.Effort(0.0, 500, 500))
    monkeypatch.setattr(sweep_command, "describe_machine", lambda: dict(MACHINE))
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(sweep_command.command, list(arguments), standalone_mode=False)


def found(*arguments: str) -> Any:
    result = call(*arguments, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def without_place(document: dict[str, Any]) -> dict[str, Any]:
    """A sweep's JSON without what tells when it was measured."""
    for run in document["points"]:
        del run["machine"]
    return document


class Planted:
    """Measures as usual, and raises what was planted instead of the k-th point (from 0)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, k: int, error: type[BaseException]) -> None:
        self.measured: list[int] = []
        real = bench_sweep.measure

        def measure(given: Any, slots: int, *rest: Any) -> Any:
            if len(self.measured) == k:
                raise error
            self.measured.append(slots)
            return real(given, slots, *rest)

        monkeypatch.setattr(bench_sweep, "measure", measure)


def test_json_has_every_run_and_counts_by_hand() -> None:
    sweep = found(*BASE, *SLOTS)
    assert set(sweep) == {"schema_version", "machine", "options", "slots", "points", "cheapest", "crossovers"}
    assert sweep["slots"] == [1, 2, 4]
    assert [run["workload"]["slots"] for run in sweep["points"]] == [1, 2, 4]
    for slots, run in zip(sweep["slots"], sweep["points"], strict=True):
        linear, rbtree = run["roles"]["hva"]
        assert (linear["name"], rbtree["name"]) == ("linear", "rbtree")
        # A linear visit looks at every slot, and deleting and creating one compares nothing but ids.
        assert linear["figures"]["slots_examined"] == slots
        assert linear["figures"]["ns"]["throughput_hot"] is None
    place = {"family": "native", "role": "gfn", "metric": "compares"}
    best = [c for c in sweep["cheapest"] if place.items() <= c.items()]
    # With one slot, both compare twice: its start and its end.
    assert best[0] == {**place, "slots": 1, "best": "linear", "level": ["rbtree"]}


def test_a_point_states_the_slots_asked_for_where_its_events_end_before_all_are_there() -> None:
    run = found("hotplug", "-s", "linear", "--quick", "--counts-only", "--slots", "8")["points"][0]
    assert run["workload"]["slots"] == 8


def test_a_point_is_a_result_of_a_run() -> None:
    sweep = found("-s", "linear", "--quick", "--slots", "2")
    Path("point.json").write_text(json.dumps(sweep["points"][0]))
    assert document(load_result(Path("point.json"))) == sweep["points"][0]


def test_times_are_those_asked_for() -> None:
    sweep = found("-s", "linear", "--quick", "--slots", "2", "--timing", "latency_hot")
    point = sweep["points"][0]
    gfn, update = (point["roles"][role][0]["figures"]["ns"] for role in ("gfn", "update"))
    assert point["options"]["timings"] == ["latency_hot"]
    assert gfn["latency_hot"]["median"] > 0
    assert gfn["throughput_hot"] is None
    assert update["latency_hot"] is None
    assert {c["metric"] for c in sweep["cheapest"]} == {"latency_hot", "slots_examined", "compares", "hops", "lines"}


def test_by_default_native_strategies_are_swept() -> None:
    sweep = found("--counts-only", "--quick", "--slots", "1")
    families = {one["strategy"]: one["family"] for one in sweep["points"][0]["strategies"]}
    assert next(iter(families)) == "linear"
    assert set(families.values()) == {"native"}
    assert {"rbtree", "kvm-5.17"} <= set(families)


def test_tables_fold_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ("linear", "rbtree", "gfn=rbtree,hva=interval-tree,cache=last-used", "size-sorted", "kvm-5.17", "py-linear")
    result = call(*SLOTS, "--counts-only", "--quick", *(word for name in names for word in ("-s", name)))
    assert result.exception is None
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for words in ("gfn lookups, native", "gfn lookups, python", "hva visits, native", "slot changes, native"):
        assert any(line.startswith(words) for line in lines)
    assert "Cheapest by compares:" in result.stdout


def timed(costs: dict[str, Callable[[int], float]]) -> Callable[..., dict[str, Any]]:
    """A `measure` in which a lookup of each strategy costs what its function of the slot count says."""

    def measure(given: Any, slots: int, *rest: Any) -> dict[str, Any]:
        return point(slots, {name: {"gfn": role(cost(slots))} for name, cost in costs.items()})

    return measure


def test_the_verdict_and_the_crossovers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # 2, 8, 32 against 16, 16, 16: ratios 1/8, 1/2, 2, so they cross half way between 4 and 16.
    monkeypatch.setattr(bench_sweep, "measure", timed({"linear": lambda n: 2.0 * n, "rbtree": lambda n: 16.0}))
    result = call("-s", "linear", "-s", "rbtree", "--slots", "1,4,16", "--quick")
    assert result.return_value == 0, result.exception
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "1 2* 16" in lines
    assert "16 32 16*" in lines
    assert "linear rbtree 8.0 8 to 8 4 and 16" in lines
    assert "gfn lookups, native: up to 4 slots linear; at 16 slots rbtree." in lines


def test_a_wrong_answer_fails_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(given: Any, slots: int, *rest: Any) -> dict[str, Any]:
        made = point(slots, {"linear": {"gfn": role(1.0)}, "rbtree": {"gfn": role(2.0)}})
        if slots == 4:
            void = {"state": "void", "reason": "lookup 7"}
            made["strategies"][1] |= void
            made["roles"]["gfn"][1] |= {**void, "figures": None}
        return made

    monkeypatch.setattr(bench_sweep, "measure", measure)
    result = call("-s", "linear", "-s", "rbtree", "--slots", "1,4", "--quick")
    assert result.return_value == 1
    assert "rbtree is void at 4 slots: lookup 7" in result.stdout
    assert "n/a" in result.stdout


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interrupted_sweep_goes_on_where_it_was(done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(*BASE, *SLOTS)
    with monkeypatch.context() as planted:
        Planted(planted, done, KeyboardInterrupt)
        result = call(*BASE, *SLOTS, "--save", "a sweep.jsonl")
    assert result.exit_code == 130
    assert result.stdout == ""
    told = f"{done} of 3 slot counts done; resume with: slotlookup sweep --resume 'a sweep.jsonl'"
    assert result.stderr == f"slotlookup: interrupted: {told}\n"
    rest = Planted(monkeypatch, 99, KeyboardInterrupt)
    resumed = found("--resume", "a sweep.jsonl")
    assert rest.measured == [1, 2, 4][done:]
    assert without_place(resumed) == without_place(whole)


def test_interrupted_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Planted(monkeypatch, 1, KeyboardInterrupt)
    result = call(*BASE, *SLOTS)
    assert result.exit_code == 130
    assert "1 of 3 slot counts done and lost; add --save FILE" in result.stderr


def test_interrupted_again_with_other_slot_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    Planted(monkeypatch, 1, KeyboardInterrupt)
    result = call("--resume", "s.jsonl", "--slots", "1,2,4")
    assert "2 of 3 slot counts done; resume with: slotlookup sweep --resume s.jsonl --slots 1,2,4" in result.stderr


def test_slot_counts_can_be_added_and_left_out() -> None:
    call(*BASE, "--slots", "1,2", "--save", "s.jsonl")
    assert found("--resume", "s.jsonl", "--slots", "2,4")["slots"] == [2, 4]
    assert found("--resume", "s.jsonl")["slots"] == [1, 2]


@pytest.mark.parametrize("left", [0, 1, -100, -1])
def test_a_killed_sweep_loses_the_point_in_progress(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(*BASE, *SLOTS, "--save", "s.jsonl")
    path = Path("s.jsonl")
    *kept, last = path.read_bytes().splitlines(keepends=True)
    # All of the last line is gone, all but its first byte, its last hundred, or the end of the line alone.
    path.write_bytes(b"".join(kept) + last[:left])
    again = Planted(monkeypatch, 99, KeyboardInterrupt)
    result = call("--resume", "s.jsonl", "--json")
    remark = "slotlookup: s.jsonl:4: the last line is truncated; its point is measured again\n"
    assert result.stderr == (remark if left else "")
    assert again.measured == [4]
    assert without_place(json.loads(result.stdout)) == without_place(whole)
    assert len(path.read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "1"], "this sweep has seed 0, not 1"),
        (["synthetic-next"], "this sweep has workload synthetic-uniform, not synthetic-next"),
        (["-s", "linear"], "this sweep has strategies linear, rbtree, not linear"),
        (["--rigorous"], "this sweep has effort quick, not rigorous"),
        (["--timing", "latency_hot"], "this sweep has timing throughput_hot, not latency_hot"),
    ],
)
def test_another_sweep_is_not_continued(arguments: list[str], words: str) -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    before = Path("s.jsonl").read_bytes()
    result = call("--resume", "s.jsonl", *arguments)
    assert isinstance(result.exception, InputFileError)
    assert f"s.jsonl: {words}" in str(result.exception)
    assert Path("s.jsonl").read_bytes() == before


def test_counts_are_not_continued_as_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_sweep, "measure", timed({"linear": lambda n: 1.0}))
    call("-s", "linear", "--quick", "--slots", "1", "--save", "s.jsonl")
    assert "this sweep has counts_only False, not True" in str(call("--resume", "s.jsonl", "--counts-only").exception)


def test_another_machine_is_refused_by_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    later = {**MACHINE, "date": "2027-01-01T00:00:00.000Z", "load": [9.0, 9.0, 9.0]}
    monkeypatch.setattr(sweep_command, "describe_machine", lambda: later)
    assert call("--resume", "s.jsonl").exception is None
    monkeypatch.setattr(sweep_command, "describe_machine", lambda: {**later, "cpu": "Model B"})
    assert "another machine: cpu was Model A and is Model B" in str(call("--resume", "s.jsonl").exception)


def test_a_strategy_that_means_something_else_now_is_refused() -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    text = Path("s.jsonl").read_text()
    Path("s.jsonl").write_text(
        text.replace('"rbtree": "gfn=rbtree,hva=rbtree"', '"rbtree": "gfn=linear,hva=rbtree"', 1)
    )
    assert "strategy 'rbtree' was gfn=linear,hva=rbtree" in str(call("--resume", "s.jsonl").exception)


def test_a_workload_that_asks_something_else_now_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    monkeypatch.setitem(bench_sweep.EFFORTS, "quick", bench_sweep.Effort(0.0, 600, 600))
    assert "with 1 slot has changed since" in str(call("--resume", "s.jsonl").exception)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "s.jsonl: no such file; start a sweep with --save"),
        (b"", "s.jsonl:1: not a saved sweep"),
        (b"\xff\xfe\n", "s.jsonl:1: not a saved sweep"),
        (b"[1]\n", "s.jsonl:1: not a saved sweep"),
        (b'{"sweep": 2}\n', "s.jsonl:1: sweep file version 2; this slotlookup reads 1"),
        (b'{"sweep": 1, "options": {}}\n', "s.jsonl:1: the line about the sweep is damaged"),
    ],
)
def test_a_file_that_is_no_sweep(content: bytes | None, words: str) -> None:
    if content is not None:
        Path("s.jsonl").write_bytes(content)
    result = call("--resume", "s.jsonl")
    assert words in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:50] + b"\n",
        lambda line: b"{}\n",
        lambda line: b'{"slots": 3, "result": ' + line[line.index(b'"result"') + 10 :],
        lambda line: line.replace(b'"compares"', b'"compare"', 1),
        lambda line: line.replace(b'"strategy": "rbtree"', b'"strategy": "rbtre"'),
    ],
)
def test_a_damaged_line_is_named(damage: Callable[[bytes], bytes]) -> None:
    call(*BASE, *SLOTS, "--save", "s.jsonl")
    lines = Path("s.jsonl").read_bytes().splitlines(keepends=True)
    lines[2] = damage(lines[2])
    Path("s.jsonl").write_bytes(b"".join(lines))
    assert "s.jsonl:3: not a point of a sweep; delete the line" in str(call("--resume", "s.jsonl").exception)


def test_a_point_of_another_schema_is_refused() -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    text = Path("s.jsonl").read_text()
    version = '"result": {"schema_version": '
    Path("s.jsonl").write_text(text.replace(f"{version}{RUN_SCHEMA_VERSION}", f"{version}0"))
    assert "s.jsonl:2: result schema 0; this slotlookup reads" in str(call("--resume", "s.jsonl").exception)


def test_a_saved_sweep_is_not_overwritten() -> None:
    call(*BASE, "--slots", "1", "--save", "s.jsonl")
    before = Path("s.jsonl").read_bytes()
    assert "continue a sweep with --resume" in str(call(*BASE, "--slots", "1", "--save", "s.jsonl").exception)
    assert Path("s.jsonl").read_bytes() == before


def test_a_file_that_goes_away_is_told() -> None:
    path = Path("s.jsonl")
    sweep_file.begin(path, options("linear"), [1], MACHINE)
    path.unlink()
    with pytest.raises(InputFileError, match=r"s\.jsonl: cannot be written"):
        sweep_file.append(path, 1, {})


def test_counts_in_parallel_are_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # The processes know nothing of what a test has patched, so the usual numbers of events hold in both.
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep_command, "describe_machine", lambda: dict(MACHINE))
    one = without_place(found(*BASE, *SLOTS))
    two = without_place(found(*BASE, *SLOTS, "--jobs", "2", "--save", "s.jsonl"))
    assert one == two
    assert len(Path("s.jsonl").read_text().splitlines()) == 4


def test_times_are_never_taken_in_parallel() -> None:
    result = call("-s", "linear", "--quick", "--slots", "1,2", "--jobs", "2")
    assert "--jobs: parallel timings disturb each other" in str(result.exception)
    with pytest.raises(ValueError, match="never taken in parallel"):
        sweep_in_parallel(options("linear"), [1], {}, lambda n, p: None, lambda what, part: None, 2)


def test_what_fails_in_a_process_is_told() -> None:
    impossible = options("linear", counts_only=True, workload="no-such")
    with pytest.raises(Exception, match="no workload is called 'no-such'") as caught:
        sweep_in_parallel(impossible, [1], {}, lambda n, p: None, lambda what, part: None, 2)
    assert caught.value.exit_code == 2  # type: ignore[attr-defined]


def test_the_plot_is_checked_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Planted(monkeypatch, 99, KeyboardInterrupt)
    for arguments, words in (
        (["--plot", "x.pdf"], "end the name in .svg or .png"),
        (["--plot", "no/x.svg"], "there is no directory"),
        (["--plot", "x.svg", "--plot-metric", "ns"], "--counts-only measures no times"),
    ):
        assert words in str(call(*BASE, *SLOTS, *arguments, "--save", "s.jsonl").exception)
    assert planted.measured == []
    assert not Path("s.jsonl").exists()


def test_the_plot_is_drawn() -> None:
    result = call(*BASE, *SLOTS, "--plot", "x.svg", "--plot-role", "hva", "--plot-metric", "lines")
    assert result.exception is None
    text = Path("x.svg").read_text()
    assert "hva visits (native)" in text and "gfn lookups" not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["q35-1G"], "workload 'q35-1G' has 9 slots and no other number; use one that"),
        (["there/is.parquet"], "a trace has fixed slots and cannot be swept"),
        (["synthetic-unifrom"], "did you mean 'synthetic-uniform'?"),
        (["-s", "rbtre"], "did you mean 'rbtree'?"),
        (["--slots", "1,x"], "--slots: 'x' is not a number"),
        (["--slots", ""], "--slots: '' is not a number"),
        (["--slots", "0"], f"--slots: 0 is not within 1 to {USER_SLOTS:,}"),
        (["--slots", "32765"], "--slots: 32,765 is not within"),
        (["--save", "a", "--resume", "b"], "give --save to start a sweep, or --resume"),
        (["--plot-role", "gfn"], "--plot-role: nothing is drawn without a file"),
        (["--plot", "x.svg", "--plot-ratio", "rbtre"], "--plot-ratio rbtre: the sweep has no such row"),
        (["--save", "no/dir/x.jsonl"], "no directory"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], words: str) -> None:
    result = call(*arguments)
    assert words in str(result.exception)
    assert getattr(result.exception, "exit_code", None) == 2
    assert "\n" not in str(result.exception)
