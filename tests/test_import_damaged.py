"""Files that are truncated, mixed, of another format or invalid: one clear error, no exception, no wrong table."""

from __future__ import annotations

import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_import_recordings import CALL, DATA, SLOTS, STRACE, row, written

from slotlookup.errors import InputFileError
from slotlookup.memslots import Memslots
from slotlookup.recordings import importing, recordings
from slotlookup.recordings.importing import Limits, Source, open_source
from slotlookup.recordings.recordings import import_files, read_recording
from slotlookup.registry import importers
from slotlookup.workloads import kernel_trace

OVER = CALL.replace("Slot#0", "Slot#1")
TOUCHES = "# comment\n1 ffff6 r\n18 6 w\n33 7 u\n"
RANGES = "slot,gpa,size,kind,block,block_offset\n"

TRACED = lzma.decompress((DATA / "mm-operations.trace.xz").read_bytes())
PERF = lzma.decompress((DATA / "balloon.perf-script.xz").read_bytes())

WHOLE = {
    "ftrace": TRACED[: TRACED.index(b"\n", 4500) + 1],
    "perf-script": PERF[: PERF.index(b"\n", 2000) + 1],
    "qemu-trace": (DATA / "microvm-1G.kvm_trace.txt").read_bytes(),
    "strace": (DATA / "microvm-1G.strace.txt").read_bytes(),
    "slot-table": (DATA / "q35-1G-std.final_slots.csv").read_bytes(),
    "range-table": (DATA / "q35-1G.ranges.csv").read_bytes(),
    "first-touch": TOUCHES.encode(),
    "mtree": (DATA / "kvm-microvm-1G.mtree.txt").read_bytes()[:3300],
}


def outcome(name: str, data: bytes) -> object:
    """What an importer makes of some bytes: slots, changes and lookups, or None for an error."""
    importer = importers()[name]
    try:
        recording = importer.read(Source(Path("r"), data, form=importer.title))
    except InputFileError as error:
        assert "\n" not in str(error)
        return None
    return recording.events.tolist(), [row(slot) for slot in recording.table or ()]


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_file_cut_anywhere_is_a_prefix_of_whole_lines_or_an_error(name: str) -> None:
    data = WHOLE[name]
    prefixes: dict[int, object] = {}
    for cut in range(len(data)):
        found = outcome(name, data[:cut])
        if found is None:
            continue
        whole = cut if data[cut : cut + 1] == b"\n" else data.rfind(b"\n", 0, cut) + 1
        # A cut at the very end of a line may be taken for the line; anything else must give what the lines above give.
        end = whole + 1 if data[whole : whole + 1] == b"\n" else whole
        candidates = []
        for at in (whole, end):
            if at not in prefixes:
                prefixes[at] = outcome(name, data[:at])
            candidates.append(prefixes[at])
        assert found in candidates or _is_whole_but_for_a_result(name, data, cut), cut


def _is_whole_but_for_a_result(name: str, data: bytes, cut: int) -> bool:
    """strace's other ioctls return numbers that may lose digits, and comments words; neither reaches the trace."""
    line = data[data.rfind(b"\n", 0, cut) + 1 : cut]
    return line.startswith(b"#") or (name == "strace" and b"SET_USER" not in line) or name == "mtree"


def test_a_map_cut_within_the_flat_view_is_never_silent(tmp_path: Path) -> None:
    data = (DATA / "kvm-microvm-1G.mtree.txt").read_bytes()
    begin, end = data.index(b' AS "memory"'), data.index(b"### info mtree\n")
    line_ends = [at for at in range(begin, end - 2) if data[at : at + 1] == b"\n"]
    for cut in sorted({*range(begin, end - 2, 5), *line_ends, *(at + 1 for at in line_ends)}):
        try:
            _, summary = import_files([written(tmp_path, "m", data[:cut])])
        except InputFileError:
            continue
        assert len(summary.final) == 4 or any("may be missing" in r for r in summary.files[0].remarks), cut


@given(st.binary(max_size=300), st.sampled_from(sorted(WHOLE)), st.integers(0, 2000), st.integers(0, 40))
@settings(max_examples=400, deadline=None)
def test_damage_never_leads_to_another_exception(junk: bytes, name: str, at: int, lost: int) -> None:
    data = WHOLE[name]
    outcome(name, data[:at] + junk + data[at + lost :])
    outcome("u32le", junk)


@given(st.binary(max_size=2000), st.sampled_from(["x", "x.u32le", "x.xz", "x.csv"]))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_no_recording(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str) -> None:
    with pytest.raises(InputFileError):
        import_files([written(tmp_path_factory.mktemp("any"), name, data)])


