"""`slotlookup record`: recordings on this machine, complete removal of its instances, and its errors."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from test_endings import await_, has_ended
from test_import_recordings import DATA, SLOTS, written

from slotlookup.bench.commands import record
from slotlookup.bench.record import guard, tracefs
from slotlookup.bench.record.guard import remove_instance
from slotlookup.bench.record.live import Running
from slotlookup.bench.record.live_slots import slot_changes, slots_of, with_its_slots
from slotlookup.bench.record.qmp import monitor
from slotlookup.errors import InputFileError, SlotlookupError, UsageError
from slotlookup.trace import EventKind, read_trace

SLOTLOOKUP = Path(sys.executable).with_name("slotlookup")
GUEST = """
import os, sys
import _slotlookup_native as native
guest = native.DemoGuest("/dev/kvm", os.open(os.devnull, os.O_WRONLY), 16)
guest.run(float(sys.argv[1]))
"""


def mounted() -> Path | None:
    return next((place for place in tracefs.MOUNTS if (place / "instances").is_dir()), None)


@pytest.fixture(scope="module")
def tracing() -> Iterator[None]:
    """tracefs and KVM: tracefs is mounted for these tests where it is not, and skipped where that is refused."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/kvm")
    here = mounted() is None
    if here:
        done = subprocess.run(
            ["mount", "-t", "tracefs", "nodev", tracefs.MOUNTS[0]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"tracefs cannot be mounted: {done.stderr.strip()}")
    yield
    if here:
        subprocess.run(["umount", tracefs.MOUNTS[0]], check=True)


live = pytest.mark.usefixtures("tracing")


def ours() -> set[str]:
    place = mounted()
    return {path.name for path in (place / "instances").glob("slotlookup-*")} if place else set()


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    before = ours()
    yield
    assert ours() <= before


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(record.command, [str(arg) for arg in args], standalone_mode=False)


def refusal(*args: str | Path) -> str:
    result = call(*args)
    assert isinstance(result.exception, SlotlookupError), result.output
    assert result.exception.exit_code == 2 and "\n" not in str(result.exception)
    return str(result.exception)


def started(*args: str | Path) -> subprocess.Popen[str]:
    """A recording in a process and session of its own, that has begun to record."""
    process = subprocess.Popen(
        [SLOTLOOKUP, "record", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    folder = Path(args[args.index("-o") + 1]).parent
    # More than the slots, which are reported first.
    await_(lambda: any(file.stat().st_size > 1 << 16 for file in folder.glob("*.part/events.trace")), "it records")
    return process


@live
def test_the_demo_goes_all_the_way(tmp_path: Path, leaves_nothing: None) -> None:
    output = tmp_path / "demo.parquet"
    result = call("--demo", "--seconds", "0.5", "-o", output)
    assert result.exception is None, result.output
    assert f"next: slotlookup run {output}" in result.stderr and result.stdout == ""
    trace = read_trace(output)
    kinds = [int((trace.events["kind"] == kind).sum()) for kind in EventKind]
    assert all(kinds) and kinds[EventKind.GFN_LOOKUP] > 1000
    # A fault can be told only while its slot is there: slots, faults and time go together.
    assert "0 of them outside every slot" in result.stderr
    assert len(trace.final_slots()) == 17
    assert list(tmp_path.iterdir()) == [output]
    answer = subprocess.run(
        [SLOTLOOKUP, "run", output, "-s", "linear", "-s", "kvm-5.17", "--counts-only", "--json"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["workload"]["fingerprint"] == trace.fingerprint


@live
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_command_is_followed(tmp_path: Path, leaves_nothing: None) -> None:
    script = written(tmp_path, "guest.py", GUEST)
    output = tmp_path / "t.parquet"
    answer = subprocess.run(
        [SLOTLOOKUP, "record", "-o", output, "--", sys.executable, script, "0.5"], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert "gfn lookups: " in answer.stderr and " 0 of them outside every slot" in answer.stderr
    assert "merged by time since boot with slots.trace" in answer.stderr
    assert len(read_trace(output).final_slots()) == 17


@live
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_recording_and_writes_it(
    tmp_path: Path, number: signal.Signals, leaves_nothing: None
) -> None:
    output = tmp_path / "t.parquet"
    process = started("--demo", "--seconds", "60", "-o", output)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert " 0 of them outside every slot" in errors
    assert len(read_trace(output).final_slots()) in (16, 17), "at most one slot was being replugged"


def dies_by(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """End a recording alone, not its process group; it must leave neither its processes nor its instance."""
    mine = {name for name in ours() if f"-{process.pid}-" in name}
    assert mine
    children = {pid: guard.started(pid) for pid in guard.descendants(process.pid)}
    assert len(children) >= 2, "the guard, which ends last, and what is recorded"
    process.send_signal(number)
    process.communicate()
    await_(lambda: all(has_ended(pid, since) for pid, since in children.items()), "its processes have ended")
    assert not mine & ours()


@live
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT, signal.SIGSEGV])
def test_a_death_leaves_neither_guest_nor_instance(tmp_path: Path, number: signal.Signals) -> None:
    process = started("--demo", "--seconds", "60", "-o", tmp_path / "t.parquet")
    dies_by(process, number)
    assert not (tmp_path / "t.parquet").exists()


@live
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_command_and_strace_end_with_the_recording(tmp_path: Path) -> None:
    script = written(tmp_path, "guest.py", GUEST)
    process = started("-o", tmp_path / "t.parquet", "--", sys.executable, str(script), "60")
    dies_by(process, signal.SIGKILL)


def test_the_guard_kills_what_ignores_its_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.2)
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()
        guard.end_processes({stubborn.pid: 0})  # another process that had the same id: left alone
        assert stubborn.poll() is None
        since = guard.started(stubborn.pid)
        assert since is not None
        guard.end_processes({stubborn.pid: since})
        assert stubborn.wait(30) == -signal.SIGKILL


@live
def test_what_others_left_is_removed(leaves_nothing: None) -> None:
    place = mounted()
    assert place is not None
    pid = subprocess.Popen(["true"])
    pid.wait()
    alive = place / "instances" / tracefs.name_of(os.getpid())
    space = alive.name.rpartition("-")[2]
    stale = place / "instances" / f"slotlookup-{pid.pid}-1-{space}"
    contained = place / "instances" / f"slotlookup-{pid.pid}-1-{space}0"
    other = place / "instances" / "slotlookup-not-ours"
    for path in (stale, alive, contained, other):
        path.mkdir()
    try:
        assert stale.name in tracefs.remove_stale(place)
        assert not stale.exists() and alive.exists() and contained.exists() and other.exists()
    finally:
        for path in (stale, alive, contained, other):
            remove_instance(path)


def test_what_is_to_be_recorded_must_be_clear(tmp_path: Path) -> None:
    output = tmp_path / "t.parquet"
    assert "give one of" in refusal("-o", output)
    assert "give one of" in refusal("-o", output, "--demo", "--pid", "1")
    assert "--qmp needs --pid" in refusal("-o", output, "--demo", "--qmp", "x")
    assert "give --qmp SOCKET" in refusal("-o", output, "--pid", "1")
    (tmp_path / "link").symlink_to("elsewhere")
    assert "symbolic link" in refusal("-o", tmp_path / "link", "--demo")
    assert "no directory" in refusal("-o", tmp_path / "none" / "t", "--demo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "0", "-1", "86401"])
def test_a_duration_is_a_number_of_seconds(tmp_path: Path, seconds: str) -> None:
    done = call("-o", tmp_path / "t.parquet", "--demo", "--seconds", seconds)
    assert isinstance(done.exception, click.BadParameter)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_the_output_and_keeps_what_there_is(tmp_path: Path) -> None:
    output = tmp_path / "t.parquet"
    full = pytest.raises(InputFileError, match=r"t\.parquet: cannot be written: No space left on device")
    with full as caught, record._scratch(output) as folder:
        (folder / "events.trace").write_text("recorded")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(folder) in str(caught.value)
    assert (folder / "events.trace").read_text() == "recorded"
    with pytest.raises(UsageError, match="nothing"), record._scratch(output) as empty:
        raise UsageError("nothing was recorded")
    assert not empty.exists()


def test_where_it_cannot_record_it_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracefs, "MOUNTS", (tmp_path / "none",))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "mount -t tracefs nodev" in refusal("-o", tmp_path / "t", "--demo")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run it with sudo" in refusal("-o", tmp_path / "t", "--demo")
    (tmp_path / "tracing" / "instances").mkdir(parents=True)
    monkeypatch.setattr(tracefs, "MOUNTS", (tmp_path / "tracing",))
    monkeypatch.setattr(record, "KVM", tmp_path / "kvm")
    assert "enable virtualisation" in refusal("-o", tmp_path / "t", "--demo")
    # A folder that is no tracefs has no events.
    monkeypatch.setattr(record, "KVM", tmp_path)
    assert "no events of KVM" in refusal("-o", tmp_path / "t", "--demo")
    assert not list((tmp_path / "tracing" / "instances").iterdir())
    with pytest.raises(UsageError, match="no process"):
        Running(1 << 22 | 1)


@pytest.mark.parametrize(
    ("mode", "said"), [("none [integrity] confidentiality", "locked down"), ("[none] integrity", "run it with sudo")]
)
def test_a_refusal_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, said: str) -> None:
    (tmp_path / "instances").mkdir()
    monkeypatch.setattr(tracefs, "MOUNTS", (tmp_path,))
    monkeypatch.setattr(tracefs, "LOCKDOWN", written(tmp_path, "lockdown", mode))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=said), tracefs.instance(64):
        raise AssertionError("it was not refused")


def test_qemu_is_asked_and_others_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told"
    assert with_its_slots(["/usr/bin/qemu-system-x86_64", "-m", "1G"], told)[3:] == [
        *("-trace", f"enable=kvm_set_user_memory,file={told}", "-msg", "timestamp=on")
    ]
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    followed = with_its_slots(["firecracker", "--no-api"], told)
    assert followed[0] == "/bin/strace" and followed[-3:] == ["--", "firecracker", "--no-api"]
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="not installed; install it, or give --slots"):
        with_its_slots(["firecracker"], told)


MAP = (DATA / "kvm-q35-1G-std.mtree.txt").read_text()
HOST = 0x7F1200000000


class Qemu:
    """A monitor that answers from a memory map, on a socket; every address lies at HOST plus itself."""

    def __init__(self, path: Path, greeting: str = '{"QMP": {}}', apart: int = 1 << 64) -> None:
        self.greeting, self.apart = greeting, apart
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        with self.server:
            connection, _ = self.server.accept()
        # Whoever does not like the greeting goes away.
        with suppress(OSError), connection:
            connection.sendall(f"{self.greeting}\n".encode())
            for line in connection.makefile("rb"):
                answer = json.dumps(self.answer(json.loads(line)))
                connection.sendall(f'{{"event": "RTC_CHANGE", "data": {{}}}}\n{answer}\n'.encode())

    def answer(self, request: dict[str, object]) -> dict[str, object]:
        if request["execute"] == "qmp_capabilities":
            return {"return": {}}
        arguments = request["arguments"]
        assert isinstance(arguments, dict)
        words = arguments["command-line"].split()
        if words[0] == "info":
            return {"return": MAP.replace("\n", "\r\n")}
        gpa = int(words[1], 16)
        hva = HOST + gpa + (4096 if gpa % (1 << 24) >= self.apart else 0)
        return {"return": f"Host virtual address for {gpa:#x} (pc.ram) is {hva:#x}\r\n"}


def test_the_monitor_tells_slots_with_their_host_addresses(tmp_path: Path) -> None:
    Qemu(tmp_path / "qmp")
    with monitor(tmp_path / "qmp") as connection:
        recording = slots_of(connection, tmp_path / "map")
    expected = [line.split(",") for line in (DATA / "q35-1G-std.final_slots.csv").read_text().splitlines()[1:]]
    assert recording.table is not None and recording.hva_recorded
    assert {(s.gpa, s.size) for s in recording.table} == {(int(e[1], 16), int(e[2], 16)) for e in expected}
    assert all(slot.userspace_addr == HOST + slot.gpa for slot in recording.table)
    assert not any("constructed from" in remark for remark in recording.remarks)


def test_a_range_in_two_pieces_is_refused(tmp_path: Path) -> None:
    Qemu(tmp_path / "qmp", apart=1 << 12)
    with monitor(tmp_path / "qmp") as connection, pytest.raises(UsageError, match="not contiguous"):
        slots_of(connection, tmp_path / "map")


@pytest.mark.parametrize("greeting", ["hello", "[]", '{"error": 1}', '{"QMP": {}}\n{"error": {"desc": "busy"}}'])
def test_what_is_no_monitor_is_told(tmp_path: Path, greeting: str) -> None:
    Qemu(tmp_path / "qmp", greeting)
    with pytest.raises(UsageError, match=r"QMP|busy"), monitor(tmp_path / "qmp"):
        raise AssertionError("it was taken for a monitor")
    with pytest.raises(UsageError, match="cannot be connected to"), monitor(written(tmp_path, "file", SLOTS)):
        raise AssertionError("a file was taken for a socket")


@live
def test_of_two_vms_the_one_asked_for_is_recorded(tmp_path: Path, leaves_nothing: None) -> None:
    script = "import sys\n" + GUEST.replace("os.open(os.devnull, os.O_WRONLY)", "os.open(sys.argv[2], os.O_RDWR)")
    guests = []
    for name in ("one", "two"):
        marks = written(tmp_path, name, "")
        guests.append(subprocess.Popen([sys.executable, written(tmp_path, "g.py", script), "60", marks]))
    try:
        await_(lambda: all((tmp_path / name).read_text().count("SLOT") >= 17 for name in ("one", "two")), "slots")
        rows = [line.split()[1:] for line in (tmp_path / "one").read_text().splitlines()[:17]]
        table = "".join(f"{n},{g[4:]},{s[5:]},{h[4:]},0x0\n" for n, g, s, h in rows)
        slots = written(tmp_path, "slots.csv", "slot,gpa,size,hva,flags\n" + table)
        output = tmp_path / "t.parquet"
        result = call("--pid", str(guests[0].pid), "--slots", slots, "--seconds", "2", "-o", output)
    finally:
        for guest in guests:
            guest.kill()
            guest.wait()
    assert result.exception is None, result.output
    # Of a long recording the kernel may have dropped threads' names and processes; faults are still distinguished.
    dropped = re.search(r"dropped: ([\d,]+) faults of other VMs' threads \(", result.stderr)
    kept, seen = re.findall(r"from: ([\d,]+) of ([\d,]+) kvm_mmu_spte_requested", result.stderr)[0]
    assert dropped is not None
    assert int(kept.replace(",", "")) + int(dropped[1].replace(",", "")) == int(seen.replace(",", ""))
    assert " 0 of them outside every slot" in result.stderr
    assert (read_trace(output).events["kind"] == EventKind.GFN_LOOKUP).any()


STAND_IN = """
import sys
told = sys.argv[sys.argv.index("-trace") + 1].partition("file=")[2]
assert sys.argv[sys.argv.index("-msg") + 1] == "timestamp=on"
with open(told, "w") as file:
    for i, second in enumerate(("12.5", "13")):
        file.write(f"2025-09-30T06:12:{second}Z kvm_set_user_memory AddrSpace#0 Slot#{i} flags=0x0 gpa={i:#x}0000 "
                   f"size=0x1000 ua=0x7f0000{i}00000 guest_memfd=-1 guest_memfd_offset=0x0 ret=0\\n")
"""


def test_slot_changes_of_qemu_10_1_and_later_have_their_times(tmp_path: Path) -> None:
    """A stand-in prints what QEMU 10.1 prints with the options that recording adds."""
    program = written(tmp_path, "qemu-system-x86_64", f"#!{sys.executable}\n{STAND_IN}")
    program.chmod(0o755)
    subprocess.run(with_its_slots([str(program)], tmp_path / "told"), check=True)
    recording = slot_changes(tmp_path / "told", offset=10**9)
    # 2025-09-30 06:12:12.5 UTC is 1,759,212,732.5 s after 1970 (date -u -d ... +%s.%N), and one second less here.
    assert recording.times is not None
    assert recording.times.tolist() == [1_759_212_731_500_000_000, 1_759_212_732_000_000_000]
    assert recording.events["slot"].tolist() == [0, 1]
