"""The model: properties under random operations, every order of small races, and planted bugs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interleaving import CASES, explore
from model_mutations import MUTATIONS
from model_world import (
    World,
    check_ages,
    check_balloon,
    check_chains,
    check_deletion,
    check_dirty_reaches_frames,
    check_fork,
    check_logs,
    check_whole_huge,
    check_written_pages_stay,
)

from slotlookup.memslots import READONLY
from slotlookup.model.host import Host
from slotlookup.model.mmu.settings import find_paging
from slotlookup.model.notifier import EVERYTHING, InvalidateState, Retry
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGINGS = ["ept", "ept-no-ad", "ept-2008", "shadow"]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(PAGINGS), st.integers(0, 2**32), st.booleans())
def test_properties_hold_under_any_treatment(paging: str, seed: int, logged: bool) -> None:
    World(paging, seed, logged).churn(25)


LOOKS = [
    check_ages,
    check_balloon,
    check_deletion,
    check_dirty_reaches_frames,
    check_fork,
    check_whole_huge,
    check_written_pages_stay,
]


@pytest.mark.parametrize("check", LOOKS)
def test_one_property_at_a_time(check: Callable[[World], None]) -> None:
    check(World())


def test_chains_hold_what_is_mapped() -> None:
    check_chains(World("shadow"))


def test_logs_tell_every_write() -> None:
    check_logs(World(logged=True))


def test_everything_happened_in_these_worlds() -> None:
    """Random treatment proves little unless it reaches everything that the host and the guest can do."""
    total: dict[str, int] = {}
    for paging in PAGINGS:
        for seed in range(2):
            world = World(paging, seed, logged=seed == 1)
            world.churn(70, checked=False)
            world.check()
            for part in world.vm.report().values():
                for key, value in part.items():
                    total[key] = total.get(key, 0) + value
    # Faults that no mapping allows, and what other tests are for.
    unmet = {key for key, value in total.items() if not value} - {"mmio", "mmio_known", "readonly_writes"}
    unmet -= {"bad", "missed", "pinned", "wrongly_evicted", "forced", "uffd_missing"}
    assert not unmet


@pytest.mark.parametrize("retry", list(Retry))
@pytest.mark.parametrize("case", CASES)
def test_no_order_of_steps_leaves_a_stale_spte(case: str, retry: Retry) -> None:
    if retry is Retry.ANY and case.count(",") > 1:
        pytest.skip("the older form differs from today's in the ranges it asks for, which two machines show")
    schedules, retries = explore(CASES[case], retry)
    assert schedules > 1 and retries > 0


def test_the_number_of_schedules_is_what_arithmetic_says() -> None:
    # Three machines of three steps each, none of which ends early: 9! / (3! 3! 3!).
    assert explore(CASES["fault, two invalidations"], Retry.GFN_RANGE)[0] == 1680


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (owner, attribute, bug), witness = MUTATIONS[name]
    monkeypatch.setattr(owner, attribute, bug(getattr(owner, attribute)))
    with pytest.raises((AssertionError, RuntimeError)):
        witness()


def test_the_union_only_grows() -> None:
    state = InvalidateState()
    state.begin()
    state.add_range(10, 20)
    state.begin()
    state.add_range(40, 50)
    assert state.overtaken(state.seq, 15) and state.overtaken(state.seq, 30), "what lies between counts too"
    state.finish()
    assert state.overtaken(state.seq, 45) and not state.overtaken(state.seq, 60)
    state.finish()
    assert not state.overtaken(state.seq, 15) and state.overtaken(0, 60)
    with pytest.raises(RuntimeError):
        state.finish()


def small(paging: str = "ept") -> tuple[Host, Vm, int]:
    host = Host(64 << 20)
    vm = Vm(make_strategy("linear"), host, paging=paging)
    hva = int(host.mmap(4 << 20))
    vm.set_user_memory_region(0, 0, 1 << 20, hva)
    vm.set_user_memory_region(1, 4 << 20, 1 << 20, hva + (1 << 20), READONLY)
    vm.start()
    return host, vm, hva


def test_ranges_of_any_kind() -> None:
    host, vm, hva = small()
    both = np.array([0, 255, 1024, 1279])
    for start, end, left in (
        (hva - 8192, hva - 4096, both.tolist()),
        (hva + 100, hva + 101, [255, 1024, 1279]),
        (hva + (1 << 20) - 1, hva + (1 << 20) + 1, [0, 1279]),
        (*EVERYTHING, []),
    ):
        vm.access(0, both, False)
        with host.invalidating(start, end):
            assert vm.sptes.mapped_gfns(0, 0, 2048).tolist() == left
    assert vm.notifier.counters.missed == 2  # start and end of the first
    assert vm.notifier.state.seq == 3 and vm.notifier.state.in_progress == 0


def test_holes_and_read_only_slots_leave_the_guest() -> None:
    _, vm, _ = small()
    vm.access(0, [300, 300, 300, 1024, 1024], [False, True, True, False, True])
    counters = vm.counters
    assert (counters.mmio, counters.mmio_known, counters.readonly_writes, counters.faults) == (3, 2, 1, 1)
    # A slot change lets the VM forget which gfns are holes.
    vm.set_user_memory_region(2, 8 << 20, 4096, 0x1000_0000)
    vm.access(0, 300)
    assert (counters.mmio, counters.mmio_known, len(vm.recorder)) == (4, 2, 5)


def test_huge_sptes_at_both_levels() -> None:
    host = Host(3 << 30)
    vm = Vm(make_strategy("linear"), host)
    giant, huge = host.mmap(1 << 30, giant=True), host.mmap(4 << 20)
    host.advise(huge, 4 << 20, hugepage=True)
    vm.set_user_memory_region(0, 0, 1 << 30, giant)
    vm.set_user_memory_region(1, 4 << 30, 4 << 20, huge)
    vm.start()
    vm.access(0, np.arange(0, 1 << 18, 1000), True)
    assert vm.counters.faults == 1 and len(vm.sptes.mapped_gfns(0, 0, 1 << 18)) == 1 << 18
    vm.access(0, (1 << 20) + np.arange(1024), True)
    assert vm.counters.faults == 3
    # One page of the huge page goes: all of its spte does; the rest comes back in small pages.
    host.dontneed(huge + 4096, 4096)
    assert len(vm.sptes.mapped_gfns(0, 1 << 20, (1 << 20) + 1024)) == 512
    vm.access(0, (1 << 20) + np.arange(512), False)
    assert vm.counters.faults == 3 + 512


PRESSURE = {"accessed-bit": (0, 0), "always-young": (1, 0), "young-and-unmap": (0, 0), "not-young": (0, 1)}


@pytest.mark.parametrize("policy", PRESSURE)
def test_what_a_young_policy_costs(policy: str) -> None:
    host = Host(8 << 20)
    paging = find_paging("ept") if policy == "accessed-bit" else find_paging("ept-2008", policy)
    vm = Vm(make_strategy("linear"), host, paging=paging)
    vm.set_user_memory_region(0, 0, 16 << 20, host.mmap(16 << 20))
    vm.start()
    draw = np.random.Generator(np.random.PCG64(5))
    for _ in range(40):
        # A working set that fits, and a walk through all the rest.
        vm.access(0, np.concatenate([draw.integers(0, 400, 2000), draw.integers(400, 4096, 300)]), True)
    report = vm.report()
    pins, mistakes = PRESSURE[policy]
    assert (report["notifier"]["pinned"] > 0, report["notifier"]["wrongly_evicted"] > 0) == (bool(pins), bool(mistakes))
    assert report["host"]["major"] > 0 and (policy != "not-young" or report["host"]["swap_cache_hits"] > 0)
