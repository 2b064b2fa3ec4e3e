"""`slotlookup kernel` without a kernel: layouts and questions, the arithmetic, the output, and errors."""

from __future__ import annotations

import ctypes
import json
from contextlib import nullcontext
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import _slotlookup_native as native
import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
from charts_read import symbols, words
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from results import MACHINE

from slotlookup.bench.commands.kernel import command
from slotlookup.bench.kernel import figures, measure
from slotlookup.bench.kernel.draw import drawing
from slotlookup.bench.kernel.layout import (
    BASE_GFN,
    PATTERNS,
    REGION_PAGES,
    Layout,
    Pattern,
    asked_pages,
    expected_checksum,
    numbers_in_order,
    regions,
)
from slotlookup.bench.kernel.measure import DEVICE, recorded_path
from slotlookup.bench.kernel.worker import Block, Worker
from slotlookup.errors import BrokenStrategy, InputFileError, SlotlookupError, UsageError
from slotlookup.families.native import NativeStrategy
from slotlookup.memslots import Memslot
from slotlookup.oracle import expected_gfns, expected_hvas
from slotlookup.registry import make_strategy
from slotlookup.stream import GfnStream, HvaStream, Timeline, change_at, one_segment
from slotlookup.vocabulary import Role
from slotlookup.writing import write_files

HVA = 0x7F00_0000_0000
SCHEMA = files("slotlookup.bench") / "schemas" / "kernel.schema.json"
COUNTS = (1, 2, 3, 100, 2047, 32_764)


def invoke(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(command, list(arguments), standalone_mode=False)


def slots_of(layout: Layout) -> list[Memslot]:
    table = layout.creations(1)
    return [change_at(table, row).slot for row in range(len(table))]


def unchanging(questions: int) -> Timeline:
    return Timeline(one_segment(questions), np.zeros((0, 6), dtype=np.uint64))


@pytest.mark.parametrize("count", COUNTS)
def test_slots_share_the_region_and_leave_a_page_between_them(count: int) -> None:
    slots = sorted(slots_of(Layout(count, HVA)), key=lambda slot: slot.base_gfn)
    assert [slot.number for slot in slots] == list(range(count))
    assert slots[0].base_gfn == BASE_GFN
    for slot, behind in pairwise(slots):
        assert slot.end_gfn + 1 == behind.base_gfn
    assert slots[-1].end_gfn + 1 == BASE_GFN + REGION_PAGES
    for slot in slots:
        assert slot.userspace_addr - HVA == (slot.base_gfn - BASE_GFN) * 4096


def test_slots_are_created_in_an_order_that_is_not_that_of_addresses() -> None:
    numbers = [slot.number for slot in slots_of(Layout(100, HVA))]
    assert numbers != sorted(numbers)


def test_system_calls_say_what_the_slots_are() -> None:
    layout = Layout(5, HVA)
    calls = regions(layout.creations(1)).tolist()
    assert calls == [[s.number, 0, s.base_gfn * 4096, s.npages * 4096, s.userspace_addr] for s in slots_of(layout)]


@pytest.mark.parametrize("count", COUNTS)
def test_next_asks_each_slot_in_turn(count: int) -> None:
    pages = asked_pages(Pattern(Role.GFN, "next"), count, 2 * count, 7)
    stream = GfnStream(pages + np.uint64(BASE_GFN), unchanging(len(pages)))
    assert expected_gfns(slots_of(Layout(count, HVA)), stream).tolist() == [*range(count)] * 2


@pytest.mark.parametrize("count", COUNTS)
def test_holes_lie_in_no_slot(count: int) -> None:
    pages = asked_pages(Pattern(Role.HVA, "hole"), count, 500, 7)
    stream = GfnStream(pages + np.uint64(BASE_GFN), unchanging(len(pages)))
    assert set(expected_gfns(slots_of(Layout(count, HVA)), stream).tolist()) == {-1}


@pytest.mark.parametrize("count", COUNTS)
def test_holes_miss_the_slot_that_lies_aside(count: int) -> None:
    """It is what holes among many slots are compared with: a hit there would pay for a handler."""
    pages = asked_pages(Pattern(Role.HVA, "hole"), count, 500, 7)
    starts = np.uint64(HVA) + pages * np.uint64(4096)
    stream = HvaStream(starts, starts + np.uint64(4096), unchanging(500))
    assert not expected_hvas(slots_of(Layout(1, HVA, aside=True)), stream).counts.any()


def test_random_asks_every_slot_and_never_beyond_the_region() -> None:
    for pattern in PATTERNS:
        pages = asked_pages(pattern, 8, 1000, 7)
        assert int(pages.max()) + pattern.pages <= REGION_PAGES
        if pattern.order == "random" and pattern.pages == 1:
            stream = GfnStream(pages + np.uint64(BASE_GFN), unchanging(1000))
            assert set(expected_gfns(slots_of(Layout(8, HVA)), stream).tolist()) == set(range(8))


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 300), st.sampled_from(PATTERNS), st.booleans(), st.integers(0, 99))
def test_the_checksum_is_that_of_the_oracle(count: int, pattern: Pattern, aside: bool, seed: int) -> None:
    """The tool's blocks are held to a sum found by division; the oracle goes through the slots one by one."""
    layout = Layout(1 if aside else count, HVA, aside)
    pages = asked_pages(pattern, count, 50, seed)
    starts = np.uint64(HVA) + pages * np.uint64(4096)
    stream = HvaStream(starts, starts + np.uint64(4096 * pattern.pages), unchanging(50))
    numbers = expected_hvas(slots_of(layout), stream).numbers
    assert expected_checksum(pages, pattern.pages, layout) == int((numbers.astype(np.int64) + 1).sum())


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_strategy_that_lost_a_slot_is_caught_in_the_timed_block(pattern: Pattern) -> None:
    """Planted: of 8 slots the strategy holds 7. In holes nothing is to be found, so nothing can be missed."""
    worker = Worker(DEVICE)
    worker.layout = Layout(8, worker.memory.hva)
    block = Block("hot", pattern, 8, 256, 1)
    for kept in (8, 7):
        table = worker.layout.creations(1)[:kept]
        strategy = make_strategy("kvm-5.17", placement="slab")
        assert isinstance(strategy, NativeStrategy)
        strategy.load_table(table)
        worker.calls = native.KernelCalls(strategy.native, numbers_in_order(table))
        if kept == 8 or pattern.order == "hole":
            assert worker.time(block) > 0
        else:
            with pytest.raises(BrokenStrategy, match="not those of the 8 slots"):
                worker.time(block)


