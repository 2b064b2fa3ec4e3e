"""`slotlookup record`."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from slotlookup.errors import InputFileError, UsageError, present
from slotlookup.recordings.importing import Recording
from slotlookup.recordings.ownership import Chosen
from slotlookup.recordings.recordings import put_together
from slotlookup.trace import write_trace
from slotlookup.writing import must_be_writable

from ..helpful import EachOnce
from ..options import Seconds, check_name
from ..printable import printable
from ..record.live import IMPORTED, LARGEST, Command, Running, Stop, follow
from ..record.live_slots import read_here, slot_changes, slots_of, with_its_slots
from ..record.qmp import monitor
from ..record.tracefs import Instance, find_tracefs, instance, monotonic_offset

KVM = Path("/dev/kvm")
DEMO_SECONDS = 2.0
BUFFER_KB = 16 << 10


@click.command("record", cls=EachOnce)
@click.argument("vm", nargs=-1, metavar="[-- COMMAND...]")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="TRACE.parquet",
    help="Write the trace to this file.",
)
@click.option("--pid", type=click.IntRange(min=1), help="Record this running process.")
@click.option("--demo", is_flag=True, help="Record a small built-in guest; needs KVM, but no QEMU.")
@click.option(
    "--seconds",
    type=Seconds(),
    help="Seconds to record [default: until exit or Ctrl-C; 2 with --demo].",
)
@click.option(
    "--qmp",
    type=click.Path(path_type=Path),
    metavar="SOCKET",
    help="With --pid: take the slots from QEMU's monitor at this socket.",
)
@click.option(
    "--slots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take the slots from this recording of slots; may be repeated.",
)
@click.option(
    "--buffer",
    type=click.IntRange(min=64),
    default=BUFFER_KB,
    show_default=True,
    metavar="KB",
    help="Size of the kernel's buffer per CPU, in KiB.",
)
@click.option("--name", help="Name of the trace [default: the name of the output file].")
def command(
    vm: tuple[str, ...],
    output: Path,
    pid: int | None,
    demo: bool,
    seconds: float | None,
    qmp: Path | None,
    slots: tuple[Path, ...],
    buffer: int,
    name: str | None,
) -> int:
    """Record a VM on this machine: the faults and notifier calls that the kernel reports, and the VM's slots.

    Needs root. The slots come from QEMU's monitor (--qmp), from recordings (--slots), from the trace of a QEMU that is
    started as COMMAND, or from strace of any other COMMAND. The events are recorded in a tracefs instance, which is
    removed at the end in every case. Ctrl-C ends the recording and writes the trace.
    """
    if sum((bool(vm), pid is not None, demo)) != 1:
        raise UsageError("give one of --pid PID, --demo and -- COMMAND, and only one")
    if qmp is not None and pid is None:
        raise UsageError("--qmp needs --pid; a QEMU that is started as COMMAND reports its slots itself")
    if pid is not None and qmp is None and not slots:
        raise UsageError(
            "the kernel does not report the slots of a running VM; give --qmp SOCKET (QEMU) or --slots FILE (a "
            "recording of its slots), or start the VM as -- COMMAND"
        )
    check_name(name)
    must_be_writable(output)
    find_tracefs()
    if demo:
        _must_have_kvm()
    with _scratch(output) as folder:
        stop = Stop()
        recordings: list[Recording] = [read_here(path) for path in slots]
        events = folder / "events.trace"
        with stop.watching(), instance(buffer) as recorder:
            if pid is not None:
                process = _running(recorder, events, pid, seconds, qmp, recordings, stop)
            elif demo:
                process = _demo(recorder, events, seconds or DEMO_SECONDS, stop)
            else:
                process = _command(recorder, events, vm, seconds, recordings, not slots, stop)
        recorded = _named(read_here(events, IMPORTED)) if events.stat().st_size else None
        if recorded is None or not len(recorded.events):
            raise UsageError("KVM reported no events during the recording; does the VM run, and does it use KVM?")
        if stop.full:
            recorded.remarks.append(f"the recording ended at {LARGEST >> 30} GiB of text, the maximum")
        chosen = Chosen(frozenset(process.pids), required=False)
        trace, summary = put_together([recorded, *recordings], name or output.stem, chosen)
        write_trace(trace, output)
    for line in (*summary.text(), f"written: {output}", f"next: slotlookup run {output}"):
        _say(line)
    return 0


def _running(
    recorder: Instance,
    events: Path,
    pid: int,
    seconds: float | None,
    qmp: Path | None,
    recordings: list[Recording],
    stop: Stop,
) -> Running | Command:
    process = Running(pid)
    before = None
    if qmp is not None:
        with monitor(qmp) as connection:
            before = _named(slots_of(connection, events.with_name("slots.mtree")))
        recordings.append(before)
    _tell(f"recording process {pid}", seconds)
    follow(recorder, events, lambda: process, seconds, stop)
    if qmp is not None and before is not None and process.look():
        with monitor(qmp) as connection:
            if slots_of(connection, events.with_name("slots-after.mtree")).table != before.table:
                before.remarks.append("the slots changed during the recording; the slots at its beginning are used")
    return process


def _command(
    recorder: Instance,
    events: Path,
    vm: tuple[str, ...],
    seconds: float | None,
    recordings: list[Recording],
    follow_slots: bool,
    stop: Stop,
) -> Running | Command:
    if shutil.which(vm[0]) is None:
        raise UsageError(f"{vm[0]} cannot be started: there is no such program")
    told = events.with_name("slots.trace")
    arguments = with_its_slots(vm, told) if follow_slots else list(vm)
    _tell(f"recording {vm[0]}", seconds)
    process = follow(recorder, events, lambda: Command(arguments), seconds, stop)
    if follow_slots:
        if not told.exists() or not told.stat().st_size:
            raise UsageError(f"{vm[0]} reported no slots; did it start?")
        recordings.append(_named(slot_changes(told, monotonic_offset())))
    return process


def _demo(recorder: Instance, events: Path, seconds: float, stop: Stop) -> Running | Command:
    script = Path(__file__).parents[1] / "record" / "demo_guest.py"
    with recorder.marker() as marks:
        arguments = [sys.executable, "-I", str(script), str(marks), str(seconds)]
        _tell("recording a guest that touches memory while its host drops pages", seconds)
        process = follow(recorder, events, lambda: Command(arguments, (marks,), quiet=True), seconds * 3 + 10, stop)
    if not isinstance(process, Command):
        raise TypeError("the built-in guest is not a command of ours")
    with present(process.process.stdout, "the guest's output") as pipe:
        said = pipe.read()
    if not said:
        if stop.asked:
            return process
        raise UsageError(f"the guest ended early (exit code {process.process.returncode})")
    told = json.loads(said)
    if "error" in told:
        raise UsageError(f"the demo cannot run here: {told['error']}")
    if not told["touched"]:
        raise UsageError(f"the guest touched nothing within {seconds:g} s; record longer (--seconds)")
    _say(
        f"guest: touched {told['touched']:,} pages; host: dropped {told['ballooned']:,} ranges, "
        f"replugged {told['replugged']:,} slots"
    )
    return process


def _must_have_kvm() -> None:
    if not KVM.exists():
        raise UsageError(f"there is no {KVM}; enable virtualisation and load kvm_intel or kvm_amd")


def _named(recording: Recording) -> Recording:
    """The recording under the bare name of its file, which is deleted at the end."""
    recording.path = Path(recording.path.name)
    return recording


def _tell(what: str, seconds: float | None) -> None:
    _say(f"{what}{f' for {seconds:g} s' if seconds is not None else ''}; Ctrl-C ends it")


def _say(line: str) -> None:
    """Print a line on stderr. A closed stderr must not lose the recording."""
    with suppress(BrokenPipeError):
        click.echo(printable(line), err=True)


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """A private folder next to the output. It is kept if its recording could not be converted to a trace."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{output.name[:100]}.", suffix=".part", dir=output.parent))
    except OSError as error:
        raise InputFileError(output, None, f"cannot be written: {error.strerror or error}") from None
    kept = False
    try:
        yield folder
    except (UsageError, OSError) as error:
        events = folder / "events.trace"
        kept = events.exists() and events.stat().st_size > 0
        told = f"; the recording is kept in {folder}" if kept else ""
        if isinstance(error, OSError):
            raise InputFileError(output, None, f"cannot be written: {error.strerror or error}{told}") from None
        if kept:
            raise UsageError(f"{error}{told}") from None
        raise
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
