"""QEMU's trace event kvm_set_user_memory: every slot change of a VM, in order.

    kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0x40000000 ua=0x7f3287e00000 ret=0
    24960@1700000000.123456:kvm_set_user_memory AddrSpace#0 Slot#3 flags=0x0 ... guest_memfd=-1 ... ret=0

Recorded with `-trace enable=kvm_set_user_memory,file=F`. Before QEMU 8.2 the slot number includes the address space
(as_id << 16 | id). A size of 0 deletes. Lines that start with # are comments, such as marks of phases.
"""

from __future__ import annotations

import re

import numpy as np

from slotlookup.memslots import READONLY
from slotlookup.recordings.importing import Importer, Recording, Source
from slotlookup.trace import slot_events

_EVENT = "kvm_set_user_memory"
_CALL = re.compile(
    r"(?:\d+@(\d{1,10})\.(\d{6}):)?"
    r"kvm_set_user_memory (?:AddrSpace#(\d{1,5}) )?Slot#(\d{1,10}) flags=0x([0-9a-f]{1,8}) gpa=0x([0-9a-f]{1,16})"
    r" size=0x([0-9a-f]{1,16}) ua=0x([0-9a-f]{1,16})(?: guest_memfd=-?\d+)?(?: guest_memfd_offset=0x[0-9a-f]+)?"
    r" ret=(-?\d+)",
    re.ASCII,
)
_OTHER_EVENT = re.compile(r"(?:\d+@\d+\.\d{6}:)?([a-z0-9]+_[a-z0-9_]*)(?: .*)?", re.ASCII)
_MARK = re.compile(rb"^(?:\d+@\d+\.\d+:)?kvm_set_user_memory ", re.MULTILINE)
_REMEDY = "copy the line whole, or delete it if it is not QEMU's"


class QemuTrace(Importer):
    """Reads kvm_set_user_memory events."""

    name = "qemu-trace"
    title = "QEMU kvm_set_user_memory trace"

    def recognises(self, head: bytes) -> bool:
        """Whether a line starts with the event."""
        return _MARK.search(head) is not None

    def read(self, source: Source) -> Recording:
        """Every successful call, in order. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), changes=True)
        counted = recording.counted
        calls: list[tuple[int, int, int, int, int]] = []
        lines: list[int] = []
        held: dict[int, int] = {}
        times: list[int] = []
        last = 0
        for number, line in enumerate(source.lines, 1):
            match = _CALL.fullmatch(line)
            if match is None:
                counted[_passed_over(source, number, line)] += 1
                continue
            seconds, micros, space, slot_text, flags_text, gpa, size_text, hva, ret = match.groups()
            if seconds is not None:
                now = int(seconds) * 10**9 + int(micros) * 1000
                if now < last:
                    raise source.fault(number, "earlier than the previous line; the recording's lines are out of order")
                last = now
            slot = int(slot_text)
            if slot >> 32 or (space is not None and slot >> 16):
                raise source.fault(number, f"slot {slot} is not a slot id")
            if space is not None:
                slot |= int(space) << 16
            if ret != "0":
                counted["calls that KVM refused"] += 1
                continue
            flags, size = int(flags_text, 16), int(size_text, 16)
            address, userspace = int(gpa, 16), int(hva, 16)
            if size == 0:
                held.pop(slot, None)
            else:
                if slot in held and (held[slot] ^ flags) & READONLY:
                    # QEMU performs this with two ioctls and traces the second only.
                    calls.append((slot, address, 0, userspace, 0))
                    lines.append(number)
                    times.append(last)
                    counted["READONLY changes, which QEMU makes by deleting and adding the slot"] += 1
                held[slot] = flags
            calls.append((slot, address, size, userspace, flags))
            lines.append(number)
            times.append(last)
        recording.events = slot_events(calls)
        recording.event_lines = np.array(lines, dtype=np.int64)
        # Lines without a time take that of the previous line; at the beginning there is none.
        if times and times[0]:
            recording.times = np.array(times, dtype=np.int64)
        return recording


def _passed_over(source: Source, number: int, line: str) -> str:
    """The kind of a line without a slot change. Raises InputFileError if it should have one."""
    if not line.strip():
        return "blank lines"
    if line.startswith("#"):
        return "comment lines"
    event = _OTHER_EVENT.fullmatch(line)
    if event is None or "Slot#" in line or " ua=0x" in line or "set_user_mem" in line or _EVENT.startswith(event[1]):
        raise source.unparsed(number, _REMEDY)
    if source.whose(line) is not None:
        raise source.unparsed(number)
    return "other trace events"


QEMU_TRACE = QemuTrace()
