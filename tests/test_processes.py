"""Times of several new processes: what a sample is, what its interval covers, and how processes fail and end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slotlookup.bench.cli import cli
from slotlookup.bench.measure.passes import Plan, readings
from slotlookup.bench.measure.processes import TimingProcesses
from slotlookup.bench.measure.run_options import RunOptions
from slotlookup.bench.measure.tasks import EMPTY
from slotlookup.bench.measure.timing import Samples
from slotlookup.bench.results.statistics import median_interval, ratio_interval
from slotlookup.errors import SlotlookupError
from slotlookup.memslots import make_memslot
from slotlookup.questions import questions_of
from slotlookup.structure import Family
from slotlookup.trace import Trace, gfn_events
from slotlookup.vocabulary import TimingMode

START = (make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000), make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000))
HOT = TimingMode.THROUGHPUT_HOT


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests look at which samples there are, not at their precision."""
    monkeypatch.setenv("SLOTLOOKUP_BUDGET", "0.01")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


def a_plan(processes: int) -> Plan:
    questions = questions_of(Trace("small", START, gfn_events([0, 3, 0x11])), 0)
    options = RunOptions(budget=0.0, processes=processes, timings=(HOT,))
    return Plan(questions, options, {(Family.NATIVE, "gfn"): ("rbtree",)})


def test_a_sample_is_the_median_of_a_process() -> None:
    passes = [
        Samples({"linear": [10.0, 90.0, 11.0], "rbtree": [5.0, 6.0, 7.0], "left": [1.0]}, {}),
        Samples({"linear": [20.0, 21.0, 22.0], "rbtree": [8.0, 70.0, 9.0]}, {"left": "wrong"}),
    ]
    read = readings(passes, cold=False)
    assert read.net == read.raw == {"linear": [11.0, 21.0], "rbtree": [6.0, 9.0]}
    # A single pass gives its rounds.
    assert readings(passes[:1], cold=False).net["linear"] == [10.0, 90.0, 11.0]


def test_the_walk_is_subtracted_round_by_round_before_the_median() -> None:
    # By hand: 110 - 100, 230 - 200, 120 - 100 are 10, 30 and 20; the medians are 20 net and 120 raw.
    cold = Samples({"rbtree": [110.0, 230.0, 120.0], EMPTY: [100.0, 200.0, 100.0]}, {})
    read = readings([cold, cold], cold=True)
    assert (read.net["rbtree"], read.raw["rbtree"]) == ([20.0, 20.0], [120.0, 120.0])


def test_an_interval_over_processes_contains_what_differs_between_them() -> None:
    # Each process repeats its own figure to 1 %, and the processes are 20 % apart.
    passes = [
        Samples({"a": [base * x for x in (0.99, 1.0, 1.01)], "b": [10.0] * 3}, {}) for base in (8, 9, 10, 11, 12, 13)
    ]
    read = readings(passes, cold=False)
    assert median_interval(read.net["a"]).as_json() == {"median": 10.5, "low": 8.0, "high": 13.0}
    ratio = ratio_interval(read.net["a"], read.net["b"])
    assert [ratio.low, ratio.high] == pytest.approx([0.8, 1.3])


def test_a_run_has_one_sample_per_process_and_role() -> None:
    found = json.loads(call("run", "two-slot", "-s", "rbtree", "-s", "py-linear", "--processes", "2", "--json").stdout)
    assert found["options"]["processes"] == 2
    for role in ("gfn", "hva", "update"):
        for row in found["roles"][role]:
            times = row["figures"]["ns"][HOT]
            assert len(times["samples"]) == 2
            assert times["low"] is None, "two samples have no interval"
    assert {len(row["figures"]["ns"]["samples"]) for row in found["setup"]} == {2}
    assert found["control"]["gfn"][HOT]["median"] > 0


@pytest.mark.parametrize(
    ("processes", "heading", "words"),
    [("1", "95 % in run", "another run may lie outside"), ("2", "95 %", "an interval between runs needs 6 or more")],
)
def test_tables_name_what_an_interval_covers(processes: str, heading: str, words: str) -> None:
    printed = call("run", "two-slot", "-s", "rbtree", "--processes", processes, "--role", "gfn").stdout
    assert words in " ".join(printed.split())
    (line,) = {
        line.split("ns", 1)[1].split("ratio")[0].strip()
        for line in printed.splitlines()
        if " ratio" in line and " ns " in line
    }
    assert line == heading


WRONG_LATER = """
class Mine:
    asked = 0

    def __init__(self):
        self.held = []

    def insert(self, start, last, number):
        self.held.append((start, last, number))

    def remove(self, start, last, number):
        self.held.remove((start, last, number))

    def find(self, point):
        Mine.asked += 1
        if Mine.asked > 100_000:
            return -1
        return next((n for s, e, n in self.held if s <= point <= e), -1)

    def visit(self, start, last):
        return [n for s, e, n in self.held if s <= last and start <= e]

    def check(self):
        pass

    def __len__(self):
        return len(self.held)
"""


def test_a_wrong_answer_in_one_of_the_processes_voids_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(WRONG_LATER)
    result = call(
        "run", "two-slot", "--events", "5000", "-s", "py-linear", "-s", "./mine.py:Mine", "--processes", "2", "--json"
    )
    assert result.return_value == 1, result.stdout
    states = {one["strategy"]: one["state"] for one in json.loads(result.stdout)["strategies"]}
    assert states == {"py-linear": "verified", "./mine.py:Mine": "void"}


def test_a_killed_process_is_reported() -> None:
    with TimingProcesses(1) as processes:
        (process,) = processes._processes
        process.kill()
        process.wait()
        with pytest.raises(SlotlookupError, match="a process that timed was killed"):
            processes.time(a_plan(1), lambda what, share: None)


def test_processes_end_when_the_parent_is_gone() -> None:
    with TimingProcesses(2) as processes:
        # What the kernel does to the pipes of a parent that was killed.
        for connection in processes._connections:
            connection.close()
        assert [process.wait(30) for process in processes._processes] == [0, 0]


def test_a_script_without_a_main_guard_can_run_in_several_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "print('once')\n"
        "from slotlookup.bench.cli import cli\n"
        "cli(['run', 'two-slot', '-s', 'rbtree', '--processes', '2', '--role', 'gfn'], standalone_mode=False)\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("once") == 1
    assert "medians of 2 processes" in done.stdout


def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("numpy.py").write_text("raise SystemExit('imported from the current folder')\n")
    with TimingProcesses(1) as processes:
        assert processes.time(a_plan(1), lambda what, share: None)


def test_progress_names_the_process() -> None:
    told: list[tuple[str, float]] = []
    with TimingProcesses(2) as processes:
        found = processes.time(a_plan(2), lambda what, share: told.append((what, share)))
    assert [list(times) for times in found] == [[(Family.NATIVE, "gfn", HOT)]] * 2
    assert all(share <= 1 for _, share in told)
    assert {what.split(":")[0] for what, _ in told} <= {"process 1 of 2", "process 2 of 2"}
