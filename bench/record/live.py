"""Recording of a running VM: the recorded processes, and the text file of their events."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from slotlookup.errors import UsageError
from slotlookup.recordings.importing import Limits

from .guard import PATIENCE, descendants, listed, started
from .tracefs import AT_ONCE, Instance

TICK = 0.05
"""Seconds between reads of the recording."""
LARGEST = 1 << 32
"""Bytes of text at which a recording ends; importing them takes several GiB of memory."""
IMPORTED = Limits(expanded=LARGEST, memory=1 << 40)
"""Of a text of at most that length: nothing that was recorded is refused."""
RESERVE = 1 << 28
"""Bytes of text that may be in the kernel's buffers when a recording ends because of its length."""


class Stop:
    """Set by the first SIGINT, SIGTERM or SIGHUP while `watching`, which ends a recording regularly."""

    def __init__(self) -> None:
        self.asked = False
        self.full = False
        """Whether the recording ended because it had the maximum length."""

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Catch the signals within the block; a second one interrupts as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {n: signal.signal(n, self._ask) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def threads(pid: int) -> list[int]:
    """The threads of a process; none if there is no such process."""
    return [int(name) for name in listed(Path(f"/proc/{pid}/task"))]


class Running:
    """A process that was already running. `pids` are its id and its threads' ids."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._started = started(pid)
        if self._started is None:
            raise UsageError(f"there is no process {pid}")
        self.pids = {pid}

    def look(self) -> bool:
        """Whether it still runs; also stores its threads."""
        self.pids.update(threads(self.pid))
        return started(self.pid) == self._started

    def end(self) -> None:
        """Nothing to do: the process continues."""


class Command:
    """A command that is started here. `pids` are its processes' ids. Raises UsageError if it cannot be started."""

    def __init__(self, arguments: Sequence[str], keep: Sequence[int] = (), quiet: bool = False) -> None:
        try:
            self.process = subprocess.Popen(
                arguments, pass_fds=keep, stdout=subprocess.PIPE if quiet else None, text=True
            )
        except OSError as error:
            raise UsageError(f"{arguments[0]} cannot be started: {error.strerror or error}") from None
        self.pids = {self.process.pid}

    def look(self) -> bool:
        """Whether it still runs; also stores its processes."""
        self.pids.update(descendants(self.process.pid))
        return self.process.poll() is None

    def end(self) -> None:
        """Signal it and its processes to end, and kill them after a while."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is not None:
                return
            # strace blocks signals, and ends when the traced process ends.
            for pid in descendants(self.process.pid) or [self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        self.process.kill()
        self.process.wait()


def _look(instance: Instance, process: Running | Command) -> bool:
    """Whether the process still runs. What was started here ends with this process, whatever ends it."""
    runs = process.look()
    if isinstance(process, Command):
        instance.end_with_us(process.pids)
    return runs


def follow(
    instance: Instance, text: Path, start: Callable[[], Running | Command], seconds: float | None, stop: Stop
) -> Running | Command:
    """Record into the file `text` until the process of `start` ends, the time is over, or `stop` is set.

    It also ends when the text has the maximum length.

    A process that was already running continues; a command that was started here is ended.
    """
    with text.open("xb") as file, instance.text() as recorded:
        instance.start()
        process = start()
        try:
            end = None if seconds is None else time.monotonic() + seconds
            while _look(instance, process) and not stop.asked and (end is None or time.monotonic() < end):
                if file.tell() > LARGEST - RESERVE:
                    stop.full = True
                    break
                if not recorded.copy(file):
                    time.sleep(TICK)
        finally:
            process.end()
        instance.stop()
        while file.tell() < LARGEST - AT_ONCE and recorded.copy(file):
            pass
    return process
