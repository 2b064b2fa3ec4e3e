"""Traces of the kernel's events: recordings of real guests, and every form of line that the programs print."""

from __future__ import annotations

import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_import_recordings import DATA, SLOTS, written

from slotlookup.errors import InputFileError, UsageError
from slotlookup.recordings.importing import Recording, open_source
from slotlookup.recordings.recordings import import_files, read_recording
from slotlookup.trace import EventKind, read_trace, write_trace

OPERATIONS = DATA / "mm-operations.trace.xz"
REPORT = DATA / "balloon.trace-cmd-report.xz"
PERF = DATA / "balloon.perf-script.xz"
HVA = 0x7F0000000000

HEAD = "             vm-100     [001] ...1.     1.000001: "
UNMAP = "kvm_unmap_hva_range: mmu notifier unmap range: 0x007f0000001000 -- 0x007f0000003000\n"
FAULT = "kvm_page_fault: vcpu 3 rip 0xffffffff81000000 address 0x0000000000005123 error_code 0x6\n"


def text(path: Path) -> str:
    return lzma.decompress(path.read_bytes()).decode()


def rows(recording: Recording) -> list[tuple[int, int, int]]:
    return [(int(e["kind"]), int(e["a"]), int(e["b"])) for e in recording.events]


def read(tmp_path: Path, content: str | bytes) -> Recording:
    return read_recording(written(tmp_path, "t", content))


def pages_by_operation() -> dict[str, list[tuple[str, int]]]:
    """For each operation of the recording, its thread and size in pages of every unmap event, in order of time."""
    recording = read_recording(OPERATIONS)
    assert recording.times is not None and recording.origins is not None
    spans: dict[str, list[int]] = {}
    for line in text(OPERATIONS).splitlines():
        if "tracing_mark_write: OP " in line and (line.endswith("BEGIN") or " END" in line):
            seconds, micros = line.split("]")[1].split()[1].rstrip(":").split(".")
            name = line.split(" OP ")[1].split(" BEGIN")[0].split(" END")[0]
            spans.setdefault(name, []).append((int(seconds) * 1_000_000 + int(micros)) * 1000)
    found: dict[str, list[tuple[str, int]]] = {}
    unmap = recording.origins.names.index("kvm_unmap_hva_range")
    for name, (begin, end) in ((name, span) for name, span in spans.items() if len(span) == 2):
        inside = (recording.times >= begin) & (recording.times <= end) & (recording.origins.name == unmap)
        found[name] = [
            (recording.origins.threads[t].comm, (int(e["b"]) - int(e["a"])) >> 12)
            for t, e in zip(recording.origins.thread[inside], recording.events[inside], strict=True)
        ]
    return found


def test_operations_of_the_host_make_the_calls_they_are_known_for() -> None:
    by_operation = pages_by_operation()
    sizes = {name: [pages for _, pages in calls] for name, calls in by_operation.items()}
    assert sizes["madvise_DONTNEED_1page"] == [1]
    assert sizes["madvise_DONTNEED_64KiB(balloon)"] == [16]
    assert sizes["madvise_DONTNEED_slot"] == [1024]
    assert len(sizes["mprotect_RO_slot"]) == len(sizes["mprotect_RW_slot"]) == 1
    assert sorted(sizes["mprotect_NONE_1page"]) == [1, 512]
    assert sizes["madvise_COLD_slot"] == sizes["clear_refs_1(referenced)"] == sizes["madvise_HUGEPAGE"] == []
    assert sizes["clear_refs_4(softdirty)"] == [((1 << 64) - 1) >> 12]
    assert len(sizes["fork"]) == 12 and max(sizes["fork"]) == 25088
    assert sizes["uffd_register"] == sizes["uffd_zeropage"] == []
    assert sizes["uffd_writeprotect_64KiB"] == sizes["uffd_un_writeprotect_64KiB"] == [16]
    assert sizes["memfd_PUNCH_HOLE_64KiB"] == sizes["madvise_REMOVE_64KiB"] == [16]
    assert len(sizes["memfd_ftruncate_half"]) == 2 and len(set(sizes["memfd_ftruncate_half"])) == 1
    assert [pages for comm, pages in by_operation["madvise_COLLAPSE_2MiB"] if comm == "ops"] == [512]
    assert sorted(sizes["madvise_DONTNEED_1page_of_THP(split)"]) == [1, 512]
    assert sizes["refault_16"] == []


