"""Recordings of real VMs: what an importer declares, and the file it reads from.

The registry finds module-level Importer instances in the workloads folder. Each turns one kind of file into a
Recording; `import_files` of the module `recordings` recognises files by content and puts the recordings of one VM
together.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from slotlookup.errors import InputFileError, RegionError
from slotlookup.memslots import Memslot, Memslots, describe_number, make_memslot
from slotlookup.trace import Events, empty_events

HEAD = 1 << 16
"""Bytes that a format is recognised by, where they suffice."""
LARGEST = 1 << 30
"""Bytes a recording may have once decompressed, where it is read whole."""
LARGEST_TEXT = 1 << 32
"""Bytes it may have where it is read block by block: its events take about as much memory as it has text."""
BLOCK = 1 << 22
"""Bytes of text read at a time by importers that need not have the whole."""
LONGEST_LINE = 1 << 16
"""Bytes a line may have in a text that is read block by block; no program that records writes longer ones."""

_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
_REFUSED = {
    b"PAR1": "a Parquet file, perhaps a trace already; replay it with `slotlookup run FILE`",
    b"\x28\xb5\x2f\xfd": "compressed with zstd, which is not read; decompress it first",
    b"BZh": "compressed with bzip2, which is not read; decompress it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
}


@dataclass(frozen=True)
class Source:
    """One file, decompressed. `form` is the title of the importer that reads it.

    `head` is the whole content, or its beginning where `more` says that the file goes on. `others` are the remaining
    importers, asked when a line is not understood, so that the error can say whose it is.
    """

    path: Path
    head: bytes
    compression: str = ""
    form: str = ""
    others: tuple[Importer, ...] = ()
    more: bool = False

    @cached_property
    def data(self) -> bytes:
        """The whole content. Raises InputFileError where it is too much or cannot be read."""
        return b"".join(self._pieces(BLOCK, LARGEST)) if self.more else self.head

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """The content in blocks of about `size` bytes that end with a line (the last with or without a newline).

        Raises InputFileError where the file is too long or cannot be read, or a line is longer than LONGEST_LINE.
        """
        lines, rest = 0, b""
        for piece in self._pieces(size, LARGEST_TEXT) if self.more else (self.head,):
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
        with _reading(self.path, self.compression) as file:
            while piece := file.read(size):
                held += len(piece)
                if held > most:
                    raise self.fault(None, f"more than {most >> 30} GiB; import a part of it")
                yield piece

    @property
    def name(self) -> str:
        """The file's name without a suffix that tells a compression."""
        return self.path.name.removesuffix(".xz").removesuffix(".gz")

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines, without their ends. Raises InputFileError where the file is not text."""
        try:
            text = self.data.decode()
        except UnicodeDecodeError as error:
            raise self.fault(self.data.count(b"\n", 0, error.start) + 1, "not text; the file is damaged") from None
        nul = text.find("\0")
        if nul >= 0:
            raise self.fault(text.count("\n", 0, nul) + 1, "not text: it holds a NUL byte; the file is damaged")
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        return [line.removesuffix("\r") for line in lines] if "\r" in text else lines

    @property
    def unterminated(self) -> bool:
        """Whether the last line has no newline, so that it may be cut short."""
        return not self.data.endswith(b"\n")

    def fault(self, line: int | None, message: str) -> InputFileError:
        """The error for this file, at a 1-based line."""
        return InputFileError(self.path, line, message)

    def whose(self, text: str) -> Importer | None:
        """The other importer that a line belongs to, or None."""
        head = text.encode()
        return next((other for other in self.others if other.recognises(head)), None)

    def unparsed(self, line: int, remedy: str = "") -> InputFileError:
        """The error for a line that is not understood: it belongs to another form, is cut short, or is damaged."""
        return self.not_a_line(line, self.lines[line - 1], line == len(self.lines) and self.unterminated, remedy)

    def not_a_line(self, line: int, text: str, cut: bool, remedy: str = "") -> InputFileError:
        """The same for a line that is at hand. `cut` says that the file ends in it, without a newline."""
        other = self.whose(text)
        shown = ascii(text if len(text) <= 60 else f"{text[:57]}...")
        if other is not None:
            return self.fault(
                line, f"a line of {other.title} among those of {self.form}; give each its own file: {shown}"
            )
        if cut:
            return self.fault(line, f"the file is cut short here: {shown}; copy it whole or delete this line")
        return self.fault(line, f"not a line of {self.form}: {shown}{'; ' if remedy else ''}{remedy}")


@contextmanager
def _reading(path: Path, compression: str, held: bytes | None = None) -> Iterator[BinaryIO]:
    """The decompressed content of a file (of `held`, its bytes, where it can be read but once).

    Raises InputFileError, inside the block too.
    """
    try:
        with ExitStack() as stack:
            raw: BinaryIO = stack.enter_context(path.open("rb")) if held is None else io.BytesIO(held)
            if compression == "xz":
                raw = cast("BinaryIO", stack.enter_context(lzma.open(raw)))
            elif compression == "gzip":
                raw = cast("BinaryIO", stack.enter_context(gzip.open(raw)))
            yield raw
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except IsADirectoryError:
        raise InputFileError(path, None, "a directory; give the recordings in it one by one") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        if compression:
            raise InputFileError(path, None, f"the {compression} data is damaged or cut short: {error}") from None
        reason = error.strerror if isinstance(error, OSError) else None
        raise InputFileError(path, None, f"cannot be read: {reason or error}") from None


def open_source(path: Path | str) -> Source:
    """Open a file, with gzip and xz told by their magic. Raises InputFileError."""
    path = Path(path)
    with _reading(path, "") as file:
        # What is no file, such as a pipe, can be read but once.
        once = not path.is_file()
        raw = file.read(LARGEST + 1) if once else file.read(HEAD)
    compression = "xz" if raw.startswith(_XZ) else "gzip" if raw.startswith(_GZIP) else ""
    with _reading(path, compression, raw if once else None) as file:
        head = file.read(LARGEST + 1 if once else HEAD)
        more = not once and len(head) == HEAD and bool(file.read(1))
    if not head:
        raise InputFileError(path, None, "empty; nothing was recorded")
    if len(head) > LARGEST:
        raise InputFileError(path, None, f"more than {LARGEST >> 30} GiB; import a part of it")
    for magic, what in _REFUSED.items():
        if head.startswith(magic):
            raise InputFileError(path, None, what)
    return Source(path, head, compression, more=more)


class Thread(NamedTuple):
    """A thread of the recording machine. `tgid` is its process (None where not told), `comm` its name, printable."""

    tid: int
    tgid: int | None
    comm: str

    def __str__(self) -> str:
        return f"{self.comm}-{self.tid}" + (f" (process {self.tgid})" if self.tgid is not None else "")


@dataclass
class Origins:
    """Who caused the events of a recording, and as what the kernel told of them.

    `thread` (uint32) and `name` (uint8) index `threads` and `names`, one element an event.
    """

    threads: tuple[Thread, ...]
    thread: npt.NDArray[np.uint32]
    names: tuple[str, ...]
    name: npt.NDArray[np.uint8]


@dataclass
class Recording:
    """What one file holds.

    `changes` says whether its slots were told change by change (in `events`); `table` is the whole slot table where the
    file tells slots at one moment instead. `event_lines` gives the 1-based line of each event (None where the form has
    no lines). `hva_recorded` is False where host addresses had to be made up; `complete` is False where the form tells
    of address space 0 only. `counted` holds what the file legitimately contains but the trace does not keep, by
    description; `remarks` what the reader must know. `doubtful` says that the form has no mark of its own, so that
    lookups which mostly miss mean a wrong file. `times` are the events' times in ns where the file tells them, rising,
    of an unknown clock since boot or of time of day. `origins` tells whose each event is, where the recording is of a
    whole machine and not of one VM.
    """

    path: Path
    form: str
    lines: int = 0
    events: Events = field(default_factory=lambda: empty_events(0))
    event_lines: npt.NDArray[np.int64] | None = None
    changes: bool = False
    table: tuple[Memslot, ...] | None = None
    hva_recorded: bool = True
    complete: bool = True
    doubtful: bool = False
    times: npt.NDArray[np.int64] | None = None
    origins: Origins | None = None
    counted: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


class Importer(ABC):
    """Reads one kind of recording. `name` identifies it; `title` is what people call the format."""

    name: str
    title: str

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether `head` (a file's beginning, or one line of it) holds a line of this kind."""

    def recognises_name(self, name: str) -> bool:
        """Whether a file of this name, whose content no importer recognises, is of this kind."""
        return False

    @abstractmethod
    def read(self, source: Source) -> Recording:
        """Read the whole file. Raises InputFileError with file and line where it cannot be understood."""


