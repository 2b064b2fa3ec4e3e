"""Structures from files: shared libraries that implement slotlookup.h, and Python classes, each in its own process.

If a structure crashes, exits, hangs or writes outside its memory, only its process (`slotlookup.foreign.child`) is
lost: it is ended, and DeadStrategy reports what happened and where. Questions are sent once; replays are timed in the
child, without Python between operations if the structure is native.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import IO, Any, NoReturn

import _slotlookup_native as native
import numpy as np
import numpy.typing as npt

from slotlookup.address import Gfn, Hva
from slotlookup.arrays import Numbers, Words
from slotlookup.children import last_words, python_for, words_of_end
from slotlookup.errors import BrokenStrategy, DeadStrategy
from slotlookup.families.native import HOT, Mode
from slotlookup.memslots import SlotChange
from slotlookup.spec import StrategySpec
from slotlookup.strategy import Capabilities, Counters, SelfTimed
from slotlookup.stream import GfnStream, HvaAnswers, HvaStream, Timeline, change_table
from slotlookup.structure import PATIENCE, Family, FileStructure, obstacle_of
from slotlookup.vocabulary import Count, Placement

STARTING_SECONDS = 120.0
"""Seconds that an interpreter may take to start, even on a busy machine."""
KEPT_PROCESSES = 8
"""The number of idle processes that are kept for later strategies; processes in use are always kept."""
SHARED_BYTES = 1 << 16
"""Arrays from this size on are sent once and stored in the child."""
KEPT_ARRAYS = 64
BEAT_AT = 24
"""The word in which Python structures report progress; ForeignWatch in the C++ core defines the words before it."""
WATCHED_BYTES = BEAT_AT + 8

LONGEST_REPLY = 1 << 33
"""Bytes of one message of the child: more than the answers to any stream."""
SAID_BYTES = 1 << 20
"""Bytes of the child's stderr that are kept."""

_ENDING_SECONDS = 10.0
"""Seconds that the keeper of the child may take to end what the child started."""

_CHILD = (
    "from slotlookup.children import fork_with_keeper; fork_with_keeper({parent}, {channel}, {page}); "
    "from slotlookup.foreign.child import main; main({channel}, {page})"
)
"""The fork is before the imports of the child, so that the keeper is small."""


def include_dir() -> Path:
    """The folder of slotlookup.h, for the compiler's -I."""
    return Path(__file__).parents[1] / "include"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an array that is stored in the child."""

    key: int
    offset: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parameters of a strategy in the child."""

    name: str
    spec: StrategySpec
    native: bool
    counted: bool
    placement: str
    seed: int


