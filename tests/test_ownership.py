"""Recordings of a whole machine: the selection of a VM's events, which of them are faults, and merging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_import_recordings import CALL, SLOTS, STRACE, written

from slotlookup.errors import InputFileError
from slotlookup.recordings.importing import open_source
from slotlookup.recordings.ownership import Chosen, Ranges
from slotlookup.recordings.recordings import Summary, import_files
from slotlookup.registry import importers
from slotlookup.trace import Trace

# SLOTS holds gfns 0 to 0xff at this address.
HVA = 0x7F0000000000
INSIDE, OUTSIDE = HVA + 0x1000, HVA + 0x100000


def unmap(hva: int) -> str:
    return f"kvm_unmap_hva_range: mmu notifier unmap range: {hva:#018x} -- {hva + 4096:#018x}"


def fault(gfn: int) -> str:
    return f"kvm_mmu_spte_requested: gfn {gfn:x} pfn 1 level 1"


def page_fault(gpa: int) -> str:
    return f"kvm_page_fault: vcpu 0 rip 0x0 address {gpa:#018x} error_code 0x6"


def lines(*events: tuple[str, str]) -> str:
    return "".join(f"  {who} [000] ...1. {i + 1}.000000: {what}\n" for i, (who, what) in enumerate(events))


def imported(tmp_path: Path, text: str, chosen: Chosen | None = None) -> tuple[Trace, Summary]:
    return import_files([written(tmp_path, "t", text), written(tmp_path, "s", SLOTS)], chosen=chosen)


def kept(tmp_path: Path, text: str, chosen: Chosen | None = None) -> list[int]:
    """What each kept event asks for: a gfn or the start of a range."""
    return [int(a) for a in imported(tmp_path, text, chosen)[0].events["a"]]


MACHINE = lines(
    ("CPU 0/KVM-11", fault(1)),
    ("CPU 1/KVM-12", fault(2)),
    ("qemu-10", unmap(INSIDE)),
    ("qemu-10", unmap(OUTSIDE)),
    ("kdamond.0-76", unmap(INSIDE + 0x1000)),
    ("kdamond.0-76", unmap(OUTSIDE + 0x1000)),
    ("browser-90", unmap(OUTSIDE + 0x2000)),
    ("CPU 0/KVM-21", fault(0x999)),
)


def test_of_a_machine_the_vms_events_are_kept(tmp_path: Path) -> None:
    trace, summary = imported(tmp_path, MACHINE)
    # The VM's own call outside its slots is asked for as well; those of others are not its.
    assert trace.events["a"].tolist() == [1, 2, INSIDE, OUTSIDE, INSIDE + 0x1000]
    account = summary.files[0]
    assert account.dropped == {
        "faults of other VMs' threads (CPU 0/KVM-21)": 1,
        "notifier calls for other processes (kdamond.0-76, browser-90)": 2,
    }
    assert account.names == {"kvm_mmu_spte_requested": (2, 3), "kvm_unmap_hva_range": (3, 5)}
    assert any("notifier calls that overlap a slot are from other threads: kdamond.0-76" in r for r in account.remarks)


def test_threads_are_chosen_by_id_or_name(tmp_path: Path) -> None:
    assert kept(tmp_path, MACHINE, Chosen(frozenset([12]))) == [2, INSIDE, INSIDE + 0x1000]
    assert kept(tmp_path, MACHINE, Chosen(comms=("CPU ?/KVM", "qemu"))) == [
        1,
        2,
        INSIDE,
        OUTSIDE,
        INSIDE + 0x1000,
        0x999,
    ]
    with pytest.raises(InputFileError, match=r"no event is from a selected thread.*CPU 0/KVM-11"):
        imported(tmp_path, MACHINE, Chosen(frozenset([77])))
    _, summary = imported(tmp_path, MACHINE, Chosen(frozenset([10])))
    assert any("the faulting threads are CPU 0/KVM-11" in remark for remark in summary.files[0].remarks)


def test_without_faults_only_calls_of_its_own_are_kept_outside_its_slots(tmp_path: Path) -> None:
    text = lines(
        ("qemu-10 (10)", unmap(INSIDE)),
        ("qemu-10 (10)", unmap(OUTSIDE)),
        ("kdamond.0-76 (76)", unmap(INSIDE)),
        ("kdamond.0-76 (76)", unmap(OUTSIDE)),
        ("browser-90 (90)", unmap(OUTSIDE)),
    )
    assert kept(tmp_path, text) == [INSIDE, OUTSIDE, INSIDE]
    assert kept(tmp_path, text, Chosen(frozenset([55]), required=False)) == [INSIDE, INSIDE]


def test_threads_that_may_be_several_vms_must_be_chosen(tmp_path: Path) -> None:
    for names in (("CPU 0/KVM-11", "CPU 0/KVM-21"), ("CPU 0/KVM-11", "fc_vcpu 0-21"), ("vm-1", "vm-2")):
        text = lines((names[0], fault(1)), (names[1], fault(2)))
        with pytest.raises(InputFileError, match=f"{names[0]}, {names[1]} .*--pid"):
            imported(tmp_path, text)
        assert kept(tmp_path, text, Chosen(frozenset([int(names[1].split("-")[1])]))) == [2]


def test_processes_are_told_apart_by_the_memory_they_change(tmp_path: Path) -> None:
    first = [("CPU 0/KVM-11 (10)", fault(1)), ("qemu-10 (10)", unmap(OUTSIDE))]
    second = [("CPU 0/KVM-21 (20)", fault(2)), ("qemu-20 (20)", unmap(INSIDE)), ("qemu-20 (20)", unmap(OUTSIDE))]
    trace, summary = imported(tmp_path, lines(*first, *second))
    assert trace.events["a"].tolist() == [2, INSIDE, OUTSIDE]
    assert any("of 2 VMs, process 20 is selected" in remark for remark in summary.files[0].remarks)
    for ambiguous in ([first[0], second[0]], [*first, ("qemu-10 (10)", unmap(INSIDE)), *second]):
        with pytest.raises(InputFileError, match=r"contains faults of 2 VMs.*--pid: CPU 0/KVM-11 \(process 10\)"):
            imported(tmp_path, lines(*ambiguous))
    assert kept(tmp_path, lines(*first, *second), Chosen(frozenset([10]))) == [1, OUTSIDE, INSIDE]


def test_names_are_printable_in_messages(tmp_path: Path) -> None:
    with pytest.raises(InputFileError) as caught:
        imported(tmp_path, lines(("\x1b[2Jvm-1", fault(1)), ("vm\t-2", fault(2))))
    assert str(caught.value).isprintable()


def lookups(text: str) -> list[int]:
    source = open_source(text)
    return [int(a) for a in importers()["ftrace"].read(source).events["a"]]


def test_a_fault_told_twice_is_one_lookup(tmp_path: Path) -> None:
    def told(*events: str) -> list[int]:
        return lookups(str(written(tmp_path, "f", lines(*(("vm-1", event) for event in events)))))

    walk = "kvm_mmu_pagetable_walk: addr 7000 pferr 4 U"
    changed = "kvm_tdp_mmu_spte_changed: as id 0 gfn 7 level 1 old_spte 0 new_spte 877"
    assert told(page_fault(0x5000), fault(5), page_fault(0xFEE00000), page_fault(0x6000), fault(6)) == [5, 0xFEE00, 6]
    assert told(page_fault(0x7F000000), walk, fault(5), page_fault(0x7F001000), walk) == [5]
    assert told(walk, fault(7), walk, walk, fault(8)) == [7, 8]
    assert told(page_fault(0x7000), changed) == [7] == told(fault(7), changed) == told(changed)
    assert told(page_fault(0x5000), page_fault(0x5000)) == [5, 5]
    assert told(walk) == []


KINDS = ("page_fault", "walk", "requested", "changed")


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(KINDS), st.integers(0, 3)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_faults_are_those_of_each_thread_alone(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, str, int]]
) -> None:
    """Against a walk through each thread's events, one by one, with what was said last in hand."""
    expected: list[tuple[int, int]] = []
    for thread in {t for t, _, _ in events}:
        own = [(i, kind, gfn) for i, (t, kind, gfn) in enumerate(events) if t == thread]
        pairs, pending = {}, None
        for i, kind, gfn in own:
            if kind == "page_fault":
                pending = gfn
            elif kind == "requested":
                if pending is not None:
                    pairs[i] = pending == gfn
                pending = None
        virtual = sum(not agree for agree in pairs.values()) > sum(pairs.values())
        silent = not any(kind in ("page_fault", "requested") for _, kind, _ in own)
        for i, kind, gfn in own:
            if (
                (kind == "page_fault" and not virtual)
                or (kind == "requested" and (virtual or i not in pairs))
                or (kind == "changed" and silent)
            ):
                expected.append((i, gfn))
    printed: dict[str, Callable[[int], str]] = {
        "page_fault": lambda gfn: page_fault(gfn << 12),
        "walk": lambda gfn: f"kvm_mmu_pagetable_walk: addr {gfn << 12:x} pferr 4 U",
        "requested": fault,
        "changed": lambda gfn: f"kvm_tdp_mmu_spte_changed: as id 0 gfn {gfn:x} level 1 old_spte 0 new_spte 877",
    }
    text = lines(*((f"vm-{t}", printed[kind](gfn)) for t, kind, gfn in events)) or "# tracer: nop\n"
    path = written(tmp_path_factory.mktemp("f"), "f", text)
    assert lookups(str(path)) == [gfn for _, gfn in sorted(expected)]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=6),
    st.lists(st.tuples(st.integers(0, 25), st.integers(1, 8)), min_size=1, max_size=10),
)
def test_ranges_meet_where_they_have_an_address_in_common(
    held: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    union = {address for start, n in held for address in range(start, start + n)}
    starts = np.array([start for start, _ in asked], dtype=np.uint64)
    ends = np.array([start + n for start, n in asked], dtype=np.uint64)
    met = Ranges((start, start + n) for start, n in held).meets(starts, ends)
    assert met.tolist() == [bool(union & set(range(start, start + n))) for start, n in asked]


def test_recordings_of_one_clock_are_merged(tmp_path: Path) -> None:
    second = CALL.replace("Slot#0", "Slot#1").replace("gpa=0x0", "gpa=0x5000").replace("7f0000000000", "7f0000005000")
    slots = written(tmp_path, "slots", f"9@1700000001.000000:{CALL}9@1700000003.000000:{second}")
    text = "  vm-1 [000] 170000000{}.500000: {}\n"
    events = [(0, fault(0)), (1, fault(0)), (2, fault(5)), (3, fault(5))]
    faults = written(tmp_path, "faults", "".join(text.format(s, e) for s, e in events))
    trace, summary = import_files([faults, slots])
    assert trace.events["kind"].tolist() == [0, 2, 0, 0, 2, 0]
    assert summary.outside == 2
    assert any("merged by time of day with slots" in remark for remark in summary.files[0].remarks)
    strace = written(tmp_path, "strace", "1700000002.000000 " + STRACE)
    assert import_files([faults, strace])[0].events["kind"].tolist() == [0, 0, 2, 0, 0]


def test_recordings_of_two_clocks_follow_one_another(tmp_path: Path) -> None:
    slots = written(tmp_path, "slots", f"9@1700000001.000000:{CALL}")
    faults = written(tmp_path, "faults", lines(("vm-1", fault(0))))
    trace, summary = import_files([faults, slots])
    assert trace.events["kind"].tolist() == [2, 0] and summary.outside == 0
    assert [any("not merged by time" in remark for remark in file.remarks) for file in summary.files] == [True, True]
    untimed = written(tmp_path, "untimed", CALL)
    assert import_files([faults, untimed])[0].events["kind"].tolist() == [2, 0]
    for remark in import_files([faults, written(tmp_path, "table", SLOTS)])[1].files[0].remarks:
        assert "merged" not in remark
