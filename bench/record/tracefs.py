"""A separate instance of tracefs: KVM's events are recorded in it, and nothing else on the machine is changed.

The instance is called `slotlookup-PID-START-SPACE`: the start time of the process, in the kernel's ticks, and the
namespace of its id, so that a container does not remove the instances of another. The instance is removed at the end of
the block that uses it; if this process dies, by another process (`guard.py`), which also ends
the processes that the recording started; and if that fails, by the next recording,
which removes instances whose process has ended.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from slotlookup.errors import UsageError

from .guard import remove_instance, started

MOUNTS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
LOCKDOWN = Path("/sys/kernel/security/lockdown")
EVENTS = {
    "kvm/kvm_unmap_hva_range": True,
    "kvm/kvm_age_hva": False,
    "kvm/kvm_test_age_hva": False,
    "kvm/kvm_set_spte_hva": False,
    "kvm/kvm_page_fault": True,
    "kvmmmu/kvm_mmu_spte_requested": False,
}
"""The recorded events, and whether each is required. Which of the last two report faults is decided later."""
CLOCK = "mono"
PIECE = 1 << 16
AT_ONCE = 1 << 20
"""Bytes after which reading pauses, since the events of a busy VM never end."""
_NAME = re.compile(r"slotlookup-(\d{1,10})-(\d{1,20})-(\d{1,20})")


def find_tracefs() -> Path:
    """The mount point of tracefs. Raises UsageError, with the remedy, if it is not mounted or not accessible."""
    if sys.platform != "linux":
        raise UsageError("recording needs Linux with KVM; record there and import the file")
    for place in MOUNTS:
        try:
            if (place / "instances").is_dir():
                return place
        except PermissionError:
            continue
    if os.geteuid() != 0:
        raise UsageError("recording needs root, because only root can use tracefs; run it with sudo")
    raise UsageError(f"tracefs is not mounted; mount it: mount -t tracefs nodev {MOUNTS[0]}")


def name_of(pid: int) -> str:
    """The name of the instance of a living process."""
    return f"slotlookup-{pid}-{started(pid)}-{_space()}"


def _space() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def remove_stale(tracefs: Path) -> list[str]:
    """Remove this tool's instances whose process has ended. Returns their names."""
    removed = []
    for instance in sorted((tracefs / "instances").iterdir()):
        match = _NAME.fullmatch(instance.name)
        if match is None or int(match[3]) != _space() or started(int(match[1])) == int(match[2]):
            continue
        if remove_instance(instance):
            removed.append(instance.name)
    return removed


class Instance:
    """The instance, ready to record. `lacking` are the events that this kernel does not have."""

    def __init__(self, path: Path, buffer_kb: int, guard: int) -> None:
        self.path = path
        self._guard = guard
        self._guarded: set[int] = set()
        self.lacking = [event for event in EVENTS if not (path / "events" / event).is_dir()]
        if not (path / "events" / "kvm").is_dir():
            raise UsageError(
                "this kernel has no events of KVM; load the module (modprobe kvm), or use a kernel with KVM"
            )
        for event in self.lacking:
            if EVENTS[event]:
                raise UsageError(f"this kernel's KVM has no event {event}; record on Linux 5.0 or later")
        self._set("tracing_on", "0")
        self._set("trace_clock", CLOCK)
        self._set("buffer_size_kb", str(buffer_kb))
        if (path / "options" / "record-tgid").exists():
            self._set("options/record-tgid", "1")
        for event in EVENTS:
            if event not in self.lacking:
                self._set(f"events/{event}/enable", "1")

    def _set(self, name: str, value: str) -> None:
        try:
            (self.path / name).write_text(value)
        except OSError as error:
            raise UsageError(f"tracefs refuses {value} for {name}: {error.strerror or error}; {_why(error)}") from None

    def end_with_us(self, pids: Iterable[int]) -> None:
        """Have the guard end these processes if this one dies."""
        for pid in set(pids) - self._guarded:
            self._guarded.add(pid)
            since = started(pid)
            if since is not None:
                # Without its guard a recording goes on; its regular end does not need one.
                with suppress(BrokenPipeError):
                    os.write(self._guard, f"{pid} {since}\n".encode())

    def start(self) -> None:
        """Start recording."""
        self._set("tracing_on", "1")

    def stop(self) -> None:
        """Stop recording; the recorded events can still be read."""
        self._set("tracing_on", "0")

    @contextmanager
    def text(self) -> Iterator[Text]:
        """The recording, read while it is written."""
        fd = os.open(self.path / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            yield Text(fd)
        finally:
            os.close(fd)

    @contextmanager
    def marker(self) -> Iterator[int]:
        """A file descriptor whose writes become marks in the recording."""
        fd = os.open(self.path / "trace_marker", os.O_WRONLY)
        try:
            yield fd
        finally:
            os.close(fd)


class Text:
    """The recording as text, each line once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def copy(self, file: BinaryIO) -> int:
        """Append the available text to `file`, up to a limit; returns the number of bytes."""
        copied = 0
        while copied < AT_ONCE:
            try:
                piece = os.read(self._fd, PIECE)
            except BlockingIOError:
                return copied
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                raise
            if not piece:
                return copied
            file.write(piece)
            copied += len(piece)
        return copied


def _why(error: OSError) -> str:
    """The likely reason of a refusal, and the remedy."""
    try:
        lockdown = re.search(r"\[(\w+)\]", LOCKDOWN.read_text())
    except OSError:
        lockdown = None
    if lockdown is not None and lockdown[1] != "none":
        return f"the kernel is locked down ({lockdown[1]}); boot with lockdown off, or record elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
        return "recording needs root; run it with sudo"
    if error.errno == errno.ENOMEM:
        return "give a smaller --buffer"
    return "record as root outside of a container"


@contextmanager
def instance(buffer_kb: int) -> Iterator[Instance]:
    """An instance within the block. Raises UsageError, with the remedy, if that is not possible."""
    tracefs = find_tracefs()
    remove_stale(tracefs)
    path = tracefs / "instances" / name_of(os.getpid())
    # Its input ends with this process.
    until, ours = os.pipe()
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", Path(__file__).with_name("guard.py"), path],
        stdin=until,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Only this process handles Ctrl-C at the terminal.
        start_new_session=True,
        cwd="/",
    )
    os.close(until)
    try:
        try:
            path.mkdir()
        except OSError as error:
            raise UsageError(
                f"tracefs refuses to create an instance: {error.strerror or error}; {_why(error)}"
            ) from None
        try:
            yield Instance(path, buffer_kb, ours)
        finally:
            if not remove_instance(path):
                raise UsageError(f"{path} cannot be removed; remove it: rmdir {path}")
    finally:
        os.close(ours)
        guard.wait()


def monotonic_offset() -> int:
    """The time of day minus the clock of the instance, in nanoseconds."""
    return time.time_ns() - time.monotonic_ns()