def test_arbitrary_bytes_are_no_gfn_stream(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 32, 1000, dtype=np.uint32).astype("<u4").tobytes()
    table = written(tmp_path, "t", SLOTS)
    with pytest.raises(InputFileError, match="are outside every slot"):
        import_files([table, written(tmp_path, "n.u32le", noise)])
    with pytest.raises(InputFileError, match="not a whole number"):
        import_files([table, written(tmp_path, "n.u32le", noise[:-1])])
    with pytest.raises(InputFileError, match="not a recording"):
        import_files([table, written(tmp_path, "n.bin", noise)])
    with pytest.raises(InputFileError, match="misnamed"):
        import_files([table, written(tmp_path, "n.u32le", b"a text of some words")])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (CALL + OVER, 2, r"KVM refuses it: slot 1 .* meets slot 0 .*EEXIST"),
        (CALL.replace("0x1000", "0x0"), 1, "begins late"),
        (CALL + CALL.replace("0x1000", "0x2000"), 2, "cannot have 0x2000"),
        (CALL.replace("0x1000", "0x1001"), 1, "not a multiple of 4096"),
        (CALL.replace("Slot#0", "Slot#40000"), 1, "slot id 40000 is not below"),
        (CALL.replace("Slot#0", "Slot#9999999999"), 1, "not a slot id"),
        (CALL.replace("flags=0x0", "flags=0x8"), 1, "LOG_DIRTY_PAGES, READONLY and GUEST_MEMFD"),
        (CALL.replace("flags=0x0", "flags=0x5"), 1, "cannot be combined with other flags"),
        (CALL.replace("flags=0x0", "flags=0x4") * 2, 2, "can only be deleted"),
        (CALL.replace("ua=0x7f", "ua=0xffff7f"), 1, "the end of user space"),
        (CALL + CALL[:40] + "\n", 2, "not a line of QEMU"),
        (CALL + CALL[:40], 2, "truncated here"),
        (CALL + "kvm_set_us", 2, "truncated here"),
        (CALL + CALL[3:], 2, "not a line of QEMU"),
        (CALL + STRACE, 2, "contains .* and .*; put each"),
        (SLOTS + CALL, 3, "contains .* and .*; put each"),
        (CALL * 1000 + STRACE, 1001, "a line of strace of KVM ioctls among those of QEMU"),
        (SLOTS + "\0", 3, "NUL byte"),
        (SLOTS.encode() + b"\xff\n", 3, "not text"),
        (SLOTS + "1,0xff000,0x1000,0x7f0000000000,0x0\n", 3, "KVM refuses this slot: slot 1 .* meets"),
        (SLOTS + "0,0x200000,0x1000,0x7f0000000000,0x0\n", 3, "listed twice"),
        (SLOTS + "1,0x200000,0x0,0x7f0000000000,0x0\n", 3, "no pages"),
        (SLOTS + "1,0x200000,0x1000,0x7f0000000000\n", 3, "a row must be"),
        (SLOTS + "1,0x200000,0x1000,0x7f0000000000,0", 3, "truncated here"),
        ("slot,gpa,size,hva,flags\n", None, "contains no slots"),
        ("0,0x0,0x1000,0x7f0000000000,0\n" + SLOTS, 1, "the first line must be"),
        (RANGES + f"0,0x0,0x1000,ram,b,{0xFFFFFFFFFFFFF000:#x}\n", None, "do not fit"),
        (RANGES + "0,0x0,0x1000,magic,b,0x0\n", 2, "a row must be"),
        (TOUCHES + "5 7 r\n", 5, "out of order"),
        (TOUCHES + "50 7 x\n", 5, "not a line of first touches"),
        (TOUCHES + "50 10000000000000 r\n", 5, "not below 2"),
        (TOUCHES, None, "but no slots"),
        (f"# {CALL}", 1, "the nearest form is QEMU kvm_set_user_memory trace"),
        ("# some words\n", None, "not a recording"),
        (CALL.replace("ret=0", "ret=-22"), None, "no slot change succeeded"),
        (b"", None, "empty"),
        (lzma.compress(b""), None, "empty"),
        (b"PAR1 and more", None, "slotlookup run FILE"),
        (b"\x28\xb5\x2f\xfd....", None, "zstd"),
    ],
)
def test_one_line_tells_place_and_fault(tmp_path: Path, text: str | bytes, line: int | None, message: str) -> None:
    path = written(tmp_path, "r", text)
    with pytest.raises(InputFileError, match=message) as caught:
        import_files([path])
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert "\n" not in str(caught.value)