@pytest.mark.parametrize("number", [1, 5, 0xFFFF, 1 << 16, 2 << 16, -1, -(1 << 31)])
def test_a_slot_number_that_does_not_exist_is_refused(number: int) -> None:
    strategy = native.Strategy("linear", "linear")
    strategy.apply(np.array([[0, 0, 0, 1, HVA, 0]], np.uint64))
    with pytest.raises(ValueError, match=f"slot {number} does not exist"):
        native.KernelCalls(strategy, np.array([0, number], np.int32))


def test_advised_pages_are_gone_and_others_stay() -> None:
    memory = native.SlotMemory(1 << 20)
    ctypes.memset(memory.hva, 0x5A, 1 << 20)
    starts = np.array([memory.hva + 4096 * page for page in (3, 9, 200)], dtype=np.uint64)
    spent = memory.time_drops(starts, starts + np.uint64(4096), 2)
    assert len(spent) == 2
    held = ctypes.string_at(memory.hva, 1 << 20)
    assert {page for page in range(256) if held[page * 4096] == 0} == {3, 9, 200}


def test_ranges_outside_the_memory_are_refused() -> None:
    memory = native.SlotMemory(1 << 20)
    end = np.array([memory.hva + (1 << 20) + 4096], dtype=np.uint64)
    with pytest.raises(ValueError, match="range 0 is outside"):
        memory.time_drops(end - np.uint64(8192), end, 1)


@pytest.mark.parametrize(("path", "error"), [("/nowhere/kvm", FileNotFoundError), ("/dev/null", OSError)])
def test_what_is_no_kvm_raises_what_was_tried(path: str, error: type[OSError]) -> None:
    with pytest.raises(error, match=path):
        native.KernelVm(path)


# One round after another: what one slot cost, and what many did.
def series(one: list[float], more: list[float]) -> figures.Series:
    return figures.Series(one=one, many=[a + b for a, b in zip(one, more, strict=True)])


ONE = [100.0, 140.0, 90.0, 100.0, 110.0, 95.0, 105.0]
STEADY = [20.0, 22.0, 18.0, 21.0, 19.0, 20.0, 20.0]


def times(factor: float) -> list[float]:
    return [factor * ns for ns in STEADY]


def test_a_marginal_cost_is_taken_round_by_round() -> None:
    assert figures.Series(one=[100.0, 140.0], many=[130.0, 150.0]).marginal() == [30.0, 10.0]


