"""Recordings of real machines, and every form of line that their programs write."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from slotlookup.errors import InputFileError
from slotlookup.memslots import ChangeKind, Memslot, Memslots
from slotlookup.recordings.importing import lay_out_hvas
from slotlookup.recordings.recordings import import_files, read_recording
from slotlookup.trace import EventKind, read_trace, write_trace

DATA = Path(__file__).parent / "data"
MACHINES = ("microvm-1G", "q35-1G-std")

CALL = "kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0x1000 ua=0x7f0000000000 ret=0\n"
STRACE = (
    "ioctl(10, KVM_SET_USER_MEMORY_REGION, {slot=0, flags=0, guest_phys_addr=0, memory_size=4096, "
    "userspace_addr=0x7f0000000000}) = 0\n"
)
SLOTS = "slot,gpa,size,hva,flags\n0,0x0,0x100000,0x7f0000000000,0x0\n"


def row(slot: Memslot) -> tuple[int, int, int, int, int]:
    return slot.number, slot.gpa, slot.size, slot.userspace_addr, slot.flags


def expected(name: str) -> list[tuple[int, ...]]:
    lines = (DATA / f"{name}.final_slots.csv").read_text().splitlines()[1:]
    return [tuple(int(field, 0) for field in line.split(",")) for line in lines]


def final(*paths: Path) -> list[tuple[int, int, int, int, int]]:
    return [row(slot) for slot in import_files(paths)[1].final]


def written(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("form", ["kvm_trace.txt", "strace.txt", "final_slots.csv"])
def test_every_recording_ends_with_the_same_slots(name: str, form: str) -> None:
    assert final(DATA / f"{name}.{form}") == expected(name)


@pytest.mark.parametrize("name", [*MACHINES, "q35-4G-qxl"])
@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
def test_the_memory_map_has_the_same_ranges_and_aliases(name: str, accelerator: str) -> None:
    if not (path := DATA / f"{accelerator}-{name}.mtree.txt").exists():
        pytest.skip("kept for KVM only")
    summary = import_files([path])[1]
    real = Memslots(Memslot(n, gpa >> 12, size >> 12, hva, flags) for n, gpa, size, hva, flags in expected(name))  # type: ignore[arg-type]
    assert [(s.gpa, s.size, s.flags) for s in summary.final] == [(s.gpa, s.size, s.flags & 2) for s in real]
    assert {summary.final.get(n).gpa for n in summary.final.aliased()} == {real.get(n).gpa for n in real.aliased()}  # type: ignore[union-attr]
    assert any("constructed from" in remark for remark in summary.files[0].remarks)


def test_a_map_alone_is_taken_from_the_flat_view(tmp_path: Path) -> None:
    text = (DATA / "kvm-q35-1G-std.mtree.txt").read_text()
    alone = written(tmp_path, "map", text[text.index("FlatView") : text.index("### info mtree\n")])
    summary = import_files([alone])[1]
    assert [(s.gpa, s.size, s.flags) for s in summary.final] == [
        (g, z, f & 2) for _, g, z, _, f in expected("q35-1G-std")
    ]
    assert any("type of pc.bios" in remark for remark in summary.files[0].remarks)


@pytest.mark.parametrize("name", MACHINES)
def test_recordings_of_one_machine_agree(name: str) -> None:
    paths = [DATA / f"kvm-{name}.mtree.txt", *(DATA / f"{name}.{f}" for f in ("strace.txt", "kvm_trace.txt"))]
    trace, summary = import_files(paths)
    assert [row(s) for s in summary.final] == expected(name)
    assert trace.start == () and len(trace.changes) == len(trace.events)
    assert "agree" in "\n".join(summary.text())


def test_recordings_of_two_machines_do_not_agree() -> None:
    with pytest.raises(InputFileError, match=r"not the same VM: .* ends with a slot \[0x0, 0xa0000\)"):
        import_files([DATA / "microvm-1G.kvm_trace.txt", DATA / "q35-1G-std.strace.txt"])


def test_the_dynamic_recording_keeps_every_change() -> None:
    trace, summary = import_files([DATA / "dynamic-q35-2G.kvm_trace.txt"])
    assert summary.files[0].counted == {"comment lines": 7}
    assert summary.changes == {ChangeKind.CREATE: 53, ChangeKind.DELETE: 28, ChangeKind.FLAGS_ONLY: 96}
    assert len(trace.events) == len(trace.changes) == 177
    assert trace.provenance["update"] == "recorded (dynamic-q35-2G.kvm_trace.txt)"


def test_lookups_follow_the_slots() -> None:
    trace, summary = import_files([DATA / "q35-1G.first_touch.txt.xz", DATA / "q35-1G.ranges.csv"])
    assert (summary.lookups, summary.outside, len(trace.start)) == (999, 0, 9)
    assert trace.events["a"][:2].tolist() == [0xFFFF6, 6]
    assert set(trace.provenance) == {"source", "gfn"} and trace.name == "q35-1G"
    trace, summary = import_files([DATA / "q35-4G-numa64.samp.u32le", DATA / "q35-4G-numa64.ranges.csv"])
    assert (summary.lookups, summary.outside, len(trace.start)) == (1000, 0, 72)


def test_changes_come_first_and_lookups_meet_the_final_slots(tmp_path: Path) -> None:
    stream = written(tmp_path, "s.u32le", np.array([0, 1, 0x100, 5], dtype="<u4").tobytes())
    changes = written(tmp_path, "c", CALL + CALL.replace("0x1000", "0x0") + CALL.replace("0x1000", "0x2000"))
    trace, summary = import_files([stream, changes])
    assert trace.events["kind"].tolist() == [EventKind.SLOT_CHANGE] * 3 + [EventKind.GFN_LOOKUP] * 4
    assert (summary.lookups, summary.outside) == (4, 2)
    path = tmp_path / "t.parquet"
    write_trace(trace, path)
    assert read_trace(path).fingerprint == trace.fingerprint


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compression_is_told_by_magic(tmp_path: Path, pack: object) -> None:
    packed = pack(CALL.encode())  # type: ignore[operator]
    assert len(final(written(tmp_path, "anything.txt", packed))) == 1
    with pytest.raises(InputFileError, match="damaged or truncated"):
        import_files([written(tmp_path, "cut", packed[:-5])])


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (CALL, 0),
        (f"24960@1700000000.123456:{CALL}", 0),
        (CALL.replace("Slot#0", "Slot#65539"), 65539),
        (CALL.replace("Slot#0", "AddrSpace#1 Slot#3"), 65539),
        (CALL.replace("Slot#0", "AddrSpace#0 Slot#3").replace(" ret", " guest_memfd=-1 guest_memfd_offset=0x0 ret"), 3),
        (CALL.rstrip("\n"), 0),
        (CALL.replace("\n", "\r\n"), 0),
        (STRACE, 0),
        (f"24960 {STRACE}", 0),
        (f"[pid 24960] 12:00:01.000002 {STRACE}", 0),
        (f"24960 1700000000.000002 {STRACE}", 0),
        (f"     0.000012 {STRACE}", 0),
        (STRACE.replace("(10,", "(10<anon_inode:kvm-vm>,").replace("= 0", "= 0 <0.000034>"), 0),
        (STRACE.replace("KVM_SET", "0x4020ae46 /* KVM_SET").replace("REGION,", "REGION */,"), 0),
        (STRACE.replace("slot=0", "slot=0x10003").replace("4096", "0x1000"), 65539),
    ],
)
def test_forms_of_a_call(tmp_path: Path, line: str, number: int) -> None:
    assert final(written(tmp_path, "r", line)) == [(number, 0, 0x1000, 0x7F0000000000, 0)]


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("0x2 /* KVM_MEM_READONLY */", 2),
        ("KVM_MEM_LOG_DIRTY_PAGES|KVM_MEM_READONLY", 3),
        ("0x3 /* KVM_MEM_LOG_DIRTY_PAGES|KVM_MEM_READONLY */", 3),
        ("1", 1),
    ],
)
def test_forms_of_flags(tmp_path: Path, text: str, flags: int) -> None:
    assert final(written(tmp_path, "r", STRACE.replace("flags=0", f"flags={text}")))[0][4] == flags


def test_what_strace_splits_is_joined(tmp_path: Path) -> None:
    begun, ended = STRACE.split(") = 0")
    text = (
        f"1 {begun} <unfinished ...>\n2 ioctl(14, KVM_RUN, 0 <unfinished ...>\n1 <... ioctl resumed>) = 0{ended}"
        "2 <... ioctl resumed>) = 0\n3 <... futex resumed>) = 0\n2 --- SIGUSR1 {si_signo=SIGUSR1} ---\n"
        '2 ioctl(14, KVM_RUN, 0 <unfinished ...>\n2 +++ exited with 0 +++\n2 write(1, "x", 1) = 1\n'
    )
    summary = import_files([written(tmp_path, "r", text)])[1]
    assert len(summary.final) == 1
    assert summary.files[0].counted == {
        "other ioctls": 1,
        "other system calls": 2,
        "lines of strace's own": 2,
        "calls without a result": 1,
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (STRACE + STRACE.replace("(10", "(11").replace("slot=0", "slot=1"), 2, "on fd 11, line 1 on fd 10: two VMs"),
        (STRACE + "ioctl(9, 0xae01 /* KVM_CREATE_VM */, 0) = 10\n", 2, "a second VM"),
        ("1 " + STRACE.replace(") = 0", " <unfinished ...>"), 1, "never resumed"),
        (STRACE + "1 <... ioctl resumed>) = 0\n", 2, "whose beginning is not in the file"),
        (STRACE.replace("memory_size=4096", "..."), 1, "not a line of strace"),
        (STRACE + "ioctl(10, 0x4020ae46, 0x7ffd0000) = 0\n", 2, "not a line of strace"),
        (STRACE.replace("flags=0", "flags=KVM_MEM_NEW"), 1, "not a line of strace"),
        ("1 1700000002.0 " + STRACE + "1 1700000001.0 " + STRACE, 2, "out of order"),
        (f"1@1700000002.000000:{CALL}1@1700000001.000000:{CALL}", 2, "out of order"),
    ],
)
def test_faults_that_only_a_recording_has(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputFileError, match=message) as caught:
        import_files([written(tmp_path, "r", text)])
    assert caught.value.line == line


def test_what_is_counted(tmp_path: Path) -> None:
    text = f"# comment\n\n{CALL}{CALL}{CALL.replace('ret=0', 'ret=-17')}kvm_vm_ioctl type 0x4020ae46, arg 0x7ffd\n"
    trace, summary = import_files([written(tmp_path, "r", text)])
    assert summary.files[0].counted == {
        "comment lines": 1,
        "blank lines": 1,
        "calls that KVM refused": 1,
        "other trace events": 1,
        "calls that change nothing": 1,
    }
    assert len(trace.events) == 1


def test_a_change_of_readonly_is_two_calls(tmp_path: Path) -> None:
    summary = import_files([written(tmp_path, "r", CALL + CALL.replace("flags=0x0", "flags=0x2"))])[1]
    assert summary.changes == {ChangeKind.CREATE: 2, ChangeKind.DELETE: 1}
    assert [slot.flags for slot in summary.final] == [2]


def test_tables(tmp_path: Path) -> None:
    assert final(written(tmp_path, "t", SLOTS + "65536,1048576,4096,139637976727552,2\n"))[1] == (
        65536,
        0x100000,
        0x1000,
        139637976727552,
        2,
    )
    recording = read_recording(DATA / "q35-1G.ranges.csv")
    assert recording.table is not None and not recording.hva_recorded
    assert [slot.flags for slot in recording.table] == [0] * 8 + [2]


def test_only_known_address_spaces_are_compared(tmp_path: Path) -> None:
    recorded = (DATA / "microvm-1G.kvm_trace.txt").read_text() + CALL.replace("Slot#0", "Slot#65536")
    _, summary = import_files([written(tmp_path, "r", recorded), DATA / "kvm-microvm-1G.mtree.txt"])
    assert len(summary.final) == 5


def test_made_up_addresses_keep_aliases_apart_and_together() -> None:
    a, b, c, d = lay_out_hvas([("x", 0, 0x1000), ("y", 0, 0x1000), ("x", 0, 0x1000), ("x", 0x1000, 0x1000)])
    assert a == c and d == a + 0x1000 and abs(a - b) > 0x2000
    with pytest.raises(OverflowError):
        lay_out_hvas([("x", 1 << 63, 0x1000)])


def test_more_recordings_than_a_byte_counts(tmp_path: Path) -> None:
    paths = [written(tmp_path, "slots.csv", SLOTS)]
    for n in range(256):
        paths.append(written(tmp_path, f"{n}.u32le", (n % 7).to_bytes(4, "little")))
    trace, summary = import_files(paths)
    assert trace.gfn_stream().gfns.tolist() == [n % 7 for n in range(256)]
    assert (summary.lookups, summary.outside) == (256, 0)
