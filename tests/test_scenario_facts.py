"""The questions of scenarios, calculated by hand, counted by brute force, or taken from recordings."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from slotlookup.address import HOLE
from slotlookup.arrays import Bools
from slotlookup.errors import UsageError
from slotlookup.memslots import ChangeKind
from slotlookup.model.host import bits, userfault
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.mmu.reference import ReferenceStrategy
from slotlookup.model.scenario import Scenario
from slotlookup.model.vm import Vm
from slotlookup.oracle import expected_gfns, expected_hvas
from slotlookup.registry import find_workload
from slotlookup.trace import EventKind, Events, Trace

PAGE = 4096
LOOKUP, VISIT, CHANGE = EventKind.GFN_LOOKUP, EventKind.HVA_VISIT, EventKind.SLOT_CHANGE


def play(name: str, *, slots: int, memory: int, events: int) -> Vm:
    scenario = find_workload(name)
    assert isinstance(scenario, Scenario)
    return scenario.run(ReferenceStrategy(), slots=slots, memory=memory, events=events)


def trace_of(vm: Vm) -> Trace:
    return vm.trace("t", "modelled")


def gfn_at(vm: Vm, hva: int) -> int:
    """The gfn behind an hva that one slot shows."""
    (slot,) = [s for s in vm.memslots if s.userspace_addr <= hva < s.userspace_end]
    return slot.base_gfn + (hva - slot.userspace_addr) // PAGE


def ranges(vm: Vm, events: Events) -> list[tuple[int, int]]:
    """Visits as the gfn where they begin and their pages. Start and end of an invalidation follow one another."""
    assert (events["kind"] == VISIT).all() and len(events) % 2 == 0
    starts, ends = events["a"].astype(np.int64), events["b"].astype(np.int64)
    assert (starts[::2] == starts[1::2]).all() and (ends[::2] == ends[1::2]).all()
    return [(gfn_at(vm, a), (b - a) // PAGE) for a, b in zip(starts[::2].tolist(), ends[::2].tolist(), strict=True)]


# memslot_perf_test. 8 MiB and a page, of which the test leaves out the first; 3 slots of 683 pages behind slot 0. The
# second slot begins at the test's page 682, the third at 1365.
PERF = {"slots": 4, "memory": (8 << 20) + PAGE}
PAGES = 2048
HALF = 1024
FIRST = 0x10001


def test_perf_slots() -> None:
    slots = list(play("memslot-perf-map", slots=5, memory=10 * PAGE, events=10).memslots)
    assert [(s.number, s.base_gfn, s.npages) for s in slots][1:] == [
        (1, 0x10000, 2),
        (2, 0x10002, 2),
        (3, 0x10004, 2),
        (4, 0x10006, 4),  # the last takes the remainder
    ]


def test_map() -> None:
    vm = play("memslot-perf-map", **PERF, events=2 * (4 + HALF))
    events = vm.recorder.events()
    for first, cuts in ((0, [(HALF, 341), (1365, 683)]), (1, [(0, 682), (682, 342)])):
        part = events[first * (4 + HALF) : (first + 1) * (4 + HALF)]
        assert ranges(vm, part[:4]) == [(FIRST + at, count) for at, count in cuts]
        assert part["a"][4:].tolist() == list(range(FIRST + first * HALF, FIRST + (first + 1) * HALF))
        assert (part["kind"][4:] == LOOKUP).all()


def test_unmap() -> None:
    vm = play("memslot-perf-unmap", **PERF, events=2 + 2 * PAGES)
    events = vm.recorder.events()
    lookups = np.flatnonzero(events["kind"] == LOOKUP)
    assert lookups.tolist() == [0, 1 + PAGES]  # one page of each half, before the half goes
    assert events["a"][lookups].tolist() == [FIRST, FIRST + HALF]
    assert ranges(vm, np.delete(events, lookups)) == [(FIRST + page, 1) for page in range(PAGES)]


def test_unmap_chunked() -> None:
    vm = play("memslot-perf-unmap-chunked", **PERF, events=2 + 12)
    events = vm.recorder.events()
    chunks = [(0, 512), (512, 170), (682, 342), (1024, 341), (1365, 171), (1536, 512)]
    visits = events[events["kind"] == VISIT]
    assert ranges(vm, visits) == [(FIRST + at, count) for at, count in chunks]


def test_a_page_a_slot_makes_chunks_of_a_page() -> None:
    memory = 1025 * PAGE
    by_page = play("memslot-perf-unmap", slots=1026, memory=memory, events=2050)
    by_chunk = play("memslot-perf-unmap-chunked", slots=1026, memory=memory, events=2050)
    assert by_page.recorder.events().tolist() == by_chunk.recorder.events().tolist()


@pytest.mark.parametrize(("name", "missed"), [("active", 25), ("inactive", 0)])
def test_move(name: str, missed: int) -> None:
    vm = play(f"memslot-perf-move-{name}", **PERF, events=102 * 4)
    trace = trace_of(vm)
    changes = [change.slot.base_gfn for change in trace.changes]
    assert {change.kind for change in trace.changes} == {ChangeKind.MOVE}
    source, end = 0x10000 + 2 * 683, 0x10000 + 3 * 683
    assert changes == [end, source] * 4  # behind all slots, and back
    assert np.flatnonzero(trace.events["kind"] == CHANGE).tolist() == [
        at for i in range(4) for at in (102 * i + 50, 102 * i + 101)
    ]
    answers = expected_gfns(trace.start, trace.gfn_stream()).reshape(8, 50)
    written = trace.events["a"][trace.events["kind"] == LOOKUP].astype(np.int64).reshape(8, 50)
    assert (np.sort(written) == np.arange(source - 50 + missed, source + missed)).all()
    assert np.count_nonzero(answers == HOLE, axis=1).tolist() == [0, missed] * 4
    assert np.count_nonzero(answers == 3, axis=1).tolist() == [missed, 0] * 4


def test_rw() -> None:
    vm = play("memslot-perf-rw", **PERF, events=PAGES)
    events = vm.recorder.events()
    assert events["a"].tolist() == list(range(FIRST, FIRST + PAGES)) and (events["kind"] == LOOKUP).all()
    # The host came first, so that no guest access filled a page but the one by which both wait.
    assert vm.report()["host"]["zero_fills"] == PAGES + 1


def test_a_move_needs_room() -> None:
    with pytest.raises(UsageError, match="it writes 25 there and 25 below; use fewer slots or more memory"):
        play("memslot-perf-move-active", slots=2, memory=(8 << 20) + PAGE, events=10)


# Migration.


def test_precopy_reads_each_log_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[int, set[int]] = {}
    compared = Counter[str]()
    access, read, change = Vm.access, Vm.get_dirty_log, Vm.set_user_memory_region

    def noted_access(vm: Vm, vcpus: Any, gfns: Any, writes: Any = False) -> None:
        access(vm, vcpus, gfns, writes)
        for gfn in np.atleast_1d(gfns)[np.broadcast_to(writes, np.shape(gfns))].tolist():
            for number, pages in written.items():
                slot = vm.memslots.get(number)
                assert slot is not None
                if slot.base_gfn <= gfn < slot.end_gfn:
                    pages.add(gfn - slot.base_gfn)

    def noted_read(vm: Vm, number: int) -> Bools:
        log = read(vm, number)
        assert set(np.flatnonzero(log).tolist()) == written[number]
        compared["rounds"] += 1
        compared["pages"] += len(written[number])
        written[number] = set()
        return log

    def noted_change(vm: Vm, number: int, gpa: int, size: int, hva: int, flags: int = 0) -> Any:
        if flags:
            written[number] = set()
        else:
            written.pop(number, None)
        return change(vm, number, gpa, size, hva, flags)

    monkeypatch.setattr(Vm, "access", noted_access)
    monkeypatch.setattr(Vm, "get_dirty_log", noted_read)
    monkeypatch.setattr(Vm, "set_user_memory_region", noted_change)
    vm = play("precopy", slots=3, memory=1 << 20, events=2500)
    assert compared["rounds"] > 3 * 8 and compared["pages"] > 1000
    for number, pages in written.items():
        assert set(np.flatnonzero(vm.dirty[number]).tolist()) == pages


def test_postcopy_brings_each_missing_page_once(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: set[int] = set()
    migrations: list[tuple[int, int, int]] = []
    background = touched = 0

    def absent(mm: AddressSpace, hva: int, size: int) -> set[int]:
        index = mm.pages.indices(0, hva // PAGE, (hva + size) // PAGE)
        return set(mm.pages.page_of(index[mm.pages.pte[index] == 0]).tolist())

    register, copy, unregister = userfault.register, userfault.copy, userfault.unregister

    def noted_register(mm: AddressSpace, hva: int, size: int, **modes: bool) -> None:
        nonlocal background, touched
        register(mm, hva, size, **modes)
        missing.clear()
        missing.update(absent(mm, hva, size))
        background, touched = 0, mm.counters.uffd_missing

    def noted_copy(mm: AddressSpace, hva: int, size: int) -> None:
        nonlocal background
        before = absent(mm, hva, size)
        assert before <= missing
        copy(mm, hva, size)
        background += len(before) - len(absent(mm, hva, size))

    def noted_unregister(mm: AddressSpace, hva: int, size: int) -> None:
        unregister(mm, hva, size)
        assert not absent(mm, hva, size)
        migrations.append((len(missing), background, mm.counters.uffd_missing - touched))

    monkeypatch.setattr(userfault, "register", noted_register)
    monkeypatch.setattr(userfault, "copy", noted_copy)
    monkeypatch.setattr(userfault, "unregister", noted_unregister)
    play("postcopy", slots=4, memory=24 << 20, events=20_000)
    assert len(migrations) >= 2
    assert migrations[0][0] == 24 << 8  # all of memory at first
    for pages, streamed, fetched in migrations:
        assert streamed + fetched == pages and streamed > 100 and fetched > 100


# Slots that come and go.


def test_firmware_makes_the_changes_that_were_recorded() -> None:
    """q35-2G-dynamic: 37 changes until firmware is done, and 28 from the reset at its end on."""

    def calls(events: Events) -> list[tuple[int, ...]]:
        changes = events[events["kind"] == CHANGE]
        return [(int(e["slot"]), int(e["a"]), int(e["b"]), int(e["flags"]) if e["b"] else 0) for e in changes]

    recorded = calls(find_workload("q35-2G-dynamic").build().events)
    vm = play("firmware", slots=9, memory=2 << 30, events=6000)
    made = calls(vm.recorder.events())
    assert made[:37] == recorded[:37]
    assert made[37:65] == recorded[-28:]
    trace = trace_of(vm)
    until = int(np.flatnonzero(trace.events["kind"] == CHANGE)[64]) + 1
    settled = Trace("t", trace.start, trace.events[:until], trace.provenance).final_slots()
    assert len(settled) == 9


def test_firmware_keeps_dimms_where_they_are() -> None:
    trace = trace_of(play("firmware", slots=25, memory=256 << 20, events=5000))
    dimms = [change for change in trace.changes if change.slot.base_gfn >= 1 << 20]
    assert [change.kind for change in dimms] == [ChangeKind.CREATE] * 16
    assert sum(change.slot.npages for change in dimms) == 32_768 and dimms[0].slot.base_gfn == 1 << 20


def test_hotplug_plugs_all_and_drops_a_slot_before_it_goes() -> None:
    vm = play("hotplug", slots=6, memory=4 << 20, events=20_000)
    trace = trace_of(vm)
    held, most, gone = len(trace.start), 0, 0
    changes = iter(trace.changes)
    dropped = Counter[int]()
    there: dict[int, Any] = {}
    for event in trace.events:
        if event["kind"] == VISIT:
            page, pages = int(event["a"]) // PAGE, (int(event["b"]) - int(event["a"])) // PAGE
            dropped.update(range(page, page + pages))
        elif event["kind"] == CHANGE:
            change = next(changes)
            slot = change.slot
            if change.kind is ChangeKind.CREATE:
                held += 1
                there[slot.number] = slot
                for page in range(slot.userspace_addr // PAGE, slot.userspace_end // PAGE):
                    dropped[page] = 0
            else:
                held -= 1
                gone += 1
                first = slot.userspace_addr // PAGE
                # Odd slots are DIMMs of one block, even ones have four; all that was plugged has been dropped.
                assert all(dropped[page] >= 2 for page in range(first, first + slot.npages))
            most = max(most, held)
    assert most == 6 and gone > 5


# What the host does.


def test_swapped_pages_are_those_evicted_and_not_yet_back() -> None:
    vm = play("swap", slots=4, memory=8 << 20, events=30_000)
    host = vm.report()["host"]
    swapped = int(np.count_nonzero(vm.host.pages.pte & bits.SWAP))
    assert host["evicted"] - host["major"] - host["swap_cache_hits"] == swapped
    assert swapped > 100 and host["major"] > 1000
    frames = vm.host.pages.num[vm.host.pages.pte & bits.PRESENT != 0]
    assert len(set(frames.tolist()) - {bits.ZERO_PFN}) <= (8 << 8) * 5 // 8


def test_what_the_policies_of_2008_cost() -> None:
    """Accessed bits are never wrong; without them used pages are kept too long, or asked pages go, or used ones do."""
    reports = {}
    for policy in ("", "-2008-always-young", "-2008-unmap", "-2008-not-young"):
        reports[policy] = play(f"swap{policy}", slots=4, memory=8 << 20, events=20_000).report()
    told = reports[""]
    assert told["notifier"]["pinned"] == told["notifier"]["wrongly_evicted"] == 0 < told["notifier"]["young"]
    always = reports["-2008-always-young"]
    assert always["notifier"]["young"] == always["notifier"]["aged"] and always["notifier"]["pinned"] > 0
    assert always["host"]["forced"] > 0
    exits = {policy: report["guest"]["exits"] / report["guest"]["accesses"] for policy, report in reports.items()}
    assert exits["-2008-unmap"] > exits[""]  # what is asked must fault to be used again
    never = reports["-2008-not-young"]["notifier"]
    assert never["young"] == 0 and never["wrongly_evicted"] > 100


def test_each_copy_of_a_snapshot_is_a_visit_between_two_lookups() -> None:
    vm = play("snapshot", slots=4, memory=4 << 20, events=6000)
    events = vm.recorder.events()
    single = (events["kind"] == VISIT) & (events["b"] - events["a"] == PAGE)
    at = np.flatnonzero(single)[::2]
    at = at[at + 2 < len(events)]
    assert len(at) > 500
    for i in at.tolist():
        gfn = gfn_at(vm, int(events["a"][i]))
        assert events["kind"][i - 1] == events["kind"][i + 2] == LOOKUP
        assert events["a"][i - 1] == events["a"][i + 2] == gfn
        assert events["a"][i + 1] == events["a"][i]  # the end of the invalidation


def test_a_ballooned_page_is_looked_up_before_it_is_dropped_again() -> None:
    vm = play("balloon", slots=4, memory=4 << 20, events=20_000)
    looked_up: set[int] = set()
    dropped = 0
    for event in vm.recorder.events():
        if event["kind"] == LOOKUP:
            looked_up.add(int(event["a"]))
            continue
        gfn, pages = gfn_at(vm, int(event["a"])), (int(event["b"]) - int(event["a"])) // PAGE
        if pages == 1 and dropped % 2 == 0:
            assert gfn in looked_up
        dropped += pages == 1
        looked_up -= set(range(gfn, gfn + pages))
    assert dropped > 2000


def test_a_block_takes_one_lookup_and_splits_inside_the_visit_of_a_page() -> None:
    """Two slots of two blocks: four lookups fill them; then a page goes: start, the split's pair, end."""
    vm = play("hugepages", slots=2, memory=8 << 20, events=8)
    events = vm.recorder.events()
    assert events["kind"].tolist() == [LOOKUP] * 4 + [VISIT] * 4
    assert len({gfn // 512 for gfn in events["a"][:4].tolist()}) == 4
    assert ((events["b"] - events["a"])[4:] // PAGE).tolist() == [1, 512, 512, 1]
    inside = int(events["a"][4]) // (512 * PAGE)
    assert int(events["a"][5]) == inside * 512 * PAGE


def test_an_idle_scan_asks_for_every_page_once_in_order() -> None:
    vm = play("ageing", slots=4, memory=4 << 20, events=1024)
    events = vm.recorder.events()
    assert (events["kind"] == VISIT).all()
    pages = events["a"].astype(np.int64) // PAGE
    first = min(s.userspace_addr for s in vm.memslots) // PAGE
    assert pages.tolist() == list(range(first, first + 1024))
    assert (events["b"] - events["a"] == PAGE).all()


def test_merged_pages_are_mapped_nowhere_for_writing() -> None:
    vm = play("ksm", slots=4, memory=1 << 20, events=3000)
    host = vm.host
    assert host.counters.merged > 100 and host.counters.cow > 20
    present = np.flatnonzero(host.pages.pte & bits.PRESENT)
    frames = Counter(host.pages.num[present].tolist())
    shared = [i for i in present.tolist() if frames[int(host.pages.num[i])] > 1]
    assert len(shared) > 10 and not (host.pages.pte[shared] & bits.WRITE).any()


def test_a_booting_guest_finds_out_once_that_a_device_is_no_memory() -> None:
    trace = trace_of(play("boot", slots=4, memory=16 << 20, events=8000))
    missed = expected_gfns(trace.start, trace.gfn_stream()) == HOLE
    gfns = trace.events["a"][trace.events["kind"] == LOOKUP][missed].tolist()
    assert len(gfns) == len(set(gfns)) and len(gfns) > 4 * 12


def test_a_visit_of_nested_slots_meets_many() -> None:
    trace = trace_of(play("adversarial-nested", slots=16, memory=1 << 20, events=4000))
    met = expected_hvas(trace.start, trace.hva_stream()).counts
    # Windows are 8 pages shorter at each end than the one before: a page drawn evenly lies in 8.5 of 16 on average.
    assert 7 < float(np.mean(met)) < 10 and int(met.max()) == 16


def test_the_same_start_and_the_one_that_covers_all() -> None:
    vm = play("adversarial-same-start", slots=16, memory=1 << 20, events=100)
    assert len({slot.userspace_addr for slot in vm.memslots}) == 1
    assert len({slot.npages for slot in vm.memslots}) == 16
    trace = trace_of(play("adversarial-covered", slots=16, memory=1 << 20, events=4000))
    assert set(expected_hvas(trace.start, trace.hva_stream()).counts.tolist()) == {2}
