"""Recordings of real VMs: the declaration of an importer, and the file that it reads.

The registry finds module-level Importer instances in the workloads folder. Each turns one kind of file into a
Recording; `import_files` of the module `recordings` recognises files by content and combines the recordings of one
VM.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from slotlookup.architecture import OTHER, Architecture
from slotlookup.arrays import Bytes, Ints
from slotlookup.errors import HostLimit, InputFileError, RegionError
from slotlookup.memslots import Memslot, Memslots, describe_number, make_memslot
from slotlookup.trace import Events, SlotOrder, empty_events

HEAD = 1 << 16
"""The number of bytes at the start of a file from which its format is recognised."""
BLOCK = 1 << 22
"""Bytes of text that importers read at a time, if they do not need the whole file."""
LATEST_SECOND = (1 << 63) // 10**9 - 1
LONGEST_LINE = 1 << 16
"""The maximum length in bytes of a line in a text that is read in blocks; no tracing program writes longer lines."""

LINES_AT_ONCE = 1 << 16
"""Lines between two reports of progress."""

Progress = Callable[[Path, str, int, float], None]
"""Receives the file that is read, a unit (`bytes`, decompressed, or `lines`), how many are done, and the share."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the import of one file may take: bytes of its decompressed content, and about so many bytes of memory.

    `progress` is called while it is read.
    """

    expanded: int = 64 << 30
    memory: int = 1 << 30
    progress: Progress = lambda path, unit, done, share: None

    @property
    def whole(self) -> int:
        """The maximum size in bytes of a decompressed recording that is read whole: it is held as text and as lines."""
        return min(self.memory // 4, self.expanded)

    @property
    def lines(self) -> int:
        """The maximum number of lines of such a recording: a line and what is read from it take about 128 bytes."""
        return self.memory // 128

    @property
    def events(self) -> int:
        """The maximum number of events: one takes up to about 128 bytes while it is read."""
        return self.memory // 128


def in_words(size: int) -> str:
    """A number of bytes, in MiB if it is a whole number of them."""
    return f"{size >> 20:,} MiB" if size % (1 << 20) == 0 else f"{size:,} bytes"


_COMPRESSED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}
# Who calls one enters it, in a stack that closes it.
_OPEN: dict[str, Callable[[BinaryIO], AbstractContextManager[BinaryIO]]] = {
    "xz": lambda raw: cast("BinaryIO", lzma.LZMAFile(raw)),  # noqa: SIM115
    "gzip": lambda raw: cast("BinaryIO", gzip.GzipFile(fileobj=raw)),
    "bzip2": lambda raw: cast("BinaryIO", bz2.BZ2File(raw)),
}
_SUFFIXES = (".gz", ".xz", ".bz2", ".zst")
_REFUSED = {
    b"PAR1": "a Parquet file, perhaps a trace already; replay it with `slotlookup run FILE`",
    b"PK\x03\x04": "a zip archive; unpack it first",
}


@dataclass(frozen=True)
class Source:
    """One file, decompressed. `form` is the title of the importer that reads it.

    `head` is the whole content, or its beginning if `more` is true. `others` are the remaining importers; if a line is
    not understood, the error names the importer that recognises it. `numbers` are the
    1-based lines of the file that the lines here come from, if they differ; `open_end` says then whether the last of
    them is the file's last line and has no newline. `architecture` is that of the recorded host.
    """

    path: Path
    head: bytes
    compression: str = ""
    form: str = ""
    others: tuple[Importer, ...] = ()
    more: bool = False
    numbers: tuple[int, ...] | None = None
    open_end: bool = False
    limits: Limits = Limits()
    architecture: Architecture = OTHER

    @cached_property
    def data(self) -> bytes:
        """The whole content. Raises InputFileError if it is too large or cannot be read."""
        return b"".join(self._pieces(BLOCK, self.limits.whole)) if self.more else self.head

    def beginning(self, most: int) -> bytes:
        """The first `most` bytes of the content. Raises InputFileError if they cannot be read."""
        if not self.more:
            return self.head[:most]
        with _reading(self.path, self.compression) as (file, _):
            pieces, held = [], 0
            while held < most and (piece := file.read(min(BLOCK, most - held))):
                pieces.append(piece)
                held += len(piece)
        return b"".join(pieces)

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """The content in blocks of about `size` bytes that end with a line (the last with or without a newline).

        Raises InputFileError if the file is too long or cannot be read, or if a line is longer than LONGEST_LINE.
        """
        lines, rest = 0, b""
        for piece in self._pieces(size, self.limits.expanded) if self.more else (self.head,):
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                lines += piece.count(b"\n")
                rest = piece[end:]
            else:
                rest += piece
            if len(rest) > LONGEST_LINE:
                raise self.fault(lines + 1, f"a line of more than {LONGEST_LINE:,} bytes; the file is damaged")
        if rest:
            yield rest

    def _pieces(self, size: int, most: int) -> Iterator[bytes]:
        held = 0
        with _reading(self.path, self.compression) as (file, raw):
            whole = max(os.fstat(raw.fileno()).st_size, 1)
            while piece := file.read(size):
                held += len(piece)
                if held > most:
                    raise self.fault(None, _too_large(most, self.limits))
                yield piece
                self.limits.progress(self.path, "bytes", held, min(raw.tell() / whole, 1.0))

    @property
    def name(self) -> str:
        """The file's name without the suffix of a compression."""
        return self.path.stem if self.path.suffix in _SUFFIXES else self.path.name

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines, without their ends. Raises InputFileError if the file is not text."""
        try:
            text = self.data.decode()
        except UnicodeDecodeError as error:
            raise self.fault(self.data.count(b"\n", 0, error.start) + 1, "not text; the file is damaged") from None
        nul = text.find("\0")
        if nul >= 0:
            raise self.fault(text.count("\n", 0, nul) + 1, "not text: it contains a NUL byte; the file is damaged")
        count = text.count("\n")
        if count > self.limits.lines:
            raise self.fault(None, f"{count:,} lines; the limit is {self.limits.lines:,}, {_remedy(self.limits)}")
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        return [line.removesuffix("\r") for line in lines] if "\r" in text else lines

    def numbered(self) -> Iterator[tuple[int, str]]:
        """The lines with their numbers from 1; progress is reported. Raises InputFileError if the file is not text."""
        for number, line in enumerate(self.lines, 1):
            if number % LINES_AT_ONCE == 0:
                self.limits.progress(self.path, "lines", number, number / len(self.lines))
            yield number, line

    def check_events(self, count: int) -> None:
        """Raise InputFileError if so many events are more than fit into memory."""
        if count > self.limits.events:
            raise self.fault(None, f"more than {self.limits.events:,} events, the limit, {_remedy(self.limits)}")

    @property
    def unterminated(self) -> bool:
        """Whether the last line has no newline, so that it may be truncated."""
        return self.open_end if self.numbers is not None else not self.data.endswith(b"\n")

    def fault(self, line: int | None, message: str) -> InputFileError:
        """The error for this file, at a 1-based line."""
        return InputFileError(self.path, self.number(line), message)

    def check_seconds(self, line: int, seconds: float) -> None:
        """Raise InputFileError if a time does not fit into 63 bits of nanoseconds."""
        if seconds > LATEST_SECOND:
            raise self.fault(line, f"a time of {seconds:,.0f} s is beyond what a trace can hold; the line is damaged")

    def number(self, line: int | None) -> int | None:
        """The line of the file that a line here comes from."""
        return line if line is None or self.numbers is None else self.numbers[line - 1]

    def whose(self, text: str) -> Importer | None:
        """The other importer that recognises a line, or None."""
        head = text.encode()
        return next((other for other in self.others if other.recognises(head)), None)

    def unparsed(self, line: int, remedy: str = "") -> InputFileError:
        """The error for a line that is not understood: it belongs to another format, is truncated, or is damaged."""
        return self.not_a_line(line, self.lines[line - 1], line == len(self.lines) and self.unterminated, remedy)

    def not_a_line(self, line: int, text: str, cut: bool, remedy: str = "") -> InputFileError:
        """The same for a given line. `cut` says that the file ends in it, without a newline."""
        other = self.whose(text)
        shown = ascii(text if len(text) <= 60 else f"{text[:57]}...")
        if other is not None:
            return self.fault(
                line, f"a line of {other.title} among those of {self.form}; put each in a file of its own: {shown}"
            )
        if cut:
            return self.fault(line, f"the file is truncated here: {shown}; copy the whole file or delete this line")
        return self.fault(line, f"not a line of {self.form}: {shown}{'; ' if remedy else ''}{remedy}")


def _too_large(most: int, limits: Limits) -> str:
    if most == limits.expanded:
        return f"more than {in_words(most)} when decompressed, the limit (--max-bytes); import a part of it"
    return f"more than {in_words(most)} when decompressed, the limit for this form, {_remedy(limits)}"


def _remedy(limits: Limits) -> str:
    return f"from {in_words(limits.memory)} of memory (--max-memory); import a part of it"


@contextmanager
def _reading(path: Path, compression: str, held: bytes | None = None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The decompressed content of a file (of `held`, its bytes, if it can be read only once), and the file itself.

    Raises InputFileError, also inside the block.
    """
    try:
        with ExitStack() as stack:
            file: BinaryIO = stack.enter_context(path.open("rb")) if held is None else io.BytesIO(held)
            content = file
            if compression == "zstd":
                # PyArrow is required anyway, and brings the library.
                import pyarrow as pa

                zstd = pa.CompressedInputStream(pa.PythonFile(file, "rb"), "zstd")
                content = cast("BinaryIO", stack.enter_context(zstd))
            elif compression:
                content = stack.enter_context(_OPEN[compression](file))
            yield content, file
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except IsADirectoryError:
        raise InputFileError(path, None, "a directory; give the recordings in it as separate arguments") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        if compression:
            raise InputFileError(path, None, f"the {compression} data is damaged or truncated: {error}") from None
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputFileError(path, None, f"cannot be read: {reason or error}") from None


