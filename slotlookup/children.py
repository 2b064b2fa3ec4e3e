"""Child processes that run structures: that they end with their parent, and how their end is reported."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
from pathlib import Path
from typing import IO

import _slotlookup_native as native

_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of <sys/prctl.h>."""
STACK_BYTES = 64 << 20
"""The stack that structures may use: eight times what Linux gives by default."""
_SAID_BYTES = 4096
_SAID_CHARACTERS = 200


def python_for(code: str) -> list[str]:
    """The command that runs `code` with the modules that this process imports, in a new interpreter.

    -P: nothing is imported from the current folder. -S where this process has it too: hooks of installed packages would
    find other modules than this process did.
    """
    site = ["-S"] if sys.flags.no_site else []
    return [sys.executable, "-P", *site, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]


def end_with_parent(parent: int | None = None) -> None:
    """Make the kernel kill this process when the thread that started it ends.

    `parent` is the process that started it, if known; without it, its end before this call goes unnoticed.
    """
    if parent is None:
        parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def limit_crash() -> None:
    """Make a crash of this process quick and clear: no core file, and a recursion without end reaches a limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    native.limit_stack(STACK_BYTES)


def address_space() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE


def words_of_end(code: int) -> str:
    """How a process ended by itself, from its exit code as `subprocess` gives it."""
    if code >= 0:
        return f"ended its process with exit({code})"
    try:
        return f"crashed with {signal.Signals(-code).name}"
    except ValueError:
        return f"crashed with signal {-code}"


def last_words(said: IO[bytes]) -> str:
    """The last line that a process wrote to its stderr, for a message; "" if there is none."""
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - _SAID_BYTES))
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return ""
    return ", saying: " + "".join(c if c.isprintable() else " " for c in lines[-1])[:_SAID_CHARACTERS]