class SlotRow(NamedTuple):
    """A slot and the 1-based line that tells of it. `number` is as_id << 16 | id; gpa, size and hva are bytes."""

    line: int
    number: int
    gpa: int
    size: int
    hva: int
    flags: int


def slot_table(source: Source, rows: Iterable[SlotRow]) -> tuple[Memslot, ...]:
    """The slots of a table, held to the rules. Raises InputFileError at the row that breaks one."""
    memslots = Memslots()
    slots: list[Memslot] = []
    for row in rows:
        try:
            if memslots.get(row.number) is not None:
                raise source.fault(row.line, f"slot {describe_number(row.number)} is listed twice")
            slots.append(make_memslot(*row[1:]))
            memslots.set_user_memory_region(*row[1:])
        except RegionError as error:
            raise source.fault(row.line, f"no VM has this slot: {error}") from None
    if not slots:
        raise source.fault(None, "holds no slots")
    return tuple(slots)


_HVA_BASE = 0x7F00_0000_0000
_HVA_ALIGN = 1 << 21


def lay_out_hvas(parts: Iterable[tuple[str, int, int]]) -> list[int]:
    """Host addresses for (block, offset, size) parts whose own were not recorded.

    Equal blocks and offsets get equal addresses, so aliases stay aliases; different blocks never meet. Raises
    OverflowError where the blocks do not fit into a process.
    """
    held = list(parts)
    ends: dict[str, int] = {}
    for block, offset, size in held:
        ends[block] = max(ends.get(block, 0), offset + size)
    base: dict[str, int] = {}
    free = _HVA_BASE
    for block, end in ends.items():
        base[block] = free
        # One unused step between blocks, as mappings of a process rarely touch.
        free += -(-end // _HVA_ALIGN) * _HVA_ALIGN + _HVA_ALIGN
    if free >> 63:
        raise OverflowError("the memory blocks do not fit into the address space of a process")
    return [base[block] + offset for block, offset, _ in held]
