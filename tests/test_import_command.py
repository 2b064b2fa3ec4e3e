"""`slotlookup import`: its files and messages, and that it never damages a file."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_import_recordings import CALL, DATA, written

from slotlookup.bench.commands.import_recordings import command
from slotlookup.errors import InputFileError, SlotlookupError
from slotlookup.memslots import Memslot
from slotlookup.trace import SlotOrder, read_trace

TRACE = str(DATA / "q35-1G-std.kvm_trace.txt")


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args], standalone_mode=False)


def refusal(*args: str | Path) -> str:
    result = call(*args)
    assert isinstance(result.exception, SlotlookupError), result.output
    assert result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_it_writes_both_and_tells_on_stderr(tmp_path: Path) -> None:
    result = call(TRACE, "-o", tmp_path / "t.parquet", "--slots", tmp_path / "s.csv")
    assert result.exception is None and result.stdout == ""
    assert "slots at the end: 9" in result.stderr and "kept: 39 slot changes" in result.stderr
    header, *rows = (tmp_path / "s.csv").read_text().splitlines()
    assert header == "slot,gpa,size,hva,flags,created"
    told = (DATA / "q35-1G-std.final_slots.csv").read_text().splitlines()[1:]
    assert sorted(row.rpartition(",")[0] for row in rows) == sorted(told)
    assert len(read_trace(tmp_path / "t.parquet").changes) == 39
    assert read_trace(tmp_path / "t.parquet").name == "t"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "t.parquet"]


def slots_of(path: Path) -> list[Memslot]:
    trace = read_trace(path)
    return trace.final_slots().by_creation()


def test_a_slot_table_keeps_the_order_of_creation(tmp_path: Path) -> None:
    """Imported again, the table gives the same slots in the same order, and the same table."""
    one, two, first, again = (tmp_path / name for name in ("1.parquet", "2.parquet", "1.csv", "2.csv"))
    assert call(TRACE, "-o", one, "--slots", first).exception is None
    assert call(first, "-o", two, "--slots", again).exception is None
    assert slots_of(one) == slots_of(two) and first.read_bytes() == again.read_bytes()
    assert read_trace(two).slot_order is SlotOrder.CREATION
    # The order of the recording's last creation of each slot, read from its lines by hand.
    created: list[int] = []
    for line in Path(TRACE).read_text().splitlines():
        number, size = (int(re.search(rf"{key}(\w+)", line)[1], 0) for key in ("Slot#", "size="))  # type: ignore[index]
        if number in created:
            created.remove(number)
        if size:
            created.append(number)
    assert [slot.number for slot in slots_of(one)] == created != sorted(created)


@pytest.mark.parametrize(
    ("rows", "order"),
    [([0, 1, 2], SlotOrder.GPA), ([1, 0, 2], SlotOrder.UNKNOWN)],
)
def test_other_tables_do_not_tell_the_order_of_creation(tmp_path: Path, rows: list[int], order: SlotOrder) -> None:
    table = [f"{i},{i << 20:#x},0x1000,{0x7000_0000_0000 + (i << 20):#x},0x0" for i in range(3)]
    (tmp_path / "s.csv").write_text("\n".join(["slot,gpa,size,hva,flags", *(table[i] for i in rows), ""]))
    result = call(tmp_path / "s.csv", "-o", tmp_path / "t.parquet", "--slots", tmp_path / "again.csv")
    assert result.exception is None and "order of creation: not recorded" in result.stderr
    assert read_trace(tmp_path / "t.parquet").slot_order is order
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "s.csv").read_bytes()


def test_ranks_of_creation_that_are_out_of_order_are_refused(tmp_path: Path) -> None:
    rows = ["0,0x0,0x1000,0x700000000000,0x0,0", "1,0x1000,0x1000,0x700000001000,0x0,2"]
    (tmp_path / "s.csv").write_text("\n".join(["slot,gpa,size,hva,flags,created", *rows, ""]))
    error = call(tmp_path / "s.csv", "-o", tmp_path / "t.parquet").exception
    assert isinstance(error, InputFileError) and "s.csv:3" in str(error) and ",1" in str(error)


def test_the_name_can_be_given(tmp_path: Path) -> None:
    assert call(TRACE, "-o", tmp_path / "t.parquet", "--name", "mine").exception is None
    assert read_trace(tmp_path / "t.parquet").name == "mine"
    assert "--name is empty" in refusal(TRACE, "-o", tmp_path / "t.parquet", "--name", " ")


def test_slots_written_are_slots_read(tmp_path: Path) -> None:
    assert call(DATA / "kvm-microvm-1G.mtree.txt", "--slots", tmp_path / "a.csv").exception is None
    assert call(tmp_path / "a.csv", "--slots", tmp_path / "b.csv").exception is None
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    recording = written(tmp_path, "r", CALL)
    linked = tmp_path / "linked"
    linked.symlink_to(recording)
    os.link(recording, tmp_path / "hard")
    assert "nothing to write" in refusal(recording)
    for output in (recording, linked, tmp_path / "hard"):
        for option in ("-o", "--slots"):
            assert "one of the recordings" in refusal(recording, option, output)
    assert recording.read_text() == CALL
    assert "is given for two outputs" in refusal(recording, "-o", tmp_path / "x", "--slots", tmp_path / "x")
    assert "there is no directory" in refusal(recording, "-o", tmp_path / "none" / "x")
    assert "is a directory" in refusal(recording, "--slots", tmp_path)


@pytest.mark.parametrize("option", ["-o", "--slots"])
def test_a_device_is_written_not_replaced(option: str) -> None:
    assert "No space left on device" in refusal(TRACE, option, "/dev/full")
    assert call(TRACE, option, "/dev/null").exception is None
    assert Path("/dev/full").is_char_device() and Path("/dev/null").is_char_device()


@pytest.mark.parametrize("leads_to", ["a file", "nothing", "itself", "a device"])
@pytest.mark.parametrize("option", ["-o", "--slots"])
def test_a_link_is_not_followed(tmp_path: Path, leads_to: str, option: str) -> None:
    real = written(tmp_path, "real", "old")
    link = tmp_path / "link"
    points = {"a file": real, "nothing": tmp_path / "none", "itself": link, "a device": Path("/dev/full")}[leads_to]
    link.symlink_to(points)
    assert "symbolic link; give the file to which it points" in refusal(TRACE, option, link)
    assert link.readlink() == points and real.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_a_folder_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    assert call(TRACE, "--slots", tmp_path / "link" / "slots.csv").exception is None
    assert (tmp_path / "folder" / "slots.csv").read_text().startswith("slot,")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = written(tmp_path, "t.parquet", "old")
    script = "import sys; from slotlookup.bench.cli import main; sys.argv[0] = 'slotlookup'; main()"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", script, "import", TRACE, "-o", str(target)],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 2 and "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_bad_recording_writes_nothing(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "r", CALL[:50]), "-o", tmp_path / "t.parquet")
    assert "r:1: " in message or "not a recording" in message
    assert not (tmp_path / "t.parquet").exists()


def test_outside_lookups_are_told(tmp_path: Path) -> None:
    stream = written(tmp_path, "s.u32le", b"\x00\x00\x00\x00\xff\xff\x00\x00")
    result = call(written(tmp_path, "r", CALL), stream, "-o", tmp_path / "t.parquet")
    assert "gfn lookups: 2, 1 of them outside every slot" in result.stderr


def test_slots_go_to_stdout_for_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = DATA / "microvm-1G.final_slots.csv"
    result = CliRunner().invoke(command, [str(table), "--slots", "-"], standalone_mode=False)
    assert result.stdout == table.read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_trace_does_not_go_to_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command, [str(DATA / "microvm-1G.final_slots.csv"), "-o", "-"], standalone_mode=False)
    assert "cannot go to stdout" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