def open_source(path: Path | str, limits: Limits | None = None) -> Source:
    """Open a file, with compression detected by its magic number. Raises InputFileError."""
    path, limits = Path(path), limits or Limits()
    with _reading(path, "") as (file, _):
        # A pipe and the like can be read only once.
        once = not path.is_file()
        raw = file.read(limits.whole + 1) if once else file.read(HEAD)
    compression = next((name for magic, name in _COMPRESSED.items() if raw.startswith(magic)), "")
    with _reading(path, compression, raw if once else None) as (file, _):
        head = file.read(limits.whole + 1 if once else HEAD)
        more = not once and len(head) == HEAD and bool(file.read(1))
    if not head:
        raise InputFileError(path, None, "empty; nothing was recorded")
    if len(head) > limits.expanded or (once and len(head) > limits.whole):
        raise InputFileError(path, None, _too_large(limits.whole if once else limits.expanded, limits))
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise InputFileError(path, None, what)
    return Source(path, head, compression, more=more, limits=limits)


class Thread(NamedTuple):
    """A thread of the recording machine. `tgid` is its process (None if not recorded), `comm` its name, printable."""

    tid: int
    tgid: int | None
    comm: str

    def __str__(self) -> str:
        return f"{self.comm}-{self.tid}" + (f" (process {self.tgid})" if self.tgid is not None else "")


