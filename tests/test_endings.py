"""Commands that a signal ends leave no process or semaphore behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from slotlookup.bench.record.guard import descendants, started

SLOTLOOKUP = Path(sys.executable).with_name("slotlookup")
PATIENCE = 60.0


def await_(condition: Callable[[], object], what: str) -> None:
    """Poll until `condition` holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.02)


def has_ended(pid: int, since: int | None) -> bool:
    """Whether the process that started at `since` is gone, or waits for its parent to take its exit code."""
    try:
        return started(pid) != since or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


LONG_SWEEP = ("sweep", "synthetic-uniform", "-s", "py-linear", "--slots", "16384,32764", "--counts-only", "--jobs", "2")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_the_processes_of_a_sweep_end_with_it(number: signal.Signals) -> None:
    process = subprocess.Popen([SLOTLOOKUP, *LONG_SWEEP], stderr=subprocess.PIPE, text=True)
    await_(lambda: len(descendants(process.pid)) == 2, "two processes count")
    children = {pid: started(pid) for pid in descendants(process.pid)}
    # Semaphores of `multiprocessing` would be files that outlive processes that are killed.
    for pid in (process.pid, *children):
        assert "sem.mp" not in Path(f"/proc/{pid}/maps").read_text()
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert "slotlookup: interrupted: 0 of 2 slot counts done" in errors
    await_(lambda: all(has_ended(pid, since) for pid, since in children.items()), "the processes have ended")