class Host:
    """The process in which structures from files run, as the parent sees it. `fault` is the reason why it has ended.

    `patience` is the number of seconds that a structure may take for one answer.
    """

    def __init__(self, label: str, files: Sequence[FileStructure], patience: float) -> None:
        """Start the process and load `files`. Raises DeadStrategy; `label` is its name in messages."""
        self.label = label
        self.fault: str | None = None
        self.titles: list[str] = []
        self.overhead: tuple[float, float] | None = None
        self._files = tuple(files)
        self._patience = patience
        self._sent: dict[int, npt.NDArray[Any]] = {}
        self._dropped: list[int] = []
        self._put_off: list[tuple[str, tuple[Any, ...]]] = []
        self._made = 0
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        fcntl.fcntl(self._said, fcntl.F_SETFL, os.O_APPEND)  # so that it can be cut while the child writes
        page = os.memfd_create("slotlookup")
        os.ftruncate(page, mmap.PAGESIZE)
        self._page = mmap.mmap(page, mmap.PAGESIZE)
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                python_for(_CHILD.format(channel=theirs.fileno(), page=page, parent=os.getpid())),
                pass_fds=(theirs.fileno(), page),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,  # so that no signal to this process's group ends the keeper too early
            )
        finally:
            theirs.close()
            os.close(page)
        self._connection = Connection(ours.detach())
        self._end = weakref.finalize(self, _end, os.getpid(), self._process, self._connection, self._said)
        self._receive(STARTING_SECONDS)
        files_there = [(file.name, str(file.path.resolve()), file.class_name) for file in self._files]
        self.titles = self.request("open", files_there)

    def make(self, recipe: Recipe) -> int:
        """Create a strategy in the child with the next request; returns its name in requests."""
        self._made += 1
        self.put_off("make", self._made, recipe)
        return self._made

    def put_off(self, method: str, made: int, *arguments: Any) -> None:
        """Send a request without an answer together with the next request, which reports its failure."""
        if self.fault is not None:
            raise DeadStrategy(self.fault)
        self._put_off.append((method, (made, *arguments)))

    def drop(self, made: int) -> None:
        """Delete a strategy with the next request."""
        self._put_off = [(method, arguments) for method, arguments in self._put_off if arguments[0] != made]
        self._dropped.append(made)

    def measure_overhead(self) -> None:
        """The cost of an empty structure in the child: nanoseconds per lookup and per visit."""
        if self.overhead is None:
            lookup, visit = self.request("overhead")
            self.overhead = (lookup, visit)

    def pack(self, array: npt.NDArray[Any]) -> npt.NDArray[Any] | Piece:
        """An array in the form in which it is sent: a small array itself, others as a part of an array sent before."""
        if array.nbytes < SHARED_BYTES:
            return np.ascontiguousarray(array)
        whole = array.base if isinstance(array.base, np.ndarray) else array
        if not (whole.flags.c_contiguous and array.flags.c_contiguous):
            return np.ascontiguousarray(array)
        key = id(whole)  # the id is unique as long as `_sent` refers to the array
        if key not in self._sent:
            if len(self._sent) >= KEPT_ARRAYS:
                oldest = next(iter(self._sent))
                self.request("forget", oldest)
                del self._sent[oldest]
            with tempfile.NamedTemporaryFile(prefix="slotlookup-") as file:
                whole.tofile(file)
                file.flush()
                self.request("keep", key, file.name)
            self._sent[key] = whole
        return Piece(key, array.ctypes.data - whole.ctypes.data, array.dtype.str, array.shape)

    def request(self, method: str, *arguments: Any) -> Any:
        """Send a request and wait for the answer. Raises BrokenStrategy, or DeadStrategy if the process ended."""
        if self.fault is not None:
            raise DeadStrategy(self.fault)
        calls = [*self._put_off, (method, arguments)]
        dropped, self._dropped, self._put_off = self._dropped, [], []
        try:
            self._connection.send_bytes(pickle.dumps((calls, dropped)))
        except OSError:
            self._gone()
        return self._receive(self._patience)

    def _receive(self, seconds: float) -> Any:
        try:
            reply = json.loads(self._message(seconds))
            arrays = [np.frombuffer(self._message(seconds), dtype=dtype) for dtype in reply.get("arrays", ())]
            fault, dead = reply.get("fault"), reply.get("dead", False)
            value = reply.get("value")
        except (EOFError, OSError):
            self._gone()
        except (AttributeError, TypeError, ValueError):
            self._die(f"{self.label} corrupted the answers of its process{self._where()[1]}")
        if fault is None:
            return arrays or value
        if dead:
            self._die(str(fault))
        raise BrokenStrategy(str(fault))

    def _message(self, seconds: float) -> bytearray:
        """The next message in the format of `Connection`, whose own reads wait for ever for the rest of a message."""
        (length,) = struct.unpack("!i", self._read(4, seconds))
        if length == -1:
            (length,) = struct.unpack("!Q", self._read(8, seconds))
        if not 0 <= length <= LONGEST_REPLY:
            raise ValueError(f"a message of {length} bytes")
        return self._read(length, seconds)

    def _read(self, count: int, seconds: float) -> bytearray:
        """`count` bytes from the child. It may take `seconds` without progress. Raises EOFError or OSError."""
        data = bytearray()
        seen, since = self._page[:WATCHED_BYTES], monotonic()
        while len(data) < count:
            if self._connection.poll(min(0.1, seconds / 4)):
                piece = os.read(self._connection.fileno(), min(count - len(data), 1 << 20))
                if not piece:
                    raise EOFError
                data += piece
                since = monotonic()
                continue
            if os.fstat(self._said.fileno()).st_size > SAID_BYTES:
                os.ftruncate(self._said.fileno(), 0)
            # A process that the structure forked can hold the channel open.
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
            now = self._page[:WATCHED_BYTES]
            if now != seen:
                seen, since = now, monotonic()
            elif monotonic() - since > seconds:
                self._die(f"{self._where()[0]} gave no answer for {seconds:g} seconds{self._where()[1]}")
        return data

    def _where(self) -> tuple[str, str]:
        """The file, function and arguments of the current call, as far as they are known."""
        where, first, second = struct.unpack("3Q", self._page[:BEAT_AT])
        library, function = divmod(where, 256)
        functions = native.foreign_functions()
        if not 0 < function < len(functions) or library >= len(self._files):
            return self.label, ""
        name = self._files[library].name
        arguments = {"find": (first,), "visit": (first, second), "insert": (first, second), "remove": (first, second)}
        given = ", ".join(f"{value:#x}" for value in arguments.get(functions[function], ()))
        if functions[function] == "loading":
            return name, " while it was loaded"
        return name, f" in {functions[function]}({given})" if given else f" in {functions[function]}"

    def _gone(self) -> NoReturn:
        """Handle a process that has ended by itself or has closed the channel."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._die(f"{self.label} closed the channel of its process{self._where()[1]}")
        name, where = self._where()
        self._die(f"{name} {words_of_end(code)}{where}{last_words(self._said)}")

    def _die(self, fault: str) -> NoReturn:
        self.fault = fault
        self._end()
        self._sent.clear()
        raise DeadStrategy(fault)


def _end(owner: int, process: subprocess.Popen[bytes], connection: Connection, said: IO[bytes]) -> None:
    if os.getpid() != owner:
        return  # a forked copy of this process must not end the child of the original
    process.terminate()  # the keeper ends the child and whatever the structures in it started
    try:
        process.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired:  # a structure can stop the keeper
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    connection.close()
    said.close()


_hosts: dict[tuple[object, ...], Host] = {}


def _host(label: str, files: Sequence[FileStructure], patience: float) -> Host:
    """The process for a strategy: the last one of the same spec, files and patience if it still runs, or a new one."""
    stats = [file.path.stat() for file in files]
    key = (
        os.getpid(),
        label,
        patience,
        *((str(f.path.resolve()), s.st_mtime_ns, s.st_size) for f, s in zip(files, stats, strict=True)),
    )
    host = _hosts.pop(key, None)
    if host is None or host.fault is not None:
        host = Host(label, files, patience)
    _hosts[key] = host  # the latest last
    while len(_hosts) > KEPT_PROCESSES:
        del _hosts[next(iter(_hosts))]
    return host


def capabilities(spec: StrategySpec, files: Sequence[FileStructure]) -> Capabilities:
    """What a strategy of these files can do, as far as that is known before its process runs."""
    counts = (Count.COMPARES,) if files[0].family is Family.PYTHON else ()
    return Capabilities(files[0].family, spec.update, obstacle_of(files), counts)


def note_of(files: Sequence[FileStructure]) -> str:
    """How a strategy of these files runs. A library's own title is known only once its process runs."""
    if files[0].family is Family.NATIVE:
        return "through the C ABI, in a process of its own"
    return "in a process of its own"