@dataclass
class Origins:
    """The threads that caused the events of a recording, and the kernel's names of the events.

    `thread` (uint32) and `name` (uint8) index `threads` and `names`, one element per event.
    """

    threads: tuple[Thread, ...]
    thread: npt.NDArray[np.uint32]
    names: tuple[str, ...]
    name: Bytes


@dataclass
class Recording:
    """The content of one file.

    `changes` says whether the file records slot changes (in `events`); `table` is the whole slot table if it
    records the slots at one moment instead, and `slot_order` is the order of its rows. `event_lines` are the
    1-based lines of the events (None if the format has no lines). `hva_recorded` is False if host addresses had to
    be constructed; `complete` is False if the format covers address space 0 only. `counted` counts valid content
    that the trace does not keep, by description; `remarks` are notes for the user. `doubtful` says that the format
    has no mark of its own, so that a majority of missing lookups means a wrong file. `times` are the ascending
    times of the events in ns, if recorded, of an unknown clock since boot or of time of day. `origins` has the
    thread of each event, if the recording covers a whole machine and not one VM. `elided` are the lines, with their
    text, that say that others were left out. `architecture` is that of the recorded host.
    """

    path: Path
    form: str
    lines: int = 0
    events: Events = field(default_factory=lambda: empty_events(0))
    event_lines: Ints | None = None
    changes: bool = False
    table: tuple[Memslot, ...] | None = None
    slot_order: SlotOrder = SlotOrder.UNKNOWN
    hva_recorded: bool = True
    complete: bool = True
    doubtful: bool = False
    times: Ints | None = None
    origins: Origins | None = None
    counted: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    elided: tuple[tuple[int, str], ...] = ()
    architecture: Architecture = OTHER


