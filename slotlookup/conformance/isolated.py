"""The conformance suite in processes of their own, for structures that may crash or never answer.

`run_isolated` starts hosts. A host runs no structure: it forks for every run of the suite and watches the fork, which
writes notes of what it does. If the fork ends, or makes no call within the time limit, the host names the check, the
call and the script, which it repeats in other forks to reduce it. Forks take milliseconds. The caller itself is not
forked, because its threads may hold locks.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe, wait
from time import monotonic
from typing import IO, Any, NoReturn

from slotlookup.children import address_space, end_with_parent, last_words, limit_crash, python_for, words_of_end
from slotlookup.conformance.checks import REST_LEFT_OUT, Failure, all_checks, failures
from slotlookup.conformance.notes import NOTES_BYTES, Notes, write_to
from slotlookup.conformance.tandem import Make, Operation, Tandem, reduce_script, to_reproduce
from slotlookup.errors import SlotlookupError
from slotlookup.structure import PATIENCE

REDUCTION_SECONDS = 10.0
"""Time spent on the reduction of one script."""
MEMORY_BYTES = 4 << 30
"""Memory that the suite may take in a fork, beside what an interpreter has."""
_TRIAL_PATIENCE = 0.5
"""Seconds without a call after which a repeated script counts as hanging; the reduced script is confirmed in full."""

_HOST = "from slotlookup.conformance.isolated import host; host({channel})"


@dataclass(frozen=True, slots=True)
class Suite:
    """One run of the suite; everything can be pickled. `patience` is the number of seconds that a call may take."""

    make: Make
    make_counted: Make | None = None
    seed: int = 0
    rounds: int = 4
    patience: float = PATIENCE


def run_isolated(suites: Sequence[Suite], report: Callable[[int], None] = lambda done: None) -> list[list[Failure]]:
    """The failures of each suite. A crash or a call without end is a failure, after which the suite ends.

    As many suites run at once as there are CPUs. `report` takes the number of suites that have ended.
    """
    count = min(len(suites), len(os.sched_getaffinity(0)))
    found: list[list[Failure]] = [[] for _ in suites]
    hosts = [_Host() for _ in range(count)]
    try:
        waiting = list(enumerate(suites))[::-1]
        at_work: dict[Any, tuple[int, _Host]] = {}  # by connection

        def go_on(host: _Host) -> None:
            if waiting:
                i, suite = waiting.pop()
                host.connection.send(suite)
                at_work[host.connection] = (i, host)

        for host in hosts:
            go_on(host)
        while at_work:
            for connection in wait(list(at_work)):
                i, host = at_work.pop(connection)
                found[i] = host.receive()
                report(len(suites) - len(waiting) - len(at_work))
                go_on(host)
    finally:
        for host in hosts:
            host.end()
    return found


class _Host:
    """A host, as its parent sees it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        # One thread: a fork of several could copy a lock that another thread holds.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            python_for(_HOST.format(channel=theirs.fileno())),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=environment,
        )
        theirs.close()

    def receive(self) -> list[Failure]:
        """The failures of the suite that was sent. Raises SlotlookupError if the host was killed."""
        try:
            found: list[Failure] = self.connection.recv()
        except (EOFError, OSError):
            raise SlotlookupError("the process that ran the conformance suite was killed (out of memory?)") from None
        return found

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.wait()


def host(channel: int) -> None:
    """Run each suite that comes; ends with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its hosts
    end_with_parent()
    connection: Connection[Any, Any] = Connection(channel)
    with suppress(EOFError, OSError):
        while True:
            suite = connection.recv()
            connection.send(_Watcher(suite).failures())
    os._exit(0)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a fork ended. `fault` says it in words, "" if the work was finished; `check` and `script` are its notes."""

    failures: list[Failure]
    fault: str = ""
    check: int = 0
    script: tuple[str, ...] = ()