class ForeignStrategy(SelfTimed):
    """A strategy with at least one structure from a file. Its process starts with the first request."""

    def __init__(
        self,
        name: str,
        spec: StrategySpec,
        files: Sequence[FileStructure],
        *,
        counted: bool = False,
        placement: str = Placement.PACKED,
        seed: int = 0,
        patience: float = PATIENCE,
    ) -> None:
        """`files` are the structures that come from files, each once; `patience` as for their `Host`."""
        self.name = name
        self.spec = str(spec)
        self._native = files[0].family is Family.NATIVE
        self.note = note_of(files)
        self.capabilities = capabilities(spec, files)
        self._counted = counted
        self._recipe = Recipe(name, spec, self._native, counted, placement, seed)
        self._files = tuple(files)
        self._patience = patience
        self._started: tuple[Host, int] | None = None

    def _at_work(self) -> tuple[Host, int]:
        if self._started is None:
            host = _host(self.spec, self._files, self._patience)
            made = host.make(self._recipe)
            weakref.finalize(self, host.drop, made)
            self._started = (host, made)
            if self._native:
                self.note = f"{' and '.join(host.titles)}, {self.note}"
            self._tell_overhead()
        return self._started

    def _tell_overhead(self) -> None:
        host = self._started[0] if self._started else None
        if host is not None and host.overhead is not None and "empty" not in self.note:
            lookup, visit = host.overhead
            self.note += f", where an empty structure costs {lookup:.2g} ns per lookup and {visit:.2g} ns per visit"

    def _ask(self, method: str, *arguments: Any) -> Any:
        host, made = self._at_work()
        return host.request(method, made, *arguments)

    def stage(self, change: SlotChange) -> None:
        self._ask("stage", change_table([change]))

    def publish(self) -> None:
        self._ask("publish")

    def apply(self, change: SlotChange) -> None:
        self._ask("apply_table", change_table([change]))

    def apply_table(self, changes: Words) -> None:
        host, _ = self._at_work()
        self._ask("apply_table", host.pack(changes))

    def load_table(self, changes: Words) -> None:
        host, made = self._at_work()
        host.put_off("load_table", made, host.pack(changes))

    def lookup_gfn(self, gfn: Gfn, as_id: int = 0, vcpu: int = 0) -> int:
        return int(self._ask("lookup_gfn", gfn, as_id, vcpu))

    def visit_hva(self, start: Hva, end: Hva) -> list[int]:
        return list(self._ask("visit_hva", start, end))

    def _packed(self, line: Timeline, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any] | Piece]:
        host, _ = self._at_work()
        return [host.pack(array) for array in (*arrays, line.segments, line.changes)]

    def answer_gfns(self, stream: GfnStream) -> Numbers:
        (numbers,) = self._ask("answer_gfns", *self._packed(stream.timeline, stream.gfns, stream.vcpus))
        return np.asarray(numbers, dtype=np.int32)

    def answer_hvas(self, stream: HvaStream) -> HvaAnswers:
        return HvaAnswers(*self._ask("answer_hvas", *self._packed(stream.timeline, stream.starts, stream.ends)))

    def replay_gfns(self, stream: GfnStream, mode: Mode = HOT) -> tuple[int, int]:
        return self._replay("replay_gfns", mode, *self._packed(stream.timeline, stream.gfns, stream.vcpus))

    def replay_hvas(self, stream: HvaStream, mode: Mode = HOT) -> tuple[int, int]:
        return self._replay("replay_hvas", mode, *self._packed(stream.timeline, stream.starts, stream.ends))

    def replay_changes(self, changes: Words, mode: Mode = HOT) -> int:
        host, _ = self._at_work()
        return self._replay("replay_changes", mode, host.pack(changes))[0]

    def replay_load(self, changes: Words) -> int:
        host, _ = self._at_work()
        return int(self._ask("replay_load", host.pack(changes)))

    def _replay(self, method: str, mode: Mode, *arrays: object) -> tuple[int, int]:
        host, _ = self._at_work()
        if self._native:
            host.measure_overhead()
        nanoseconds, checksum = self._ask(method, mode.kind, mode.displaced, *arrays)
        return nanoseconds, checksum

    def generation(self, as_id: int = 0) -> int:
        return int(self._ask("generation", as_id))

    def flags_at(self, gfn: Gfn, as_id: int = 0) -> int | None:
        flags = self._ask("flags_at", gfn, as_id)
        return None if flags is None else int(flags)

    def counters(self) -> Counters:
        if not (self._counted and self.capabilities.counts):
            return Counters(None, None, None, None)
        return Counters(*self._ask("counters"))

    def reset_counters(self) -> None:
        self._ask("reset_counters")

    def check(self) -> None:
        self._ask("check")

    def bytes(self) -> int | None:
        size = self._ask("bytes")
        return None if size is None else int(size)

    def __len__(self) -> int:
        return int(self._ask("slots"))