@pytest.mark.parametrize(
    ("tool", "verdict", "ratio"),
    [
        (times(1.25), "within", 1.25),
        (times(0.8), "within", 0.8),
        (times(2.0), "beyond", 2.0),
        (times(0.5), "beyond", 0.5),
        # Round by round 1.3, 1.3, 1.7, 1.4, 1.45, 1.4, 1.4 times the kernel's: the interval holds 1.5.
        ([26.0, 28.6, 30.6, 29.4, 27.55, 28.0, 28.0], "open", 1.4),
        # Now more, now less than the kernel's.
        ([25.0, 18.0, 20.0, 17.0, 25.0, 20.0, 19.0], "equal", 1.0),
    ],
)
def test_fidelity(tool: list[float], verdict: str, ratio: float) -> None:
    found = figures.fidelity(series(ONE, STEADY), series(ONE, tool), noise=0.0)
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(ratio)


def test_where_the_kernel_itself_is_not_told_from_nothing_there_is_no_ratio() -> None:
    around_zero = [1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0]
    found = figures.fidelity(series(ONE, around_zero), series(ONE, STEADY), noise=0.0)
    assert (found.verdict, found.ratio) == ("too small", None)
    # 18 to 22 ns, on a machine that puts equal VMs 18 ns apart.
    assert figures.fidelity(series(ONE, STEADY), series(ONE, STEADY), noise=18.0).verdict == "too small"


def test_a_round_below_zero_widens_the_ratio_instead_of_ending_it() -> None:
    kernel = [18.0, 19.0, 20.0, 20.0, 20.0, 20.0, 20.0, 21.0, 22.0]
    tool = [-3.0, 38.0, 40.0, 40.0, 40.0, 40.0, 40.0, 42.0, 44.0]
    found = figures.fidelity(series([100.0] * 9, kernel), series([100.0] * 9, tool), noise=0.0)
    # Nine rounds: the interval leaves out the smallest and the largest. 38 / 21, 40 / 20, 42 / 19.
    assert (found.low, found.ratio, found.high) == pytest.approx((38 / 21, 2.0, 42 / 19))
    assert found.verdict == "beyond"


def test_too_few_rounds_decide_nothing() -> None:
    few = figures.fidelity(series(ONE[:3], STEADY[:3]), series(ONE[:3], times(9.0)[:3]), noise=0.0)
    assert few.verdict == "too small"


def lookups(kernel: list[float], tool: list[float]) -> dict[str, Any]:
    shared = {"role": "gfn", "order": "random", "pages": 1, "operations": 128}
    ours = series(ONE, tool).model_dump()
    return {**shared, "kernel": series(ONE, kernel).model_dump(), "hot": ours, "called": ours}


def measurement() -> figures.Measurement:
    """By hand: two VMs of one slot come out 3 ns apart, of 8 slots the kernel's cost is 20 and the tool's 30 ns."""
    samples = [1000.0, 2000.0, 3000.0]
    changes = dict.fromkeys(("add", "log_on", "log_off", "move", "delete"), samples)
    found = {1: lookups([-3.0] * 7, [0.0] * 7), 8: lookups(STEADY, times(1.5))}
    return figures.Measurement.model_validate(
        {
            "schema_version": 1,
            "machine": MACHINE,
            "strategy": "kvm-5.17",
            "placement": "slab",
            "displaced": {"gfn": 1024},
            "limit": 32_764,
            "batched": True,
            "rounds": 7,
            "baselines": {"gfn_no_lookup": [90.0], "hva_no_vm": [200.0], "hva_no_slot": [450.0]},
            "points": [
                {"slots": n, "builds": 1, "lookups": [each], "changes": {"fill": 4000.0, **changes}}
                for n, each in found.items()
            ],
        }
    )


def test_the_control_tells_what_no_difference_is() -> None:
    assert measurement().noise("gfn lookup, random") == 3.0


def test_a_row_for_each_pattern_and_slot_count() -> None:
    one, eight = figures.rows(measurement())
    assert one.slots == 1 and one.hot.fidelity is None
    assert (eight.kernel.median, eight.hot.median, eight.called.median) == pytest.approx((20.0, 30.0, 30.0))
    assert eight.hot.fidelity is not None
    assert eight.hot.fidelity.ratio == pytest.approx(1.5)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(figures.to_json(measurement()))
    assert figures.read_measurement(path) == measurement()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda saved: saved.pop("points"), "at points"),
        (lambda saved: saved.update(schema_version=2), "at schema_version"),
        (lambda saved: saved["points"][0]["lookups"][0]["hot"]["one"].pop(), "must be equal"),
        (lambda saved: saved["points"][0]["changes"].update(add=[]), "at points.0.changes.add"),
        (lambda saved: saved.update(more=1), "at more"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, damage: Any, told: str) -> None:
    saved = json.loads(figures.to_json(measurement()))
    damage(saved)
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(saved))
    with pytest.raises(InputFileError, match=told) as refused:
        figures.read_measurement(path)
    assert "\n" not in str(refused.value)