class _Watcher:
    """Runs a suite in forks of this process."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._memory = mmap.mmap(-1, NOTES_BYTES)

    def failures(self) -> list[Failure]:
        """The suite's failures."""
        suite = self._suite
        ended = self._fork(self._run_suite, suite.patience)
        if not ended.fault:
            return ended.failures
        checks = all_checks(suite.seed, make_counted=suite.make_counted, rounds=suite.rounds)
        name = checks[ended.check].name if ended.check < len(checks) else "an unknown check"
        shorter = self._reduced(ended)
        script = to_reproduce(shorter.script) if shorter.script else ""
        return [*ended.failures, Failure(name, f"{shorter.fault}{REST_LEFT_OUT}{script}")]

    def _run_suite(self) -> Iterator[Failure]:
        suite = self._suite
        return failures(suite.make, suite.seed, make_counted=suite.make_counted, rounds=suite.rounds)

    def _reduced(self, ended: _Ended) -> _Ended:
        """The same end after fewer operations, if the script alone leads to it."""
        until = monotonic() + REDUCTION_SECONDS
        shorter = ended

        def fails(operations: Sequence[Operation], patience: float = _TRIAL_PATIENCE) -> Sequence[Operation] | None:
            nonlocal shorter
            if monotonic() > until:
                return None
            found = self._fork(partial(self._play, operations), min(patience, self._suite.patience))
            if not found.fault:
                return None
            shorter = found
            return _parsed(found.script)

        try:
            operations = _parsed(ended.script)
            if fails(operations) is None:
                return ended
            reduce_script(operations, fails)
            return shorter if fails(_parsed(shorter.script), self._suite.patience) is not None else ended
        except ValueError:  # the notes are damaged
            return ended

    def _play(self, operations: Sequence[Operation]) -> Iterator[Failure]:
        with suppress(SlotlookupError):
            Tandem(self._suite.make).play(operations)
        yield from ()

    def _fork(self, work: Callable[[], Iterator[Failure]], patience: float) -> _Ended:
        """Do `work` in a fork and wait for it. It is killed if it makes no call for `patience` seconds."""
        notes = Notes(self._memory)
        notes.begin(0)
        with tempfile.TemporaryFile() as said:
            reading, writing = os.pipe()
            pid = os.fork()
            if not pid:
                os.close(reading)
                _work(work, notes, writing, said)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                text, hung = self._wait(pipe, notes, patience)
            if hung:
                os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            found, finished = _parsed_reply(text)
            if finished:
                return _Ended(found)
            _, check, call, script = notes.read()
            fault = f"no answer for {patience:g} seconds" if hung else words_of_end(code)
            where = f" in {call}" if call else ""
            return _Ended(found, f"{fault}{where}{last_words(said)}", check, tuple(script))

    def _wait(self, pipe: IO[bytes], notes: Notes, patience: float) -> tuple[bytes, bool]:
        """What the fork writes until it ends, and whether it hangs."""
        text = b""
        calls, since = notes.read()[0], monotonic()
        while True:
            ready, _, _ = select.select([pipe], [], [], min(0.1, patience / 4))
            if ready:
                part = os.read(pipe.fileno(), 1 << 16)
                if not part:
                    return text, False
                text += part
            now = notes.read()[0]
            if now != calls:
                calls, since = now, monotonic()
            elif monotonic() - since > patience:
                return text, True


_FINISHED = "finished"


def _work(work: Callable[[], Iterator[Failure]], notes: Notes, writing: int, said: IO[bytes]) -> NoReturn:
    """The fork's part: a line of JSON for each failure, and one at the end. Nothing of the host's is run at its end."""
    try:
        end_with_parent()
        limit_crash()
        # A visit that never ends appends answers for ever.
        resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY_BYTES,) * 2)
        os.dup2(said.fileno(), 1)  # what a structure prints must not get into a command's output
        os.dup2(said.fileno(), 2)
        write_to(notes)
        with os.fdopen(writing, "w") as pipe:
            for failure in work():
                print(json.dumps([failure.check, failure.message]), file=pipe, flush=True)
            print(json.dumps(_FINISHED), file=pipe, flush=True)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _parsed_reply(text: bytes) -> tuple[list[Failure], bool]:
    """The failures in a fork's reply, and whether it finished. JSON: corrupt memory wrote it, perhaps."""
    found: list[Failure] = []
    for line in text.decode(errors="replace").splitlines():
        with suppress(ValueError):
            value = json.loads(line)
            if value == _FINISHED:
                return found, True
            if isinstance(value, list) and len(value) == 2:
                found.append(Failure(str(value[0]), str(value[1])))
    return found, False


def _parsed(script: Sequence[str]) -> list[Operation]:
    return [Operation.parse(line) for line in script]
