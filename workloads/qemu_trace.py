"""QEMU's trace event kvm_set_user_memory: every slot change of a VM, in order.

`_qemu_lines.py` shows the forms in which QEMU prints it. Recorded with `-trace enable=kvm_set_user_memory,file=F`.
Before QEMU 8.2 the slot number holds the address space too (as_id << 16 | id). A size of 0 deletes. Lines that start
with # are comments, such as marks of phases.
"""

from __future__ import annotations

import re

import numpy as np

from slotlookup.memslots import READONLY
from slotlookup.recordings.importing import Importer, LineRules, Recording, Source
from slotlookup.trace import slot_events

from ._qemu_lines import PREFIX, BadSlot, parse_slot_call

_EVENT = "kvm_set_user_memory"
_OTHER_EVENT = re.compile(PREFIX + r"([a-z0-9]+_[a-z0-9_]*)(?: .*)?", re.ASCII)
_BEGINS = re.compile(PREFIX + r"kvm_set_user_memory (?:AddrSpace#|Slot#|\d+\.\d{3} pid=)", re.ASCII)
_MARK = re.compile(b"^" + _BEGINS.pattern.encode(), re.MULTILINE)
_DAMAGED = re.compile(
    r"Slot#|\bgpa=|\bua=|\buserspace_addr=|\bguest_memfd=|\bsize=0x|\bret=-?\d|"
    r"(?<![=\w,/])kvm_set_user_memory [AS\d]|(?<![=\w,/])kvm_s\w*$|"
    # Lines that are cut in the event's name or before it.
    rf"^{PREFIX}kv?m?_?$|^\d+@[\d.]*:?$|^\d{{4}}-\d\d-\d\dT[\d:.]*Z?$"
)
_REMEDY = "copy the line whole, or delete it if it is not QEMU's"


class QemuTrace(Importer):
    """Reads kvm_set_user_memory events."""

    name = "qemu-trace"
    title = "QEMU kvm_set_user_memory trace"

    def recognises(self, head: bytes) -> bool:
        """Whether a line starts with the event."""
        return _MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Leading blanks mean nothing; what holds a field of the event is a line of it."""
        return LineRules(_whole, _BEGINS, _DAMAGED)

    def read(self, source: Source) -> Recording:
        """Every successful call, in order. Raises InputFileError."""
        recording = Recording(source.path, self.title, len(source.lines), changes=True)
        counted = recording.counted
        calls: list[tuple[int, int, int, int, int]] = []
        lines: list[int] = []
        held: dict[int, int] = {}
        times: list[int] = []
        last = 0
        for number, line in source.numbered():
            try:
                call = parse_slot_call(line)
            except BadSlot as error:
                raise source.fault(number, str(error)) from None
            if call is None:
                counted[_passed_over(source, number, line)] += 1
                continue
            now, slot, flags, address, size, userspace, ret = call
            if now is not None:
                source.check_seconds(number, now / 10**9)
                if now < last:
                    raise source.fault(number, "earlier than the previous line; the recording's lines are out of order")
                last = now
            if ret:
                counted["calls that KVM refused"] += 1
                continue
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


def _whole(line: str) -> bool:
    try:
        return parse_slot_call(line) is not None or (
            _OTHER_EVENT.fullmatch(line) is not None and _DAMAGED.search(line) is None
        )
    except BadSlot:
        return True


def _passed_over(source: Source, number: int, line: str) -> str:
    """The kind of a line without a slot change. Raises InputFileError if it should have one."""
    if not line.strip():
        return "blank lines"
    if line.startswith("#"):
        return "comment lines"
    event = _OTHER_EVENT.fullmatch(line)
    if event is None or _DAMAGED.search(line) or _EVENT.startswith(event[event.lastindex or 0]):
        raise source.unparsed(number, _REMEDY)
    if source.whose(line) is not None:
        raise source.unparsed(number)
    return "other trace events"


QEMU_TRACE = QemuTrace()
