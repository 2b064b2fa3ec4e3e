"""Scenarios: every strategy reaches the same final state, and a faulty one does not."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click import UsageError as UsageMessage
from click.testing import CliRunner, Result
from planted_bugs import EndBelongs, FirstMatchOnly, KeepsDeleted, KeepsMoved, LastPageMissing, Plain

from slotlookup.address import Hva
from slotlookup.bench.cli import cli
from slotlookup.errors import BrokenStrategy, UsageError
from slotlookup.memslots import USER_SLOTS
from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.model.scenario import Scenario
from slotlookup.model.vm import Vm
from slotlookup.registry import find_workload, make_strategy, missing, strategy_names, workloads
from slotlookup.strategy import Strategy
from slotlookup.trace import EventKind

SCENARIOS = sorted(name for name, workload in workloads().items() if isinstance(workload, Scenario))
MEMORY = (2 << 20) + 4096
"""Small, so that a few hundred events go through all that a scenario does."""
OTHER_MEMORY = {"firmware": 8 << 20, "hugepages": 8 << 20}
OTHER_SLOTS = {"hugepages": 2, "firmware": 12}
EVENTS = 600


def scenario(name: str) -> Scenario:
    found = find_workload(name)
    assert isinstance(found, Scenario)
    return found


def small(name: str, strategy: Strategy, events: int = EVENTS) -> Vm:
    """A scenario at the size of these tests."""
    memory = OTHER_MEMORY.get(name, MEMORY)
    return scenario(name).run(strategy, slots=OTHER_SLOTS.get(name, 8), memory=memory, events=events, seed=3)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_smallest_guest_ends_or_is_refused(name: str) -> None:
    """A scenario that finds no more questions would never end."""
    played = scenario(name)
    for pages in (1, 2, 3):
        memory = max(pages, played.fewest_slots - played.slots_apart) << 12
        try:
            end = played.run(Plain(), slots=played.fewest_slots, memory=memory, events=60, seed=1)
        except UsageError as refused:
            assert "\n" not in str(refused)
        else:
            assert len(end.recorder) >= 60


@cache
def right_end(name: str) -> str:
    """The digest by brute force over all slots, which shares no code with any structure."""
    return small(name, Plain()).digest()


MIXED = ("gfn=linear,hva=interval-tree,cache=last-used,update=copy", "rbtree,cache=per-vcpu,update=two-sets")


@pytest.mark.parametrize("text", [*strategy_names(), *MIXED])
def test_every_strategy_comes_to_the_same_end_in_every_scenario(text: str) -> None:
    if lacking := missing(text):
        pytest.skip(lacking)
    for name in SCENARIOS:
        strategy = make_strategy(text)
        assert small(name, strategy).digest() == right_end(name), name
        strategy.check()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_trace_is_the_same_with_any_strategy(name: str) -> None:
    by_brute_force = small(name, Plain())
    by_columns = small(name, ReferenceStrategy())
    assert by_columns.digest() == right_end(name)
    traces = [vm.trace(name, "modelled").fingerprint for vm in (by_brute_force, by_columns)]
    assert traces[0] == traces[1]
    assert len(by_columns.recorder.events()) == EVENTS


class PageOff(Plain):
    """Visits begin a page late."""

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return super().visit_hva(Hva(start + 4096), Hva(end + 4096))


class DropsOneOfTwo(Plain):
    """Of two slots over the same host page, only one is reported."""

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        found = super().visit_hva(start, end)
        return found[:1] if len(found) == 2 and end - start == 4096 else found


CAUGHT_BY = [
    (EndBelongs, "boot"),
    (EndBelongs, "memslot-perf-move-active"),
    (LastPageMissing, "balloon"),
    (KeepsDeleted, "adversarial-churn"),
    (KeepsMoved, "memslot-perf-move-active"),
    (PageOff, "balloon"),
    (PageOff, "memslot-perf-unmap"),
    (FirstMatchOnly, "snapshot"),
    (FirstMatchOnly, "adversarial-nested"),
    (DropsOneOfTwo, "adversarial-covered"),
    (DropsOneOfTwo, "adversarial-same-start"),
]


@pytest.mark.parametrize(("wrong", "name"), CAUGHT_BY)
def test_a_wrong_strategy_does_not_pass(wrong: type[Strategy], name: str) -> None:
    try:
        end = small(name, wrong(), 5000).digest()
    except (BrokenStrategy, IndexError):
        return  # where an answer cannot be right whatever the state is, the run says so at once
    assert end != small(name, Plain(), 5000).digest()


@pytest.mark.parametrize("name", SCENARIOS)
def test_sizes(name: str) -> None:
    made = scenario(name)
    fewest = made.run(ReferenceStrategy(), slots=max(3, made.fewest_slots), events=200)
    assert len(fewest.recorder.events()) == 200
    if made.fewest_slots > 1:
        with pytest.raises(UsageError, match=f"it has {made.fewest_slots} to {made.most_slots:,}"):
            made.run(ReferenceStrategy(), slots=made.fewest_slots - 1)
    else:
        assert len(made.run(ReferenceStrategy(), slots=1, events=200).recorder.events()) == 200
    with pytest.raises(UsageError, match=f"{made.most_slots:,}; choose a number in this range"):
        made.run(ReferenceStrategy(), slots=made.most_slots + 1)
    with pytest.raises(UsageError, match=r"1,000 slots need a page each; increase --memory to 4,09[16],\d{3} or more"):
        made.run(ReferenceStrategy(), slots=1000, memory=400_000 & -4096)
    with pytest.raises(UsageError, match="whole pages"):
        made.run(ReferenceStrategy(), memory=(64 << 20) + 1)


def test_as_many_slots_as_kvm_has() -> None:
    vm = scenario("steady").run(ReferenceStrategy(), slots=USER_SLOTS, events=300)
    assert len(list(vm.memslots)) == USER_SLOTS and len(vm.recorder.events()) == 300


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_seed_decides(name: str) -> None:
    drawn = not name.startswith(("memslot-perf", "adversarial-alternating"))

    def events(seed: int) -> list[tuple[int, ...]]:
        memory = OTHER_MEMORY.get(name, MEMORY)
        vm = scenario(name).run(
            ReferenceStrategy(), slots=OTHER_SLOTS.get(name, 8), memory=memory, events=400, seed=seed
        )
        return vm.recorder.events().tolist()  # type: ignore[no-any-return]

    assert (events(1) != events(2)) == drawn


def test_what_each_scenario_asks() -> None:
    """Lookups everywhere; visits and changes where the host or the hypervisor is what the scenario is about."""
    for name in SCENARIOS:
        kinds = set(small(name, ReferenceStrategy(), 4000).recorder.events()["kind"].tolist())
        assert EventKind.GFN_LOOKUP in kinds
        assert (EventKind.HVA_VISIT in kinds) == (
            name not in ("precopy", "memslot-perf-move-active", "memslot-perf-move-inactive")
        ), name
        changing = ("firmware", "hotplug", "precopy", "mix", "adversarial-churn", "memslot-perf-rw")
        assert (EventKind.SLOT_CHANGE in kinds) == name.startswith((*changing, "memslot-perf-move")), name


def test_alternating_slots_follow_one_another_and_so_they_do_for_each_vcpu() -> None:
    vm = small("adversarial-alternating", ReferenceStrategy(), 4000)
    events = vm.recorder.events()
    lookups = events[events["kind"] == EventKind.GFN_LOOKUP]
    slots = vm.slots.numbers(0, lookups["a"].astype(np.int64))
    assert (slots[1:] != slots[:-1]).all()
    for vcpu in (0, 1):
        mine = slots[lookups["vcpu"] == vcpu]
        assert len(mine) > 100 and np.count_nonzero(mine[1:] == mine[:-1]) == 0


def test_nested_slots_lie_inside_each_other_and_the_innermost_page_is_in_all() -> None:
    slots = list(small("adversarial-nested", ReferenceStrategy()).memslots)
    for outer, inner in pairwise(sorted(slots, key=lambda slot: -slot.npages)):
        assert outer.userspace_addr < inner.userspace_addr and inner.userspace_end < outer.userspace_end
    innermost = min(slots, key=lambda slot: slot.npages)
    met = Plain()
    met.slots = {slot.number: slot for slot in slots}
    assert len(met.visit_hva(innermost.userspace_addr, Hva(innermost.userspace_addr + 1))) == len(slots) == 8


def test_what_is_asked_for_lies_behind_what_the_scan_meets_first() -> None:
    """By hand: of 8 slots the 4 large ones come first by size, so a scan that finds a small one has seen at least 5."""
    strategy = make_strategy("size-sorted", counted=True)
    vm = small("adversarial-sizes", strategy, 256)  # lookups only
    assert set(vm.recorder.events()["kind"].tolist()) == {EventKind.GFN_LOOKUP}
    examined = strategy.counters().slots_examined
    assert examined is not None and examined / len(vm.recorder) >= 5
    strategy = make_strategy("linear", counted=True)
    vm = scenario("adversarial-last").run(strategy, slots=32, memory=MEMORY, events=32)
    examined = strategy.counters().slots_examined
    assert examined is not None and examined / len(vm.recorder) >= 31


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(
        cli, ["run", "-s", "linear", "--counts-only", "--json", *arguments], standalone_mode=False
    )


def test_the_command_takes_a_guest_s_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = ("memslot-perf-unmap", "--slots", "5", "--events", "300", "--memory")
    found = {size: json.loads(run_command(*asked, size).stdout)["workload"] for size in ("1028k", "1052672", "2M")}
    assert {(w["slots"], w["events"]) for w in found.values()} == {(5, 300)}
    prints = {size: w["fingerprint"] for size, w in found.items()}
    assert prints["1028k"] == prints["1052672"] != prints["2M"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("steady", "--memory", "many"), "'many' is not a size; write bytes, or 64K, 1.5G, 64MiB"),
        (("steady", "--memory", "-4096"), "'-4096' is not a size"),
        (("steady", "--memory", "17G"), "--memory must be whole pages, at most 17,179,869,184 bytes"),
        (("steady", "--memory", "4095"), "must be whole pages"),
        (("synthetic-same", "--memory", "1G"), "only modelled workloads have guest memory"),
        (("two-slot.parquet", "--memory", "1G"), "only modelled workloads have guest memory"),
        (("swap", "--memory", "64K"), "swap needs 2,097,152; increase --memory"),
        (("firmware", "--memory", "8G", "--slots", "9"), "2,147,483,648 fit; decrease --memory"),
        (("firmware", "--memory", "8M", "--slots", "2000"), "1,991 DIMMs, which need a page each; increase --memory"),
    ],
)
def test_memory_that_cannot_be(arguments: tuple[str, ...], says: str) -> None:
    error = run_command(*arguments).exception
    assert isinstance(error, UsageError | UsageMessage)
    assert says in str(error) and "\n" not in str(error)