VIEW = 'FlatView #0\n AS "memory", root: system\n Root memory region: system\n'
RAM = "  0000000000000000-000000000000ffff (prio 0, ram): pc.ram KVM\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (VIEW + RAM + RAM + "\n", 5, "inside or before the one above"),
        (VIEW + RAM.replace("ffff (", "0000 (").replace("0000-", "ffff-", 1) + "\n", 4, "before it starts"),
        (VIEW + RAM.replace("ram)", "magic)") + "\n", 4, "not a line of QEMU info mtree"),
        (VIEW + RAM[:30], 4, "truncated here"),
        (VIEW + RAM[:30] + "\n\n", 4, "not a line of QEMU info mtree"),
        (VIEW + "\n", 1, "no ram or rom"),
        (VIEW.replace('"memory"', '"other"') + RAM + "\n", None, "no flat view of the address space"),
        (VIEW + RAM + "\n" + VIEW + RAM.replace("ffff (", "1fff (") + "\n", 6, "a second memory map"),
        (VIEW + RAM + "\n" + CALL, 6, "put each recording"),
        (VIEW + RAM + "\nprompt\n" + RAM, 7, "inside or before the one above"),
    ],
)
def test_maps_that_cannot_be(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    with pytest.raises(InputFileError, match=message) as caught:
        import_files([written(tmp_path, "m", text)])
    assert caught.value.line == line


def test_a_map_keeps_whole_pages_and_passes_over_other_output(tmp_path: Path) -> None:
    text = (
        f"(qemu) info mtree -f\n{VIEW}{RAM}"
        "  0000000000010200-00000000000103ff (prio 0, ramd): small\n"
        "  0000000000020000-000000000002ffff (prio 0, nv-ram): nv mem @0000000000001000 owner:{dev id=a} KVM\n"
        "  0000000000030000-0000000000031fff (prio 0, romd): flash KVM\n\n(qemu) "
    )
    summary = import_files([written(tmp_path, "m", text)])[1]
    assert [(s.gpa, s.size, s.flags) for s in summary.final] == [
        (0, 0x10000, 0),
        (0x20000, 0x10000, 0),
        (0x30000, 0x2000, 2),
    ]
    assert "ranges smaller than a page, which have no slot" in summary.files[0].counted


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        open_source(tmp_path / "missing")
    with pytest.raises(InputFileError, match="a directory"):
        open_source(tmp_path)
    closed = written(tmp_path, "closed", CALL)
    closed.chmod(0)
    if not os.access(closed, os.R_OK):
        with pytest.raises(InputFileError, match="Permission denied"):
            open_source(closed)


calls = st.tuples(
    st.sampled_from([0, 1, 2, 65536, 40000]),
    st.integers(0, 6).map(lambda n: n * 0x1000),
    st.sampled_from([0, 0x1000, 0x2000, 0x800]),
    st.sampled_from([0x10000, 0x20000]),
    st.sampled_from([0, 0, 1, 2, 4]),
)


@given(st.lists(calls, max_size=30))
def test_playing_calls_is_making_them(made: list[tuple[int, int, int, int, int]]) -> None:
    played, called = Memslots(), Memslots()
    results: list[object] = []
    for call in made:
        try:
            results.append(called.set_recorded(*call))
        except Exception as error:  # compared with what the other way raises
            results.append((type(error), str(error)))
            break
    found: list[object] = []
    try:
        found.extend(played.play(made))
    except Exception as error:
        found = [*results[: len(results) - 1], (type(error), str(error))]
    assert found == results
    for as_id in (0, 1):
        assert list(played.active(as_id)) == list(called.active(as_id)) == list(played.inactive(as_id))
        assert played.generation(as_id) == called.generation(as_id)
    assert played.aliased() == called.aliased()
    assert [played.set_user_memory_region(3, 0x100000, 0x1000, 0x10000, 0)] == [
        called.set_user_memory_region(3, 0x100000, 0x1000, 0x10000, 0)
    ]


HEAD_OF_A_VIEW = 'FlatView #0\n AS "memory", root: system\n Root memory region: system\n'
FLAT_LINE = "  {0:016x}-{1:016x} (prio 0, ram): {2}\n"
IOCTL_LINE = (
    "1 ioctl(10, 0x4020ae46 /* KVM_SET_USER_MEMORY_REGION */, {{slot={0}, flags=0, guest_phys_addr={1:#x}, "
    "memory_size=4096, userspace_addr=0x7f0000000000}}) = 0\n"
)


def test_lines_torn_into_one_lose_no_slot(tmp_path: Path) -> None:
    path = tmp_path / "view.mtree.txt"
    lines = [FLAT_LINE.format(n << 12, (n << 12) + 0xFFF, f"ram{n}") for n in range(3)]
    # The end of the second line and the start of the third are gone.
    path.write_text(HEAD_OF_A_VIEW + lines[0] + lines[1][:-4] + lines[2][9:])
    with pytest.raises(InputFileError) as torn:
        import_files([path])
    assert torn.value.line == 5


def test_a_slot_call_with_a_torn_number_is_no_other_ioctl(tmp_path: Path) -> None:
    path = tmp_path / "vm.strace.txt"
    second = IOCTL_LINE.format(1, 0x1000).replace("e46 /* KVM_SET_", "")
    path.write_text(IOCTL_LINE.format(0, 0) + second)
    with pytest.raises(InputFileError) as torn:
        import_files([path])
    assert torn.value.line == 2


def test_blanks_within_a_line_of_a_memory_map_are_limited(tmp_path: Path) -> None:
    line = "  0000000000000000-0000000000000fff (prio 0, ram): a{}b KVM\n"
    data = 'FlatView #0\n AS "memory", root: system\n Root memory region: system\n'
    _, summary = import_files([written(tmp_path, "m", (data + line.format(" " * 64)).encode())])
    assert len(summary.final) == 1
    with pytest.raises(InputFileError, match=r"m:4: more than 64 blanks in a row, the limit"):
        import_files([written(tmp_path, "m", (data + line.format(" " * 2000)).encode())])


FAULT_LINE = b"  vm-1 [000] .... 1.000000: kvm_page_fault: vcpu 0 rip 0x1 address 0x1000 error_code 0x1\n"
HEAD_OF_SLOTS = b"slot,gpa,size,hva,flags\n"


@pytest.mark.parametrize(
    ("head", "unit", "refused"),
    [
        (
            b"",
            bytes(4096),
            "n.u32le.xz: more than 1 MiB when decompressed, the limit for this form, from 4 MiB of memory",
        ),
        (b"", b"1 ffff6 r\n", "more than 1 MiB"),
        (HEAD_OF_SLOTS, b"\n", "more than 1 MiB"),
        (HEAD_OF_A_VIEW.encode(), b"# AS\n", "more than 1 MiB"),
        (b"", IOCTL_LINE.format(0, 0).encode(), "more than 1 MiB"),
        (b"", FAULT_LINE, r"more than 32,768 events, the limit, from 4 MiB of memory \(--max-memory\); import a part"),
        (FAULT_LINE, b"# a comment\n", r"more than 4 MiB when decompressed, the limit \(--max-bytes\); import a part"),
    ],
    ids=["u32le", "touches", "slots", "mtree", "strace", "events", "comments"],
)
def test_what_expands_without_end_is_refused_with_the_limit(
    tmp_path: Path, head: bytes, unit: bytes, refused: str
) -> None:
    data = lzma.compress(head + unit * ((5 << 20) // len(unit)), preset=0)
    with pytest.raises(InputFileError, match=refused):
        import_files([written(tmp_path, "n.u32le.xz", data)], limits=Limits(4 << 20, 4 << 20))


def test_lines_and_events_of_what_is_read_whole_are_limited(tmp_path: Path) -> None:
    small = Limits(memory=1 << 20)
    touches = written(tmp_path, "touch", b"1 6 r\n" * 8193)
    with pytest.raises(InputFileError, match="8,193 lines; the limit is 8,192, from 1 MiB of memory"):
        import_files([touches], limits=small)
    with pytest.raises(InputFileError, match="more than 8,192 events"):
        import_files([written(tmp_path, "n.u32le", bytes(4 * 8193))], limits=small)
    slots = written(tmp_path, "s", SLOTS.encode())
    assert len(import_files([touches, slots])[0].events) == 8193


def test_progress_counts_bytes_and_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 50_000)
    told: list[tuple[str, int]] = []
    shares: list[float] = []

    def progress(path: Path, unit: str, done: int, share: float) -> None:
        told.append((unit, done))
        shares.append(share)

    data = FAULT_LINE * 100_000
    importing_of = Limits(progress=progress)
    read_recording(written(tmp_path, "t.xz", lzma.compress(data, preset=0)), importing_of)
    assert [unit for unit, _ in told] == ["bytes"] * 3 and told[-1] == ("bytes", len(data))
    assert shares == sorted(shares) and shares[-1] == 1.0
    told.clear()
    read_recording(written(tmp_path, "touch", b"1 6 r\n" * 100_000), importing_of)
    assert told == [("bytes", 600_000), ("lines", 50_000), ("lines", 100_000)]


def test_names_of_events_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_trace, "_MOST_NAMES", 100)
    lines = b"".join(FAULT_LINE.replace(b"kvm_page_fault", b"event%d" % n) for n in range(101))
    with pytest.raises(InputFileError, match="more than 100 names of events; the file is damaged"):
        read_recording(written(tmp_path, "t", FAULT_LINE + lines))


def test_a_form_is_looked_for_in_a_limited_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = b"\n" * (1 << 20) + CALL.encode()
    assert len(import_files([written(tmp_path, "r", late)])[1].final) == 1
    monkeypatch.setattr(recordings, "SEARCHED", 1 << 19)
    monkeypatch.setattr(recordings, "LARGEST_PASTE", 1 << 19)
    with pytest.raises(InputFileError, match="not a recording in a known format"):
        import_files([written(tmp_path, "r", late)])
