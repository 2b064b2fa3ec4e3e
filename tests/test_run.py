"""The run as users see it: figures, JSON, verification that can fail, exit codes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from slotlookup import registry
from slotlookup.address import HOLE
from slotlookup.arrays import Words
from slotlookup.bench.cli import cli
from slotlookup.bench.measure import passes, runner, timing
from slotlookup.bench.measure.tasks import GfnTask, UpdateTask
from slotlookup.bench.measure.timing import time_task
from slotlookup.errors import BrokenStrategy, UsageError, present
from slotlookup.families.native import HOT, Mode, NativeStrategy
from slotlookup.memslots import make_memslot
from slotlookup.questions import questions_of
from slotlookup.spec import StrategySpec
from slotlookup.stream import GfnStream
from slotlookup.structure import Costs, PythonStructure, RangeIndex
from slotlookup.trace import Trace, gfn_events, hva_events, slot_events, write_trace

START = (
    make_memslot(0, 0x0, 0x4000, 0x7000_0000_0000),
    make_memslot(1, 0x10000, 0x20000, 0x6000_0000_0000),
    make_memslot(2, 0x40000, 0x8000, 0x7000_0000_0000),
)
STEPS = np.concatenate(
    [
        gfn_events([0, 3, 0x11, 0x2F, 0x47, 0x30, 0x999]),
        hva_events([0x7000_0000_0000, 0x6000_0000_1000], [0x7000_0000_1000, 0x6000_0000_3000]),
        slot_events([(3, 0x80000, 0x1000, 0x5000_0000_0000, 0)]),
        gfn_events([0x80, 0x81]),
    ]
)


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.parquet"
    write_trace(Trace("small", START, STEPS), path)
    return path


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests look at figures, not at their precision; and no configuration of the surroundings may reach them."""
    monkeypatch.setattr(passes, "NATIVE_SECONDS", 0.0)
    monkeypatch.setattr(passes, "PYTHON_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), standalone_mode=False)


def test_json_has_the_published_keys(trace_file: Path) -> None:
    result = call("run", str(trace_file), "-s", "linear", "-s", "rbtree", "--json")
    found = json.loads(result.stdout)
    assert set(found) >= {"schema_version", "machine", "workload", "strategies", "roles", "setup"}
    assert set(found["workload"]) >= {"name", "slots", "events", "seed", "fingerprint"}
    assert found["workload"]["slots"] == 4
    assert [one["strategy"] for one in found["strategies"]] == ["linear", "rbtree"]
    assert [one["state"] for one in found["strategies"]] == ["verified", "verified"]
    for role, operations in (("gfn", 9), ("hva", 2), ("update", 1)):
        assert [row["name"] for row in found["roles"][role]] == ["linear", "rbtree"]
        for row in found["roles"][role]:
            ops = row["figures"]
            assert ops["operations"] == operations
            assert set(ops) >= {"slots_examined", "compares", "hops", "lines", "ns"}
            assert set(ops["ns"]) == {"throughput_hot", "throughput_cold", "latency_hot", "latency_cold"}
            assert ops["ns"]["throughput_hot"]["median"] > 0
            assert (ops["ns"]["latency_cold"] is None) == (role == "update")


def test_linear_examines_as_many_slots_as_by_hand(trace_file: Path) -> None:
    found = json.loads(call("run", str(trace_file), "-s", "linear", "--json", "--counts-only").stdout)
    gfn, hva = (found["roles"][role][0]["figures"] for role in ("gfn", "hva"))
    # gfn 0 and 3: first slot. 0x11, 0x2f: second. 0x47: third. 0x30 and 0x999: holes, all three. Then, with four slots,
    # 0x80: the fourth; 0x81: a hole, all four.
    assert gfn["slots_examined"] == pytest.approx((1 + 1 + 2 + 2 + 3 + 3 + 3 + 4 + 4) / 9)
    # Every visit looks at all three slots that there are at its time.
    assert hva["slots_examined"] == 3
    assert gfn["ns"]["throughput_hot"] is None


def test_python_strategies_know_their_compares_only(trace_file: Path) -> None:
    found = json.loads(call("run", str(trace_file), "-s", "py-sortedcontainers", "--json").stdout)
    (row,), (setup,) = found["roles"]["gfn"], found["setup"]
    assert row["family"] == "python"
    assert setup["figures"]["bytes_per_slot"] is None
    assert row["figures"]["compares"] > 0
    assert row["figures"]["slots_examined"] is None
    assert row["figures"]["ns"]["throughput_hot"]["ratio"]["median"] > 0


class OffByOne(RangeIndex):
    """Right but for the last page of each range."""

    def __init__(self) -> None:
        self.held: list[tuple[int, int, int]] = []

    def insert(self, start: int, last: int, number: int) -> None:
        self.held.append((start, last, number))

    def remove(self, start: int, last: int, number: int) -> None:
        self.held.remove((start, last, number))

    def find(self, point: int) -> int:
        return next((n for s, e, n in self.held if s <= point < e), HOLE)

    def visit(self, start: int, last: int) -> Iterable[int]:
        return [n for s, e, n in self.held if s <= last and start <= e]

    def check(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self.held)


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = PythonStructure("off-by-one", "broken", Costs("?", "?", "?"), "a test", OffByOne)
    known = {**registry.structures(), "off-by-one": broken}
    monkeypatch.setattr(registry, "structures", lambda: known)


def test_a_wrong_answer_voids_the_row_and_fails_the_run(trace_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    result = call("run", str(trace_file), "-s", "py-linear", "-s", "off-by-one", "--json")
    assert result.return_value == 1
    found = json.loads(result.stdout)
    sound, broken = found["strategies"]
    assert (sound["state"], broken["state"]) == ("verified", "void")
    # gfn 3 is the last page of slot 0.
    assert "lookup 1 (0x3): answered slot -1; the right answer is 0" in broken["reason"]
    for rows in (*found["roles"].values(), found["setup"]):
        assert [(row["state"], row["figures"] is None) for row in rows] == [("verified", False), ("void", True)]
        assert rows[1]["reason"] == broken["reason"]


def test_a_void_row_is_shown_as_void(trace_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    result = call("run", str(trace_file), "-s", "off-by-one", "--counts-only")
    assert result.return_value == 1
    assert "off-by-one is void" in result.stdout
    assert "right answer is 0" in " ".join(result.stdout.split())


def test_a_timed_block_that_answers_otherwise_is_caught() -> None:
    task = GfnTask(questions_of(Trace("t", START, gfn_events([0, 0x11] * 500)), 0), 1000)

    class Turncoat(NativeStrategy):
        """Answers right when asked, and a slot short when timed."""

        def replay_gfns(self, stream: GfnStream, mode: Mode = HOT) -> tuple[int, int]:
            return 10, 1

    def make(text: str) -> NativeStrategy:
        made = registry.make_strategy("linear")
        assert isinstance(made, NativeStrategy)
        if text == "turncoat":
            made.__class__ = Turncoat
        made.name = text
        made.apply_table(task.questions.start)
        return made

    samples = time_task(task, ["linear", "turncoat"], make, 0.0, lambda part: None)
    assert set(samples.ns) == {"linear"}
    assert "in a timed block gave other answers" in samples.faults["turncoat"]


@pytest.mark.parametrize("stretch", ["closed", "open"])
def test_timed_changes_that_are_left_out_are_caught(stretch: str) -> None:
    # By hand: slot 0 goes and returns, again and again; whoever leaves both out is right afterwards.
    pair = [(0, 0x0, 0, 0x7000_0000_0000, 0), (0, 0x0, 0x4000, 0x7000_0000_0000, 0)]
    changes = pair * 20 + ([] if stretch == "closed" else [(7, 0x80000, 0x1000, 0x5000_0000_0000, 0)])
    task = UpdateTask(questions_of(Trace("t", START, slot_events(changes)), 0), 1000)
    assert task.restarts == (stretch == "open")

    class Idle(NativeStrategy):
        """Follows changes when applied, and does nothing when timed."""

        def replay_changes(self, changes: Words, mode: Mode = HOT) -> int:
            return 10

    def make(text: str) -> NativeStrategy:
        made = registry.make_strategy("linear")
        assert isinstance(made, NativeStrategy)
        if text == "idle":
            made.__class__ = Idle
        made.name = text
        made.apply_table(task.questions.start)
        return made

    samples = time_task(task, ["linear", "idle"], make, 0.0, lambda part: None)
    assert set(samples.ns) == {"linear"}
    assert "after the changes" in samples.faults["idle"]


def test_samples_come_in_pairs_and_the_ratio_is_theirs(trace_file: Path) -> None:
    found = json.loads(call("run", str(trace_file), "-s", "linear", "-s", "interval-tree", "--json").stdout)
    base, tree = (row["figures"]["ns"]["throughput_hot"] for row in found["roles"]["gfn"])
    assert len(base["samples"]) == len(tree["samples"]) >= 7
    logs = sorted(math.log(t / b) for t, b in zip(tree["samples"], base["samples"], strict=True))
    middle = (logs[(len(logs) - 1) // 2] + logs[len(logs) // 2]) / 2
    assert tree["ratio"]["median"] == pytest.approx(math.exp(middle))
    assert base["ratio"]["median"] == 1


def test_the_tables_name_every_strategy_and_close_with_a_sentence(trace_file: Path) -> None:
    result = call("run", str(trace_file), "-s", "linear", "-s", "kvm-5.17", "-s", "py-bintrees", "--all")
    assert result.return_value == 0
    for word in ("gfn lookups", "hva visits", "slot changes", "linear", "kvm-5.17", "py-bintrees", "native", "python"):
        assert word in result.stdout
    assert "Cheapest in each role: gfn lookups: " in result.stdout


def test_an_empty_trace_is_refused(tmp_path: Path) -> None:
    write_trace(Trace("nothing", (), gfn_events([])), tmp_path / "nothing.parquet")
    result = call("run", str(tmp_path / "nothing.parquet"))
    assert "no slots and no questions" in str(result.exception)


def test_one_slot_alone(tmp_path: Path) -> None:
    write_trace(Trace("one", START[:1], gfn_events([0, 3, 4])), tmp_path / "one.parquet")
    result = call("run", str(tmp_path / "one.parquet"), "--all", "--json")
    found = json.loads(result.stdout)
    assert result.return_value == 0
    lacking = {name for name in registry.strategy_names() if registry.missing(name)}
    assert {one["strategy"] for one in found["strategies"]} == set(registry.strategy_names())
    assert {one["strategy"] for one in found["strategies"] if one["state"] == "absent"} == lacking


def test_the_configuration_picks_the_strategies(trace_file: Path) -> None:
    Path("slotlookup.toml").write_text('strategies = ["rbtree", "linear,cache=last-used"]\n')
    found = json.loads(call("run", str(trace_file), "--json", "--counts-only").stdout)
    assert [one["strategy"] for one in found["strategies"]] == ["rbtree", "linear,cache=last-used"]


def test_the_result_is_saved_as_it_is_printed(trace_file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "result.json"
    result = call("run", str(trace_file), "-s", "linear", "--counts-only", "--json", "--save", str(saved))
    assert saved.read_text() == result.stdout
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_two_address_spaces(tmp_path: Path) -> None:
    smm = make_memslot((1 << 16) | 5, 0x0, 0x4000, 0x4000_0000_0000)
    events = np.concatenate([gfn_events([1, 2]), gfn_events([1, 0x11], as_id=1), gfn_events([0x11])])
    write_trace(Trace("smm", (*START, smm), events), tmp_path / "smm.parquet")
    result = call("run", str(tmp_path / "smm.parquet"), "--json", "--counts-only")
    assert result.return_value == 0, result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no-such-workload"], "no workload is called 'no-such-workload'"),
        (["run", "there/is/no.parquet"], "no such file"),
        (["run", "-s", "rbtre"], "did you mean 'rbtree'?"),
        (["run", "-s", "gfn=rbtree,hva=py-linear"], "take one family"),
        (["run", "--save", "no/dir/x.json"], "there is no directory"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], words: str) -> None:
    result = call(*arguments)
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == 2
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_file_that_is_no_trace(tmp_path: Path) -> None:
    for name, content in (("a.parquet", b""), ("b.parquet", b"PAR1 but no more PAR1"), ("c.parquet", bytes(1000))):
        (tmp_path / name).write_bytes(content)
        result = call("run", str(tmp_path / name))
        assert "not a readable Parquet file" in str(result.exception), result.exception


def test_turns_rotate_and_reverse() -> None:
    names = ["a", "b", "c"]
    task = GfnTask(questions_of(Trace("t", START, gfn_events([0])), 0), 1)
    runners = [timing._Runner(name, registry.make_strategy, task) for name in names]
    orders = ["".join(r.text for r in timing._turns(runners, round_)) for round_ in range(6)]
    assert orders == ["abc", "cba", "bca", "acb", "cab", "bac"]


def test_cold_samples_are_net_of_the_walk_and_the_control_is_the_reference() -> None:
    samples = timing.Samples({"linear": [110.0] * 7, "rbtree": [120.0] * 7, "empty": [100.0] * 7}, {})
    cold = runner._timing(passes.readings([samples], cold=True), "rbtree", "linear", cold=True)
    assert cold.interval.median == 20.0
    assert cold.ratio is not None and cold.ratio.median == pytest.approx(2.0)
    assert (cold.samples, cold.raw_samples) == ((20.0,) * 7, (120.0,) * 7)
    hot = runner._timing(passes.readings([samples], cold=False), "rbtree", "linear", cold=False)
    assert (hot.samples, hot.raw_samples) == ((120.0,) * 7, None)
    task = GfnTask(questions_of(Trace("t", START, gfn_events([0])), 0), 1)
    assert passes._make_loaded(task, timing.CONTROL, 0, "linear").spec == registry.make_strategy("linear").spec


def test_the_floor_is_shown_and_not_ranked(trace_file: Path) -> None:
    asked = ("run", str(trace_file), "-s", "rbtree", "-s", "linear", "--processes", "1")
    plain, floored = (json.loads(call(*asked, "--json", *more).output) for more in ((), ("--floor",)))
    assert plain["floor_ns"] == {}
    timed = {"throughput_hot", "throughput_cold", "latency_hot", "latency_cold"}
    assert {role: set(modes) for role, modes in floored["floor_ns"].items()} == {"gfn": timed, "hva": timed}
    assert floored["floor_ns"]["gfn"]["throughput_hot"]["median"] > 0
    for role in ("gfn", "hva", "update"):
        assert {row["name"] for row in floored["roles"][role]} == {"rbtree", "linear"}
    shown = call(*asked, "--floor", "--all").output
    shown = shown[shown.index("Full tables:") :]
    lookups, visits, changes = (shown[shown.index(role) :] for role in ("gfn lookups", "hva visits", "slot changes"))
    assert "(floor)" in lookups[: lookups.index("hva visits")]
    assert "(floor)" in visits[: visits.index("slot changes")]
    assert "(floor) " not in changes
    assert call(*asked, "--floor", "--export", "floor.csv").return_value == 0
    assert Path("floor.csv").read_text().count("(floor),(floor),") == 2


def test_a_floor_that_reads_a_wrong_slot_is_found() -> None:
    questions = questions_of(Trace("small", START, STEPS), 0)
    task = GfnTask(questions, len(questions.gfn))
    floor = NativeStrategy("perfect", StrategySpec("perfect", "perfect"), ())
    floor.apply_table(questions.start)
    assert task.time(floor, 0, task.operations, HOT) > 0
    wrong = NativeStrategy("perfect", StrategySpec("perfect", "perfect"), ())
    wrong.apply_table(questions.start[1:])
    with pytest.raises(BrokenStrategy, match="gave other answers than in the verification"):
        task.time(wrong, 0, 1, HOT)


def test_strides_are_stated_and_can_be_made_equal(trace_file: Path) -> None:
    """By hand: 32 bytes of id nodes, the nodes of both structures and 88 bytes of slot, gfn nodes and slot on a line.

    linear has no nodes: 64 + 88 bytes, three lines. rbtree has 24 and 24 bytes: 64 + 24 + 88, three lines.
    kvm-5.17 has two of 48 bytes and two of 24: 128 + 48 + 88, five lines.
    """
    names = ("linear", "rbtree", "kvm-5.17")
    asked = ("run", str(trace_file), *(word for name in names for word in ("-s", name)), "--counts-only", "--json")
    for more, expected in ((), (192, 192, 320)), (("--stride", "384"), (384, 384, 384)):
        run = json.loads(call(*asked, *more).output)
        for rows in (*run["roles"].values(), run["setup"]):
            assert tuple(row["figures"]["slot_stride"] for row in rows) == expected
    refused = call(*asked, "--stride", "256").exception
    assert isinstance(refused, UsageError)
    assert str(refused) == (
        "--stride: kvm-5.17: a slot with its nodes takes 320 bytes, more than 256; give a larger one, or leave the "
        "strategy out"
    )


def test_a_stride_moves_the_slots() -> None:
    changes = questions_of(Trace("small", START, STEPS), 0).start
    taken = []
    for stride in (0, 512):
        strategy = registry.make_strategy("linear", stride=stride)
        strategy.load_table(changes)
        taken.append(present(strategy.bytes(), "the size"))
    assert taken[1] - taken[0] == 3 * (512 - 192)