def test_a_recording_imports_whole() -> None:
    trace, summary = import_files([OPERATIONS])
    lines = text(OPERATIONS).splitlines()
    told = Counter(line.split(": ")[1] for line in lines if not line.startswith("#"))
    assert summary.lookups == told["kvm_mmu_spte_requested"] == 8231
    assert summary.outside == 0
    assert summary.visits == told["kvm_unmap_hva_range"] == 106
    counted = summary.files[0].counted
    assert summary.files[0].lines == len(lines) == summary.lookups + summary.visits + 5 + sum(counted.values())
    assert [(s.number, s.gpa, s.size, s.userspace_addr) for s in summary.final][:2] == [
        (0, 0x0, 0x4000000, 0x7F9AE0200000),
        (1, 0x10000000, 0x400000, 0x7F9ADF000000),
    ]
    assert trace.provenance["gfn"] == trace.provenance["hva"] == f"recorded ({OPERATIONS.name})"


@pytest.mark.parametrize("path", [REPORT, PERF])
def test_every_event_is_told_in_its_order(path: Path) -> None:
    recording = read_recording(path)
    expected = []
    for line in text(path).splitlines():
        words = line.split()
        if "spte_requested:" in line:
            expected.append((int(EventKind.GFN_LOOKUP), int(words[words.index("gfn") + 1], 16), 0))
        elif "unmap range:" in line:
            expected.append((int(EventKind.HVA_VISIT), int(words[-3], 16), int(words[-1], 16)))
    assert rows(recording) == expected and len(expected) > 1000
    assert recording.events["vcpu"].max() == 0, "one thread faults"


def test_faults_of_a_recording_lie_in_its_slots(tmp_path: Path) -> None:
    trace, summary = import_files([REPORT, DATA / "balloon.slots.csv"])
    assert summary.outside == 0 and summary.lookups > 1000
    assert not summary.files[0].dropped
    write_trace(trace, tmp_path / "t.parquet")
    assert read_trace(tmp_path / "t.parquet").fingerprint == trace.fingerprint
    with pytest.raises(InputFileError, match="but no slots"):
        import_files([REPORT])


