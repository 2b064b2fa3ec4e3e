"""Recordings of real VMs: what an importer declares, and the file it reads from.

The registry finds module-level Importer instances in the workloads folder. Each turns one kind of file into a
Recording; `slotlookup.recordings.import_files` recognises files by content and puts the recordings of one VM together.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slotlookup.errors import InputFileError, RegionError
from slotlookup.memslots import Memslot, Memslots, describe_number, make_memslot
from slotlookup.trace import Events, empty_events

HEAD = 1 << 16
"""Bytes that a format is recognised by, where they suffice."""
LARGEST = 1 << 30
"""Bytes a recording may have once decompressed: it is read whole."""

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
    """One file, read whole and decompressed. `form` is the title of the importer that reads it.

    `others` are the remaining importers, asked when a line is not understood, so that the error can say whose it is.
    """

    path: Path
    data: bytes
    compression: str = ""
    form: str = ""
    others: tuple[Importer, ...] = ()

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
        text = self.lines[line - 1]
        other = self.whose(text)
        shown = ascii(text if len(text) <= 60 else f"{text[:57]}...")
        if other is not None:
            return self.fault(
                line, f"a line of {other.title} among those of {self.form}; give each its own file: {shown}"
            )
        if line == len(self.lines) and self.unterminated:
            return self.fault(line, f"the file is cut short here: {shown}; copy it whole or delete this line")
        return self.fault(line, f"not a line of {self.form}: {shown}{'; ' if remedy else ''}{remedy}")


def open_source(path: Path | str) -> Source:
    """Read a file, decompressing gzip and xz told by their magic. Raises InputFileError."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise InputFileError(path, None, "no such file") from None
    except IsADirectoryError:
        raise InputFileError(path, None, "a directory; give the recordings in it one by one") from None
    except OSError as error:
        raise InputFileError(path, None, f"cannot be read: {error.strerror or error}") from None
    compression = ""
    try:
        if data.startswith(_XZ):
            compression = "xz"
            with lzma.open(path) as unpacked:
                data = unpacked.read(LARGEST + 1)
        elif data.startswith(_GZIP):
            compression = "gzip"
            with gzip.open(path) as unpacked:
                data = unpacked.read(LARGEST + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputFileError(path, None, f"the {compression} data is damaged or cut short: {error}") from None
    if not data:
        raise InputFileError(path, None, "empty; nothing was recorded")
    if len(data) > LARGEST:
        raise InputFileError(path, None, f"more than {LARGEST >> 30} GiB; import a part of it")
    for magic, what in _REFUSED.items():
        if data.startswith(magic):
            raise InputFileError(path, None, what)
    return Source(path, data, compression)


@dataclass
class Recording:
    """What one file holds.

    `changes` says whether its slots were told change by change (in `events`); `table` is the whole slot table where the
    file tells slots at one moment instead. `event_lines` gives the 1-based line of each event (None where the form has
    no lines). `hva_recorded` is False where host addresses had to be made up; `complete` is False where the form tells
    of address space 0 only. `counted` holds what the file legitimately contains but the trace does not keep, by
    description; `remarks` what the reader must know. `doubtful` says that the form has no mark of its own, so that
    lookups which mostly miss mean a wrong file.
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
