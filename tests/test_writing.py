"""Output files: tried before the work, complete or absent, all or none, and results that are never lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import checking
import pytest
from click.testing import CliRunner, Result

from slotlookup.bench.cli import cli
from slotlookup.bench.commands import check as check_command
from slotlookup.bench.commands import run as run_command
from slotlookup.bench.sweep import file as sweep_file
from slotlookup.errors import InputFileError, SlotlookupError
from slotlookup.writing import must_be_writable, replacing, write_files

SLOTLOOKUP = Path(sys.executable).with_name("slotlookup")
RUN = ("run", "two-slot", "-s", "rbtree", "--counts-only")
PATIENCE = 30.0


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if a run begins."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the run began")

    monkeypatch.setattr(run_command, "run", refuse)


@contextmanager
def full_disk(where: Path) -> Iterator[Path]:
    """A file system of 64 KiB that is mounted on `where`."""
    where.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", where], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


@pytest.mark.parametrize("option", ["--save", "--export"])
def test_outputs_are_tried_before_the_work(option: str, tmp_path: Path, no_work: None) -> None:
    nowhere = tmp_path / "missing" / "out.md"
    assert isinstance(call(*RUN, option, nowhere).exception, InputFileError)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "there is no directory" in str(call(*RUN, option, loop / "out.md").exception)
    loop.unlink()
    pipe = tmp_path / "pipe.md"
    os.mkfifo(pipe)
    assert "no process reads this pipe" in str(call(*RUN, option, pipe).exception)
    # The kernel refuses new files in this folder to root too.
    assert isinstance(call(*RUN, option, "/proc/out.md").exception, InputFileError)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_pipe_that_is_read_stays_open_from_the_check_to_the_result(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        must_be_writable(pipe)
        with pytest.raises(BlockingIOError):  # at its end, it would be b""
            os.read(reader, 1)
        with replacing(pipe) as file:
            file.write(b"result")
        assert os.read(reader, 10) == b"result"
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)


def test_standard_output_in_a_pipe_is_written() -> None:
    done = subprocess.run([SLOTLOOKUP, *RUN, "--save", "/dev/stdout"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    saved, end = json.JSONDecoder().raw_decode(done.stdout)
    assert saved["workload"]["name"] == "two-slot"
    assert "rbtree" in done.stdout[end:], "the tables follow"


def test_what_is_open_for_reading_only_is_refused() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(InputFileError, match="Bad file descriptor"):
            must_be_writable(f"/dev/fd/{read}")
        must_be_writable(f"/dev/fd/{write}")
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_a_replaced_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(mode)
    with replacing(file) as out:
        out.write(b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", mode)


def test_tables_are_printed_if_writing_fails_after_all(tmp_path: Path) -> None:
    result = call(*RUN, "--save", "/dev/full", "--export", tmp_path / "out.csv")
    assert "/dev/full: cannot be written: No space left on device" in str(result.exception)
    assert "rbtree" in result.stdout
    assert not list(tmp_path.iterdir()), "both or none"


def test_a_measurement_of_the_kernel_is_printed_if_writing_fails_after_all(tmp_path: Path) -> None:
    result = call("kernel", "--recorded", "--save", "/dev/full", "--plot", tmp_path / "plot.svg")
    assert "/dev/full: cannot be written: No space left on device" in str(result.exception)
    assert result.stdout == call("kernel", "--recorded").stdout
    assert not list(tmp_path.iterdir()), "both or none"


def test_a_check_that_cannot_write_its_baseline_prints_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checking.settle(monkeypatch, tmp_path)
    checking.call("--update")
    held = checking.BASELINE.read_bytes()
    checking.BASELINE.write_bytes(held.replace(b"}", b" }", 1))

    def fail(baseline: object, path: Path) -> None:
        raise InputFileError(path, None, "cannot be written: No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(check_command, "write_baseline", fail)
        result = checking.call("--update", "--format", "json")
    assert isinstance(result.exception, InputFileError)
    shown = json.loads(result.stdout)
    assert not shown["updated"] and any("is unchanged" in note for note in shown["notes"])
    assert json.loads(checking.call("--update", "--format", "json").stdout)["updated"]
    assert checking.BASELINE.read_bytes() == held


def test_a_baseline_is_tried_before_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checking.settle(monkeypatch, tmp_path)
    monkeypatch.setattr(check_command, "count", lambda *_: pytest.fail("the check began"))
    result = checking.call("--update", "--baseline", str(tmp_path / "missing" / "baseline.json"))
    assert "there is no directory" in str(result.exception)


def test_the_points_of_a_sweep_are_printed_if_its_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, slots: int, point: object) -> None:
        raise InputFileError(path, None, "cannot be written: No space left on device")

    monkeypatch.setattr(sweep_file, "append", fail)
    result = call("sweep", "--slots", "2,4", "-s", "rbtree", "--counts-only", "--json", "--save", tmp_path / "sweep")
    assert isinstance(result.exception, InputFileError)
    assert json.loads(result.stdout)["slots"] == [2]


def test_all_files_or_none_are_on_a_full_disk(tmp_path: Path) -> None:
    with full_disk(tmp_path / "small") as small:
        (small / "large").write_bytes(b"old")

        def small_one(file: BinaryIO) -> None:
            file.write(b"small")

        def large_one(file: BinaryIO) -> None:
            file.write(bytes(1 << 20))

        for writers in ([(small / "small", small_one), (small / "large", large_one)],) * 2:
            with pytest.raises(InputFileError, match="large: cannot be written: No space left"):
                write_files(writers)
            writers.reverse()
            assert {path.name: path.read_bytes() for path in small.iterdir()} == {"large": b"old"}


def test_an_import_writes_both_outputs_or_none(tmp_path: Path) -> None:
    (tmp_path / "slots.csv").write_text("slot,gpa,size,hva,flags\n0,0,0x1000,0x7f0000000000,0\n")
    output = tmp_path / "out.parquet"
    result = call("import", tmp_path / "slots.csv", "-o", output, "--slots", "/dev/full")
    assert "/dev/full: cannot be written" in str(result.exception)
    assert not output.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (*RUN, "--save", "o.md", "--export", "./o.md"),
        (*RUN, "--export", "o.csv", "--export", "o.csv"),
        ("kernel", "--recorded", "--save", "o.svg", "--plot", "o.svg"),
        ("sweep", "--counts-only", "--save", "o.svg", "--plot", "o.svg"),
        ("import", "x", "-o", "o.svg", "--slots", "o.svg"),
    ],
)
def test_one_file_for_two_outputs_is_refused(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_work: None
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is given for two outputs" in str(call(*arguments).exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_an_empty_workload_is_refused(command: str) -> None:
    result = call(command, "", "--counts-only")
    assert isinstance(result.exception, SlotlookupError) and result.exception.exit_code == 2
