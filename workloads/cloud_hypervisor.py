"""Cloud Hypervisor's log: the memory slots that it creates and removes.

    cloud-hypervisor: 61.2ms: <vmm> INFO:F:L -- Creating userspace mapping: 0 -> 7f0d2e400000 a0000000, slot 2
    cloud-hypervisor: 61.3ms: <vmm> INFO:F:L -- Created userspace mapping: 0 -> 7f0d2e400000 a0000000
    cloud-hypervisor: 9.82s: <vmm> INFO:F:L -- Removed userspace mapping: 0 -> 7f0d2e400000 a0000000

F:L is the source line. gpa, host address and size are hexadecimal. Logged with `-v`. Before v21 there is no `Creating`
line, and no id: ids were given out from 0 in turn. Flags are not logged.
"""

from __future__ import annotations

import re

import numpy as np

from slotlookup.recordings.importing import Importer, LineRules, Recording, Source
from slotlookup.trace import slot_events

_LINE = re.compile(
    r"(?:.* )?-- (Creating|Created|Removed) userspace mapping: ([0-9a-f]{1,16}) -> ([0-9a-f]{1,16}) ([0-9a-f]{1,16})"
    r"(?:, slot (\d{1,10}))?",
    re.ASCII,
)
_OTHER = re.compile(r"(?:.* )?cloud-hypervisor: [\d.]+\S*: <[^>]*> \w+:\S+ -- .*", re.ASCII)
_BEGINS = re.compile(r"(?:.* )?(?:-- \w+ userspace mapping: |cloud-hypervisor: [\d.]+\S*: <)", re.ASCII)
_DAMAGED = re.compile(r"userspace mapp|memory_manager|cloud-hypervisor: [\d.]+\S*: <")
_MARK = re.compile(rb"^[^\n]*-- \w+ userspace mapping: ", re.MULTILINE)


class CloudHypervisor(Importer):
    """Reads mappings out of the log."""

    name = "cloud-hypervisor"
    title = "Cloud Hypervisor log"

    def recognises(self, head: bytes) -> bool:
        """Whether a line tells a mapping."""
        return _MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Whatever stands before the message is the log's."""
        return LineRules(_whole, _BEGINS, _DAMAGED)

    def read(self, source: Source) -> Recording:
        """Every mapping created and removed, in order. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), changes=True)
        calls: list[tuple[int, int, int, int, int]] = []
        lines: list[int] = []
        named: dict[tuple[int, int, int], int] = {}
        held: dict[tuple[int, int, int], int] = {}
        made = 0
        for number, line in source.numbered():
            match = _LINE.fullmatch(line)
            if match is None:
                if line.strip() and not _OTHER.fullmatch(line) and not line.startswith("#"):
                    raise source.unparsed(number)
                recording.counted["other lines of the log" if line.strip() else "blank lines"] += 1
                continue
            gpa, hva, size = mapping = (int(match[2], 16), int(match[3], 16), int(match[4], 16))
            if match[1] == "Creating":
                if match[5] is None or int(match[5]) >> 32:
                    raise source.fault(number, "this mapping has no slot id; the line is damaged")
                named[mapping] = int(match[5])
                continue
            if match[1] == "Created":
                slot = named.pop(mapping, made)
                made += 1
                held[mapping] = slot
                calls.append((slot, gpa, size, hva, 0))
            else:
                if mapping not in held:
                    raise source.fault(number, "removes a mapping that was not created above; give the log whole")
                calls.append((held.pop(mapping), gpa, 0, hva, 0))
            lines.append(number)
        if named:
            recording.counted["mappings that were begun and not created"] += len(named)
        recording.events = slot_events(calls)
        recording.event_lines = np.array(lines, dtype=np.int64)
        recording.remarks.append(
            "flags are not logged and taken as 0; slot ids are those logged, or counted from 0 where none are"
        )
        return recording


def _whole(line: str) -> bool:
    return _LINE.fullmatch(line) is not None or (_OTHER.fullmatch(line) is not None and "userspace mapp" not in line)


CLOUD_HYPERVISOR = CloudHypervisor()
