"""Child processes that run structures: that they end with their parent, and how their end is reported."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import _slotlookup_native as native

_SET_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of <sys/prctl.h>."""
STACK_BYTES = 64 << 20
"""The stack that structures may use: eight times what Linux gives by default."""
_SET_CHILD_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of <sys/prctl.h>."""
_RETRY_SECONDS = 0.02
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
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def limit_crash() -> None:
    """Make a crash of this process quick and clear: no core file, and a recursion without end reaches a limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    native.limit_stack(STACK_BYTES)


def fork_with_keeper(parent: int, *descriptors: int) -> None:
    """Fork, and return in the new process only. This process, which `parent` started, remains as the keeper.

    When the new process has ended, when the thread that started the keeper has ended, or at SIGTERM, the keeper kills
    whatever the new process has started, and then ends as the new process did. That includes processes in sessions of
    their own: the kernel makes the keeper the parent of every descendant that has lost its own. A PID namespace would
    do the same, but needs root or a user namespace. `descriptors` are closed in the keeper.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    awaited = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
    keeper, child = os.getpid(), os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        end_with_parent(keeper)
        return
    for descriptor in descriptors:
        os.close(descriptor)
    _keep(child, awaited)


def _keep(child: int, awaited: set[signal.Signals]) -> NoReturn:
    status: int | None = None
    while status is None and signal.sigwait(awaited) == signal.SIGCHLD:
        while ended := _reap():
            if ended[0] == child:
                status = ended[1]
    while _has_children():
        for pid in _children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait([signal.SIGCHLD], _RETRY_SECONDS)
        while _reap():
            pass
    code = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _reap() -> tuple[int, int] | None:
    """Process id and status of a child that has ended; None if there is none."""
    with suppress(ChildProcessError):
        pid, status = os.waitpid(-1, os.WNOHANG)
        return (pid, status) if pid else None
    return None


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    """The children of this process. Not from /proc/PID/task/PID/children, which not every kernel has."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name, in parentheses, may contain any text; the parent is the second field after it.
            if int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(folder.name))
    return found


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


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
