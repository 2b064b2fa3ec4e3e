"""Recordings of real VMs: what an importer declares, and how files are recognised by content and made into a trace.

The registry finds module-level Importer instances in the workloads folder. Each turns one kind of file into a
Recording; `import_files` puts the recordings of one VM together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from slotlookup.memslots import Memslot
from slotlookup.trace import Events, empty_events


@dataclass
class Recording:
    """What one file holds.

    `changes` says whether its slots were told change by change (in `events`); `table` is the whole slot table where the
    file tells slots at one moment instead. `counted` holds what the file legitimately contains but the trace does not
    keep, by description; `remarks` what the reader must know.
    """

    path: Path
    form: str
    events: Events = field(default_factory=lambda: empty_events(0))
    changes: bool = False
    table: tuple[Memslot, ...] | None = None
    counted: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


class Importer(ABC):
    """Reads one kind of recording. `name` identifies it; `title` is what people call the format."""

    name: str
    title: str

    @abstractmethod
    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins with `head` (up to 64 KiB) is of this kind."""

    @abstractmethod
    def read(self, path: Path) -> Recording:
        """Read the whole file. Raises InputFileError with file and line where it cannot be understood."""


Recordings = Iterable[Recording]
