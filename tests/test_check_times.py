"""Times that gate: only if configured, only as a ratio in one run, only if interval and effect size agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checking import BASELINE, CONFIG, call, code, edit, gfn_of, settle, update

from slotlookup.bench.gate.judge import Verdict
from slotlookup.bench.gate.time import judge_time
from slotlookup.bench.measure import passes
from slotlookup.bench.measure.timing import Samples
from slotlookup.bench.results.statistics import Interval

GATE = '[[check.times]]\nstrategy = "rbtree"\nagainst = "linear"\nworkload = "small"\npercent = 10\n'
KEY = "rbtree against linear, gfn throughput_hot"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)
    Path("slotlookup.toml").write_text(CONFIG + GATE)


class Clock:
    """Stands in for the timing: `rbtree` takes these, everything else 10 ns an operation."""

    def __init__(self) -> None:
        self.samples = [20.0] * 9
        self.walk = 0.0
        self.fault = ""

    def time(self, task: object, texts: list[str], *_: object) -> Samples:
        rounds = len(self.samples)
        of = {"rbtree": self.samples, "empty": [self.walk] * rounds}
        faults = {"rbtree": self.fault} if self.fault else {}
        return Samples({text: of.get(text, [10.0] * rounds) for text in texts}, faults)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(passes, "time_task", made.time)
    return made


def time_of(held: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = held["workloads"]["small"]["times"][KEY]
    return found


def verdict() -> tuple[int, str]:
    result = call("--format", "json")
    (row,) = json.loads(result.stdout)["times"]
    return code(result), row["verdict"]


@pytest.mark.parametrize(
    ("median", "low", "high", "expected"),
    [
        # The baseline's ratio is 2, the effect asked for 10 %: up to 2.2, down to 1.82.
        (2.0, 1.9, 2.1, Verdict.SAME),
        (2.5, 2.3, 2.7, Verdict.REGRESSION),
        (2.5, 2.01, 2.7, Verdict.REGRESSION),
        (2.5, 1.99, 2.7, Verdict.NOISY),
        (2.5, 2.0, 2.7, Verdict.NOISY),
        (2.15, 2.1, 2.19, Verdict.TOLERATED),
        (2.2, 2.1, 2.4, Verdict.TOLERATED),
        (2.0, 1.0, 4.0, Verdict.NOISY),
        (1.5, 1.4, 1.6, Verdict.CHEAPER),
        (1.9, 1.85, 1.95, Verdict.SAME),
        (9.0, None, None, Verdict.NOISY),
    ],
)
def test_interval_and_effect_must_agree(
    median: float, low: float | None, high: float | None, expected: Verdict
) -> None:
    assert judge_time(Interval(median, low, high), 2.0, 10.0) is expected


def test_no_samples_left_of_the_noise_tell_nothing() -> None:
    assert judge_time(None, 2.0, 10.0) is Verdict.NOISY


def test_the_baseline_holds_the_ratio_in_millionths(clock: Clock) -> None:
    update()
    held = time_of(json.loads(BASELINE.read_text()))
    assert (held["ratio_ppm"], held["role"], held["mode"], held["displaced"]) == (2_000_000, "gfn", "throughput_hot", 0)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([20.0] * 9, (0, "same")),
        ([30.0] * 9, (3, "regression")),
        # Of 9 samples the interval is from the 2nd to the 8th.
        ([19.0, 19.0, *[30.0] * 7], (0, "too noisy to tell")),
        ([19.0, *[30.0] * 8], (3, "regression")),
        ([21.0] * 9, (0, "tolerated")),
        ([10.0] * 9, (0, "cheaper")),
        ([30.0] * 5, (0, "too noisy to tell")),
    ],
)
def test_what_becomes_of_a_time(clock: Clock, samples: list[float], expected: tuple[int, str]) -> None:
    update()
    clock.samples = samples
    assert verdict() == expected


def test_noise_is_seen_and_fails_nothing(clock: Clock) -> None:
    update()
    clock.samples = [15.0, 15.0, *[30.0] * 7]
    result = call()
    assert code(result) == 0
    assert "too noisy to decide; they do not fail the check" in result.stdout


def test_a_count_fails_whatever_the_times_say(clock: Clock) -> None:
    update()
    edit(lambda held: gfn_of(held).update(hops=0))
    clock.samples = [1.0] * 9
    assert code(call()) == 3


def test_an_update_keeps_a_ratio_that_noise_explains(clock: Clock) -> None:
    update()
    before = BASELINE.read_bytes()
    clock.samples = [18.0, 19.0, 19.0, 20.0, 21.0, 21.0, 21.0, 22.0, 22.0]
    update()
    assert BASELINE.read_bytes() == before
    clock.samples = [30.0] * 9
    update()
    assert time_of(json.loads(BASELINE.read_text()))["ratio_ppm"] == 3_000_000


def test_cold_times_are_net_of_the_walk(clock: Clock) -> None:
    Path("slotlookup.toml").write_text(CONFIG + GATE + 'mode = "throughput_cold"\n')
    clock.walk = 5.0
    update()
    held = json.loads(BASELINE.read_text())["workloads"]["small"]["times"]
    (figure,) = held.values()
    # (20 - 5) / (10 - 5)
    assert (figure["ratio_ppm"], figure["displaced"]) == (3_000_000, 65536)
    clock.walk = 10.0
    assert verdict() == (0, "too noisy to tell")
    assert code(call("--update")) == 1, "what is too noisy makes no baseline"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda held: time_of(held).update(cpu="Z80"), "was measured on another CPU: Z80, and "),
        (lambda held: time_of(held).update(displaced=1), "with 1 bytes displaced in the baseline and 0 now"),
        (lambda held: time_of(held).update(ratio_ppm=0), f"times.{KEY}.ratio_ppm: input should be greater"),
        (lambda held: time_of(held).update(ratio_ppm=1.5), f"times.{KEY}.ratio_ppm: input should be a valid integer"),
        (lambda held: held["workloads"]["small"]["times"].clear(), f"the baseline lacks the time of {KEY}"),
    ],
)
def test_times_that_cannot_be_compared(clock: Clock, change: Callable[[dict[str, Any]], None], words: str) -> None:
    update()
    edit(change)
    result = call()
    assert code(result) == 4
    assert words in str(result.exception)


def test_a_time_that_is_no_longer_configured_is_named(clock: Clock) -> None:
    update()
    Path("slotlookup.toml").write_text(CONFIG)
    result = call()
    assert code(result) == 4
    assert f"the time of {KEY}, is in the baseline but not configured" in str(result.exception)


def test_times_can_be_left_out_and_that_is_said(clock: Clock) -> None:
    update()
    before = BASELINE.read_bytes()
    clock.samples = [30.0] * 9
    result = call("--no-times")
    assert code(result) == 0
    assert "1 configured times were left out." in result.stdout
    assert code(call("--update", "--no-times")) == 0
    assert BASELINE.read_bytes() == before


def test_a_wrong_answer_in_a_timed_block(clock: Clock) -> None:
    update()
    clock.fault = "gave other answers than in the verification"
    result = call()
    assert code(result) == 1
    assert "gave other answers" in str(result.exception)


REAL = {
    "throughput": 'role = "hva"\n',
    "latency": 'mode = "latency_hot"\n',
    "slot changes": 'role = "update"\n',
    "cold": 'mode = "throughput_cold"\n',
}


@pytest.mark.parametrize("which", REAL)
def test_real_times_on_this_machine(which: str) -> None:
    """What the clock says is not this test's business; that a ratio comes of it is, or that it is called too noisy."""
    Path("slotlookup.toml").write_text("budget = 0.01\n" + CONFIG + GATE + REAL[which])
    result = call("--update")
    if which == "cold" and code(result) == 1:
        assert "is too noisy for a baseline" in str(result.exception)
        return
    assert code(result) == 0
    (figure,) = json.loads(BASELINE.read_text())["workloads"]["small"]["times"].values()
    assert figure["ratio_ppm"] > 0
    result = call("--format", "json")
    assert len(json.loads(result.stdout)["times"]) == 1
    assert code(result) in (0, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("rbtree", "kvm-5.17"), "check.times.0.strategy: no strategy that is checked is called 'kvm-5.17'"),
        (("rbtree", "rbtre"), "check.times.0.strategy: strategy 'rbtre': no strategy is called 'rbtre'; did you mean"),
        (("rbtree", "linear"), "check.times.0: strategy and against are the same; name two"),
        (('"small"', '"smal"'), "check.times.0.workload: no workload that is checked is called 'smal'; did you mean"),
        (("percent = 10", 'percent = 10\nmode = "hot"'), "check.times.0.mode: input should be 'throughput_hot', "),
        (("percent = 10", "percent = -1"), "check.times.0.percent: input should be greater than or equal to 0, not -1"),
        (("percent = 10", "percent = nan"), "check.times.0.percent: input should be a finite number, not nan"),
        (("percent = 10", "percnt = 10"), "check.times.0.percent: is required here"),
        (
            ("percent = 10", 'percent = 10\nrole = "update"\nmode = "latency_hot"'),
            "check.times.0: slot changes have no latency",
        ),
        (("percent = 10", "percent = 10\n" + GATE), f"check.times.1: repeats {KEY} on 'small'"),
    ],
)
def test_a_time_that_cannot_be_asked_for(change: tuple[str, str], words: str) -> None:
    Path("slotlookup.toml").write_text(CONFIG + GATE.replace(*change))
    result = call()
    assert code(result) == 2
    assert words in str(result.exception)