def test_the_schema_in_the_repository_is_the_one_in_force() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == figures.schema()


def test_the_recording_that_ships_is_whole() -> None:
    saved = json.loads(recorded_path().read_bytes())
    jsonschema.validate(saved, json.loads(SCHEMA.read_text(encoding="utf-8")))
    measured = figures.read_measurement(recorded_path())
    assert figures.as_json(measured) == saved  # its ratios are those of its samples
    assert measured.points[0].slots == 1
    assert max(point.slots for point in measured.points) == measured.limit
    asked = {(pattern.role, pattern.order, pattern.pages) for pattern in PATTERNS}
    for point in measured.points[1:]:
        assert {(each.role, each.order, each.pages) for each in point.lookups} == asked


def test_the_recording_is_shown_as_one() -> None:
    shown = invoke("--recorded")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("Recorded, not measured now: ")
    for heading in ("gfn lookup, random", "gfn lookup, next", "hva invalidation, random", "Slot changes in the kernel"):
        assert heading in shown.stdout


def test_json_is_the_published_form() -> None:
    printed = json.loads(invoke("--recorded", "--json").stdout)
    assert printed == json.loads(recorded_path().read_bytes())


def test_the_table_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(figures.to_json(measurement()))
    lines = invoke("--from", str(path)).stdout.splitlines()
    (row,) = [line.split() for line in lines if line.split()[:1] == ["8"] and "20.0" in line]
    # slots, the kernel's with its interval, hot and called with theirs, each with the ratio and what it comes to
    # 1.5 times the kernel's in every round is the goal's very edge.
    assert row == ["8", "20.0", "[18.0,", "22.0]", *["30.0", "[27.0,", "33.0]", "1.50"] * 2]
    (changed,) = [line.split() for line in lines if line.split()[:2] == ["8", "4"]]
    assert changed[2:5] == ["2", "[too", "few]"]


def test_a_plot_has_a_line_for_each_side_of_each_pattern(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    measured = figures.read_measurement(recorded_path())
    write_files([(path, drawing(measured, "svg"))])
    found = symbols(path)
    most = max(point.slots for point in measured.points)
    patterns = measured.lookups()
    for name in ("Linux", "kvm-5.17, hot", "kvm-5.17, as the kernel calls"):
        assert len(found[name, most]) == len(patterns)  # with the most slots, each costs more than nothing
    assert set(patterns) <= set(words(path))


def test_without_kvm_it_says_so_and_shows_nothing_in_its_place(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    outcome = invoke("--device", str(tmp_path / "kvm"), "--save", str(saved))
    assert isinstance(outcome.exception, SlotlookupError)
    assert outcome.exception.exit_code == 1
    told = str(outcome.exception)
    assert "No such file" in told and "load the kvm module" in told and "--recorded" in told and "\n" not in told
    assert outcome.stdout == "" and not saved.exists()


class OldKernel:
    """A measuring process on a kernel that lets a VM have 509 slots."""

    def ask(self, name: str, *_: object) -> object:
        assert name == "limit"
        return 509, False


def test_more_slots_than_the_kernel_allows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "missing", lambda device: None)
    monkeypatch.setattr(measure, "clients", lambda device: nullcontext((OldKernel(), OldKernel())))
    with pytest.raises(UsageError, match="600 is more than the 509"):
        measure.measure((600,), measure.EFFORTS["quick"], DEVICE, lambda what, part: None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--recorded", "--slots", "1"), "measure nothing"),
        (("--recorded", "--quick"), "measure nothing"),
        (("--recorded", "--from", "x.json"), "exclude each other"),
        (("--recorded", "--plot", "x.pdf"), "end the name in .svg or .png"),
        (("--recorded", "--save", "nowhere/x.json"), "there is no directory"),
        (("--slots", "0"), "not within 1 to 32,764"),
        (("--slots", "one"), "is not a number"),
        (("--from", "nowhere.json"), "cannot be read"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], told: str) -> None:
    refused = invoke(*arguments).exception
    assert isinstance(refused, UsageError)
    assert told in str(refused) and "\n" not in str(refused)


def test_a_narrow_terminal_has_every_column() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(command, ["--recorded"], standalone_mode=False).stdout
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.split()[:1] == ["slots"]]
    assert heads[0] == ["slots", "kernel", "hot", "ratio", "called", "ratio"]
    assert heads[-1] == ["slots", "fill", "add", "log", "on", "log", "off", "move", "delete"]