@dataclass(frozen=True)
class LineRules:
    """How lines of a form differ from others in pasted text.

    `whole` says whether a line is one that the form has. `begins` is how a line begins that may go on in the next, and
    what identifies the form. `damaged` is what only lines of the form hold: such a line is damaged where it is not
    whole.
    Where `columns` is True, leading blanks carry meaning.
    """

    whole: Callable[[str], bool]
    begins: re.Pattern[str]
    damaged: re.Pattern[str]
    columns: bool = False


class Importer(ABC):
    """Reads one kind of recording. `name` identifies it; `title` is the format's name in messages."""

    name: str
    title: str

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether `head` (a file's beginning, or one line of it) contains a line of this kind."""

    @property
    def lines(self) -> LineRules | None:
        """How its lines differ from others; None where it is not read from pasted text."""
        return None

    def recognises_name(self, name: str) -> bool:
        """Whether a file of this name, whose content no importer recognises, is of this kind."""
        return False

    @abstractmethod
    def read(self, source: Source) -> Recording:
        """Read the whole file. Raises InputFileError, with file and line, if it cannot be understood."""


class SlotRow(NamedTuple):
    """A slot and its 1-based line. `number` is as_id << 16 | id; gpa, size and hva are bytes."""

    line: int
    number: int
    gpa: int
    size: int
    hva: int
    flags: int


def slot_table(source: Source, rows: Iterable[SlotRow]) -> tuple[Memslot, ...]:
    """The slots of a table, checked against the rules. Raises InputFileError at the row that breaks one."""
    memslots = Memslots((), source.architecture)
    slots: list[Memslot] = []
    for row in rows:
        try:
            if memslots.get(row.number) is not None:
                raise source.fault(row.line, f"slot {describe_number(row.number)} is listed twice")
            slots.append(make_memslot(*row[1:], architecture=source.architecture))
            memslots.set_recorded(*row[1:])
        except RegionError as error:
            raise source.fault(row.line, f"KVM refuses this slot: {with_remedy(error, source.architecture)}") from None
    if not slots:
        raise source.fault(None, "contains no slots")
    return tuple(slots)


def with_remedy(error: RegionError, architecture: Architecture) -> str:
    """The error, with the option that may help against it where the rule depends on the host."""
    if isinstance(error, HostLimit) and architecture != OTHER:
        return f"{error}; if the host is of another architecture, name it with --architecture"
    return str(error)


def listed_order(slots: Sequence[Memslot]) -> SlotOrder:
    """The order of slots of which nothing but a list is known."""
    keys = [(slot.as_id, slot.gpa) for slot in slots]
    return SlotOrder.GPA if keys == sorted(keys) else SlotOrder.UNKNOWN


_HVA_BASE = 0x7F00_0000_0000
_HVA_ALIGN = 1 << 21


def lay_out_hvas(parts: Iterable[tuple[str, int, int]]) -> list[int]:
    """Host addresses for (block, offset, size) parts whose addresses were not recorded.

    Equal blocks and offsets get equal addresses, so aliases stay aliases; different blocks never overlap. Raises
    OverflowError if the blocks do not fit into a process.
    """
    held = list(parts)
    ends: dict[str, int] = {}
    for block, offset, size in held:
        ends[block] = max(ends.get(block, 0), offset + size)
    base: dict[str, int] = {}
    free = _HVA_BASE
    for block, end in ends.items():
        base[block] = free
        # One unused step between blocks, as mappings of a process are rarely adjacent.
        free += -(-end // _HVA_ALIGN) * _HVA_ALIGN + _HVA_ALIGN
    if free >> 63:
        raise OverflowError("the memory blocks do not fit into the address space of a process")
    return [base[block] + offset for block, offset, _ in held]
