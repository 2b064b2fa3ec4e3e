"""Cleans up when a recording process has died: a separate process, so that it survives a crash.

    python guard.py /sys/kernel/tracing/instances/NAME

reads lines `PID START` from its standard input: processes that the recording started, with their start times. When the
input ends, which the kernel ensures however the other end dies, and the instance still exists, it ends those processes
and their descendants, because they can keep the instance busy, and removes the instance. It is run by its path and
imports nothing from the project.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

ATTEMPTS = 50
"""Attempts to remove an instance while someone waits for it."""
ATTEMPTS_OF_GUARD = 36_000
"""Attempts of this process, for which nobody waits: an hour."""
PAUSE = 0.1
"""Seconds between attempts: the kernel refuses while the dead process's files are being closed."""
PATIENCE = 5.0
"""Seconds that a process may take to end after SIGTERM."""


def started(pid: int) -> int | None:
    """The start time of a process in ticks since boot; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may contain any text; the start is the twentieth field after it.
    return int(stat.rpartition(")")[2].split()[19])


def descendants(pid: int) -> list[int]:
    """The living descendants of a process."""
    found: list[int] = []
    for task in listed(Path(f"/proc/{pid}/task")):
        with suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def listed(folder: Path) -> list[str]:
    """The names in a folder; none if there is no such folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def end_processes(processes: Mapping[int, int]) -> None:
    """Signal processes, given with their start times, and their descendants to end; kill them after a while."""
    left = _living(processes)
    for pid in list(left):
        left |= {child: since for child in descendants(pid) if (since := started(child)) is not None}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + PATIENCE
        while left and time.monotonic() < end:
            time.sleep(PAUSE)
            left = _living(left)


def _living(processes: Mapping[int, int]) -> dict[int, int]:
    return {pid: since for pid, since in processes.items() if started(pid) == since}


def remove_instance(instance: Path, attempts: int = ATTEMPTS) -> bool:
    """Disable the instance's options and remove it; False if the kernel does not release it in time."""
    for attempt in range(attempts):
        # Removing an instance leaves the recording of process ids enabled for all of tracefs, so it is disabled first.
        for name in ("tracing_on", "events/enable", "options/record-tgid"):
            if (instance / name).exists():
                try:
                    (instance / name).write_text("0")
                except OSError:
                    continue  # already removed, or refused: then the removal below fails too, and is retried
        try:
            instance.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if attempt + 1 < attempts:
                time.sleep(PAUSE)
            continue
        return True
    return False


def main(instance: Path) -> int:
    """Wait for the end of the input, and clean up."""
    told = b""
    while piece := os.read(0, 4096):
        told += piece
    if not instance.exists():
        return 0  # the recording ended regularly, and ended its processes itself
    pairs = [line.split() for line in told.decode().splitlines()]
    end_processes({int(pid): int(since) for pid, since in pairs})
    return int(not remove_instance(instance, ATTEMPTS_OF_GUARD))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
