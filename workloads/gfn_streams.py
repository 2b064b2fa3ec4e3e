"""Streams of guest-physical accesses, as page numbers.

    *.u32le          raw little-endian uint32 gfns, one per access, without header. Detected by the name, since the
                     content has no mark, and only if no other format matches and the bytes are not text.
    first touches    `access_no gfn_hex r|w|u` per line: the first read or write of a page, and the first write after a
                     read. Access numbers never decrease.

Both need the VM's slots from another file.
"""

from __future__ import annotations

import re
from array import array

import numpy as np

from slotlookup.address import GFN_LIMIT
from slotlookup.recordings.importing import Importer, Recording, Source
from slotlookup.trace import gfn_events

_TOUCH = re.compile(r"(\d{1,18}) ([0-9a-f]{1,16}) ([rwu])", re.ASCII)
_MARK = re.compile(rb"^\d{1,18} [0-9a-f]{1,16} [rwu]\r?$", re.MULTILINE)


class FirstTouch(Importer):
    """Reads first touches."""

    name = "first-touch"
    title = "first touches (access_no gfn_hex r|w|u)"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is a touch."""
        return _MARK.search(head) is not None

    def read(self, source: Source) -> Recording:
        """A lookup for each touch. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines))
        gfns, lines = array("Q"), array("q")
        last = 0
        for number, line in source.numbered():
            match = _TOUCH.fullmatch(line)
            if match is None:
                if line.startswith("#") or not line.strip():
                    recording.counted["comment lines" if line.strip() else "blank lines"] += 1
                    continue
                raise source.unparsed(number)
            access = int(match[1])
            if access < last:
                raise source.fault(number, f"access {access} comes after access {last}; the lines are out of order")
            last = access
            gfn = int(match[2], 16)
            if gfn >= GFN_LIMIT:
                raise source.fault(number, f"gfn {gfn:#x} is not below 2^52")
            gfns.append(gfn)
            lines.append(number)
        recording.events = gfn_events(np.frombuffer(gfns, dtype=np.uint64))
        recording.event_lines = np.frombuffer(lines, dtype=np.int64)
        recording.remarks.append("a lookup for each touch; reads and writes are not distinguished")
        return recording


class RawGfns(Importer):
    """Reads uint32 gfns."""

    name = "u32le"
    title = "raw gfn stream (*.u32le)"

    def recognises(self, head: bytes) -> bool:
        """Never true: raw numbers have no mark."""
        return False

    def recognises_name(self, name: str) -> bool:
        """Whether the file's name has the ending."""
        return name.endswith(".u32le")

    def read(self, source: Source) -> Recording:
        """A lookup for each number. Raises InputFileError."""
        if len(source.data) % 4:
            raise source.fault(
                None, f"{len(source.data):,} bytes are not a whole number of uint32s; the file is truncated"
            )
        source.check_events(len(source.data) // 4)
        head = source.head[: 1 << 16]
        if b"\0" not in head and len(head) >= 16 and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
            raise source.fault(None, "text, though its name says raw uint32 gfns; is it misnamed?")
        recording = Recording(source.path, self.title, doubtful=True)
        recording.events = gfn_events(np.frombuffer(source.data, dtype="<u4"))
        return recording


FIRST_TOUCH = FirstTouch()
RAW_GFNS = RawGfns()
