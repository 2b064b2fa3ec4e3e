"""New processes that time, one after another, so that an interval over them holds between runs.

A new process has its code and its memory at other addresses (address space randomisation, other pages), which decides
how they meet in caches and predictors. The processes are started together, because starting takes longer than timing a
few strategies, but they never time at the same time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from time import monotonic
from types import TracebackType
from typing import Any, NoReturn, Self

from slotlookup.children import end_with_parent
from slotlookup.errors import SlotlookupError

from .passes import Key, Plan, time_pass
from .run_options import Report
from .timing import Samples

_REPORTED_EVERY = 0.2
"""Seconds: a process that draws the progress more often would disturb the one that times."""


class Processes:
    """`count` new interpreters that run the module `module`, which calls `serve`; they end with the `with` block."""

    def __init__(self, count: int, module: str) -> None:
        self._connections: list[Connection[Any, Any]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            ours, theirs = Pipe()
            # Neither forked, which would leave code and memory where this process has them, nor by `multiprocessing`,
            # which would run the caller's script again. -P: nothing is imported from the current folder.
            command = [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]))
            theirs.close()
            self._connections.append(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            connection.close()
            process.terminate()
        for process in self._processes:
            process.wait()


class TimingProcesses(Processes):
    """`count` processes that time."""

    def __init__(self, count: int) -> None:
        super().__init__(count, __name__)

    def time(self, plan: Plan, report: Report) -> list[Mapping[Key, Samples]]:
        """What each process measured. A strategy at fault in one of them is left out of the next.

        Raises SlotlookupError if a process fails or is killed.
        """
        found: list[Mapping[Key, Samples]] = []
        faulty: set[str] = set()
        for i, connection in enumerate(self._connections):

            def tell(what: str, share: float, i: int = i) -> None:
                count = len(self._connections)
                report(f"process {i + 1} of {count}: {what}", (i + share) / count)

            found.append(_ask(connection, plan.without(faulty), tell))
            faulty |= {text for samples in found[-1].values() for text in samples.faults}
        return found


def _ask(connection: Connection[Any, Any], plan: Plan, report: Report) -> Mapping[Key, Samples]:
    try:
        connection.send(plan)
        while True:
            kind, *rest = connection.recv()
            if kind == "progress":
                report(*rest)
            elif kind == "failed":
                raise SlotlookupError(f"a process that timed failed: {rest[0]}")
            else:
                measured: Mapping[Key, Samples] = rest[0]
                return measured
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise SlotlookupError(
            "a process that timed was killed (out of memory?); time in fewer with --processes"
        ) from None


def serve(answer: Callable[[Connection[Any, Any], Any], None]) -> NoReturn:
    """The process's part: `answer` each message; ends when the parent closes the connection or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its processes
    descriptor, parent = map(int, sys.argv[1:])
    end_with_parent(parent)
    connection: Connection[Any, Any] = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        while True:
            answer(connection, connection.recv())
    os._exit(0)  # nothing is left to do, and tearing down thousands of slots takes time


def _time(connection: Connection[Any, Any], plan: Plan) -> None:
    last = monotonic()

    def report(what: str, share: float) -> None:
        nonlocal last
        if monotonic() - last > _REPORTED_EVERY:
            last = monotonic()
            connection.send(("progress", what, share))

    try:
        measured = time_pass(plan, report, {})
    except SlotlookupError as error:
        connection.send(("failed", str(error)))
    else:
        connection.send(("measured", measured))


if __name__ == "__main__":
    serve(_time)