EVENTS = [
    (UNMAP, (1, HVA + 0x1000, HVA + 0x3000)),
    (
        "kvm_unmap_hva_range: mmu notifier unmap range: 0000000000000000 -- 0xffffffffffffffff\n",
        (1, 0, (1 << 64) - 1),
    ),
    ("kvm_unmap_hva_range: [FAILED TO PARSE] start=0x7f0000001000 end=0x7f0000003000\n", (1, HVA + 4096, HVA + 12288)),
    ("kvm_unmap_hva_range:   start=0x7f0000001000 end=0x7f0000003000\n", (1, HVA + 0x1000, HVA + 0x3000)),
    ("kvm_mmu_spte_requested:  gfn=10083 pfn=211e90 level=1\n", (0, 0x10083, 0)),
    ("kvm_page_fault:  vcpu_id=0 guest_rip=0x12 fault_address=0x5123 error_code=0x6\n", (0, 5, 0)),
    ("kvm_age_hva: mmu notifier age hva: 0x007f0000001000 -- 0x007f0000002000\n", (1, HVA + 0x1000, HVA + 0x2000)),
    ("kvm_test_age_hva: mmu notifier test age hva: 0x007f0000001000\n", (1, HVA + 0x1000, HVA + 0x1001)),
    ("kvm_set_spte_hva: mmu notifier set pte hva: 0x007f0000001000\n", (1, HVA + 0x1000, HVA + 0x1001)),
    (FAULT, (0, 5, 0)),
    ("kvm_page_fault: address 5fff error_code 14\n", (0, 5, 0)),
    ("kvm_mmu_spte_requested: gfn fee00 pfn 1d9caa level 1\n", (0, 0xFEE00, 0)),
    # Bit 11 tells a present spte, bit 7 one that maps memory above level 1.
    ("kvm_tdp_mmu_spte_changed: as id 1 gfn 5 level 1 old_spte 0 new_spte 800000010c9aa377\n", None),
    ("kvm_tdp_mmu_spte_changed: as id 1 gfn 5 level 1 old_spte 0 new_spte 60000010c9aab77\n", (0, 5, 1)),
    ("kvm_tdp_mmu_spte_changed: as id 0 gfn 200 level 2 old_spte 8000000000000000 new_spte 8f7\n", (0, 0x200, 0)),
    ("kvm_tdp_mmu_spte_changed: as id 0 gfn 200 level 2 old_spte 0 new_spte 807\n", None),
    ("kvm_tdp_mmu_spte_changed: as id 0 gfn 5 level 1 old_spte 877 new_spte 0\n", None),
    ("kvm_mmu_pagetable_walk: addr 40000 pferr 14 U|F\n", None),
    ("kvm_mmu_set_spte: gfn 40 spte 1d9caae67 (rwxu) level 1 at 2b5559200\n", None),
    ("tracing_mark_write: SLOT machine\n", None),
]
HEADS = [
    HEAD,
    "          <idle>-0     [001] d..2. 1.000001: ",
    "       CPU 0/KVM-100     (   4240) [001] .....     1.000001: ",
    "           <...>-100     (-------) [001] ...1.     1.000001: ",
    "              wl-23642 [001]  2262.196063: ",
    "vms.1:           vm-100 [001]  2262.196063: ",
    "vms-2:   python-14121   1...1. 14097.941494: ",
    "           a-1 [x]-7 [001]  2262.196063123: ",
    "       CPU 0/KVM 23029 [000]  2232.896790: kvm:",
    "              wl 23029/23031 [000]  2232.896790123:          1 kvmmmu:",
]


@pytest.mark.parametrize(("event", "row"), EVENTS)
@pytest.mark.parametrize("head", HEADS)
def test_forms_of_lines(tmp_path: Path, head: str, event: str, row: tuple[int, int, int] | None) -> None:
    recording = read(tmp_path, head + event)
    assert rows(recording) == ([] if row is None else [row])
    assert recording.lines == 1
    if "vcpu 3" in event:
        assert recording.events["vcpu"].tolist() == [3]


def test_a_heading_alone_is_recognised(tmp_path: Path) -> None:
    assert len(read(tmp_path, "# tracer: nop\n#\n").events) == 0


def test_windows_line_ends_and_a_last_line_without_end(tmp_path: Path) -> None:
    recording = read(tmp_path, (HEAD + UNMAP + HEAD + UNMAP).replace("\n", "\r\n")[:-4])
    assert len(recording.events) == 1 and recording.lines == 2
    assert any("truncated" in remark for remark in recording.remarks)


DAMAGED = [
    "kvm_unmap_hva_range: mmu notifier unmap range: 0x007f0000003000 -- 0x007f0000003000\n",
    "kvm_unmap_hva_range: mmu notifier unmap range: 0x007f0000003000\n",
    "kvm_test_age_hva: mmu notifier test age hva: 0xffffffffffffffff\n",
    "kvm_test_age_hva: mmu notifier test age hva: 0x10000000000000000\n",
    "kvm_mmu_spte_requested: gfn 10000000000000 pfn 0 level 1\n",
    "kvm_page_fault: vcpu 65535 rip 0x0 address 0x0 error_code 0x6\n",
    "kvm_tdp_mmu_spte_changed: as id 2 gfn 5 level 1 old_spte 0 new_spte 877\n",
    "tracing_mark_write: SLOT 1 gpa=0x0 size=0x1000\n",
    "tracing_mark_write: SLOT 4294967296 gpa=0x0 size=0x1000 hva=0x7f0000000000\n",
]


@pytest.mark.parametrize("event", DAMAGED)
def test_damaged_events_are_told_with_their_line(tmp_path: Path, event: str) -> None:
    with pytest.raises(InputFileError, match=r"t:2: "):
        read(tmp_path, HEAD + UNMAP + HEAD + event)


