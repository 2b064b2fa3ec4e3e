"""Slot tables as CSV: the slots of a VM at one moment.

    slot,gpa,size,hva,flags                  numbers decimal or 0x hex
    slot,gpa,size,hva,flags,created          the same, with each slot's rank in the order of creation: 0, 1, 2, …
    slot,gpa,size,kind,block,block_offset    ranges of guest memory by the block that backs them; no host addresses

`slotlookup import --slots` writes the first two. Slot numbers include the address space (as_id << 16 | id). Lines that
start with # are comments. Only the second form contains the order in which the slots were created.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from slotlookup.memslots import READONLY
from slotlookup.recordings.importing import Importer, Recording, SlotRow, Source, lay_out_hvas, listed_order, slot_table
from slotlookup.trace import SlotOrder

SLOTS_HEADER = "slot,gpa,size,hva,flags"
CREATED_HEADER = f"{SLOTS_HEADER},created"
RANGES_HEADER = "slot,gpa,size,kind,block,block_offset"

_N = r"(0x[0-9a-f]{1,16}|\d{1,20})"
_SLOT = re.compile(rf"{_N},{_N},{_N},{_N},{_N}", re.ASCII)
_CREATED_SLOT = re.compile(rf"{_N},{_N},{_N},{_N},{_N},{_N}", re.ASCII)
_RANGE = re.compile(rf"{_N},{_N},{_N},(ram|rom|romd|ramd|nv-ram),([^,]+),{_N}", re.ASCII)


_MARK = re.compile(rb"^slot,gpa,size,hva,flags(,created)?\r?$", re.MULTILINE)


def _number(text: str) -> int:
    return int(text, 16) if text.startswith("0x") else int(text)


def _rows(
    source: Source, recording: Recording, header: str, row: re.Pattern[str]
) -> Iterator[tuple[int, re.Match[str]]]:
    """The rows below the header. Raises InputFileError for any other line."""
    begun = False
    for number, line in source.numbered():
        if not line.strip() or line.startswith("#"):
            recording.counted["comment lines" if line.strip() else "blank lines"] += 1
            continue
        if not begun:
            if line != header:
                raise source.unparsed(number, f"the first line must be {header}")
            begun = True
            continue
        match = row.fullmatch(line)
        if match is None:
            raise source.unparsed(number, f"a row must be {header}")
        yield number, match


class SlotTable(Importer):
    """Reads a table with host addresses."""

    name = "slot-table"
    title = f"slot table ({SLOTS_HEADER})"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is the header."""
        return _MARK.search(head) is not None

    def read(self, source: Source) -> Recording:
        """The slots. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines))
        rows: list[SlotRow] = []
        decimal = False
        marked = _MARK.search(source.data)
        created = marked is not None and marked[1] is not None
        form = (CREATED_HEADER, _CREATED_SLOT) if created else (SLOTS_HEADER, _SLOT)
        for number, match in _rows(source, recording, *form):
            if created and _number(match[6]) != len(rows):
                raise source.unparsed(number, f"rows stand in order of creation, so this one must end in ,{len(rows)}")
            if not created and number == len(source.lines) and source.unterminated and match[5] == "0" and not decimal:
                # This could be a truncated 0x2; only earlier rows with decimal flags exclude that.
                raise source.unparsed(number)
            decimal = decimal or not match[5].startswith("0x")
            rows.append(SlotRow(number, *(_number(text) for text in match.groups()[:5])))
        recording.table = slot_table(source, rows)
        recording.slot_order = SlotOrder.CREATION if created else listed_order(recording.table)
        return recording


class RangeTable(Importer):
    """Reads a table of ranges by memory block; host addresses are constructed."""

    name = "range-table"
    title = f"range table ({RANGES_HEADER})"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is the header."""
        return re.search(rb"^slot,gpa,size,kind,block,block_offset\r?$", head, re.MULTILINE) is not None

    def read(self, source: Source) -> Recording:
        """The slots. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), hva_recorded=False)
        ranges: list[tuple[int, int, int, int, str, str, int]] = []
        for number, match in _rows(source, recording, RANGES_HEADER, _RANGE):
            if number == len(source.lines) and source.unterminated:
                raise source.unparsed(number)
            slot, gpa, size, offset = (_number(match[i]) for i in (1, 2, 3, 6))
            ranges.append((number, slot, gpa, size, match[4], match[5], offset))
        writable = {block for *_, kind, block, _ in ranges if kind.endswith("ram") or kind == "ramd"}
        try:
            hvas = lay_out_hvas((block, offset, size) for _, _, _, size, _, block, offset in ranges)
        except OverflowError as error:
            raise source.fault(None, str(error)) from None
        rows = [
            SlotRow(number, slot, gpa, size, hva, READONLY if kind == "romd" or block not in writable else 0)
            for (number, slot, gpa, size, kind, block, _), hva in zip(ranges, hvas, strict=True)
        ]
        recording.table = slot_table(source, rows)
        recording.slot_order = listed_order(recording.table)
        recording.remarks += [
            "host addresses are not recorded: constructed from block and offset, so that aliases stay aliases",
            "READONLY is not recorded: taken as set where all of a block is rom",
        ]
        return recording


SLOT_TABLE = SlotTable()
RANGE_TABLE = RangeTable()