@pytest.mark.parametrize(
    "line", ["x" * 70_000 + "\n", "vm-100 [001] 1.5: kvm_age_hva: x\n", "CPU:one [LOST 3 EVENTS]\n", "\0\n"]
)
def test_what_is_no_line_is_told(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputFileError):
        read(tmp_path, HEAD + UNMAP + line + HEAD + UNMAP)


@pytest.mark.parametrize("line", ["junk\n", "cpus=two\n"])
def test_lines_of_others_are_left_out_and_counted(tmp_path: Path, line: str) -> None:
    recording = read(tmp_path, HEAD + UNMAP + line + HEAD + UNMAP)
    assert len(recording.events) == 2 and recording.counted["lines of other programs or prose"] == 1


def test_lost_events_are_told(tmp_path: Path) -> None:
    heading = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 10/30   #P:2\n"
    marks = "CPU:1 [LOST 123 EVENTS]\nCPU:0 [LOST EVENTS]\nvms: CPU:1 [7 EVENTS DROPPED]\n"
    recording = read(tmp_path, heading + HEAD + UNMAP + marks)
    assert any(remark.startswith("150 events were lost while recording (4 marks)") for remark in recording.remarks)
    perf = "      vm 100 [001] 1.000001: kvm:" + UNMAP + "      vm 100 [001]     1.000002: PERF_RECORD_LOST lost 9\n"
    assert any(remark.startswith("9 events were lost") for remark in read(tmp_path, perf).remarks)
    assert not read(tmp_path, HEAD + UNMAP).remarks


def test_a_clock_of_ticks_tells_order_only(tmp_path: Path) -> None:
    recording = read(tmp_path, HEAD.replace("1.000001", "90") + UNMAP + HEAD.replace("1.000001", "80") + UNMAP)
    assert recording.times is None and recording.event_lines is not None
    assert recording.event_lines.tolist() == [1, 2]


def test_lines_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    recording = read(tmp_path, HEAD.replace("1.000001", "3.000001") + FAULT + HEAD + UNMAP)
    assert recording.events["kind"].tolist() == [EventKind.HVA_VISIT, EventKind.GFN_LOOKUP]
    assert any("sorted by time" in remark for remark in recording.remarks)


def test_slot_marks_are_slot_changes(tmp_path: Path) -> None:
    mark = "tracing_mark_write: SLOT 1 gpa=0x5000 size={} hva=0x7f0000001000 flags=0x1\n"
    trace, summary = import_files(
        [written(tmp_path, "t", HEAD + mark.format("0x2000") + HEAD + FAULT + HEAD + mark.format("0x0") + HEAD + FAULT)]
    )
    assert trace.events["kind"].tolist() == [2, 0, 2, 0]
    assert summary.outside == 1 and len(summary.final) == 0
    assert [change.slot.flags for change in trace.changes][:1] == [1]


@pytest.mark.parametrize("size", [1, 7, 100, 4096])
def test_blocks_are_whole_lines(tmp_path: Path, size: int) -> None:
    content = (HEAD + UNMAP) * 2000 + "the last"
    source = open_source(written(tmp_path, "t", content))
    blocks = list(source.blocks(size))
    assert b"".join(blocks).decode() == content == source.data.decode()
    assert all(block.endswith(b"\n") for block in blocks[:-1]) and len(blocks) > 2


def test_choosing_needs_a_recording_of_a_machine(tmp_path: Path) -> None:
    from slotlookup.recordings.ownership import Chosen

    with pytest.raises(UsageError, match="--pid"):
        import_files([written(tmp_path, "s", SLOTS)], chosen=Chosen(frozenset([1])))


def test_vcpus_are_numbered_as_they_come(tmp_path: Path) -> None:
    request = "kvm_mmu_spte_requested: gfn {:x} pfn 1 level 1\n"
    lines = [(7, 1), (5, 2), (7, 3), (6, 4), (5, 5)]
    recording = read(tmp_path, "".join(HEAD.replace("vm-100", f"vm-{tid}") + request.format(gfn) for tid, gfn in lines))
    assert recording.events["vcpu"].tolist() == [0, 1, 0, 2, 1]
    assert np.array_equal(recording.events["a"], [1, 2, 3, 4, 5])
