"""How QEMU's trace back ends print kvm_set_user_memory.

    kvm_set_user_memory Slot#0 flags=0x0 gpa=0x0 size=0x40000000 ua=0x7f3287e00000 ret=0              log, no time
    24960@1700000000.123456:kvm_set_user_memory Slot#0 ...                                          -msg timestamp=on
    2025-09-30T06:12:44.000117Z kvm_set_user_memory AddrSpace#0 Slot#0 ...                          the same, since 10.1
    2025-09-30T06:12:44.000117Z qemu-system-x86_64(30817:main): kvm_set_user_memory ...
    kvm_set_user_memory 402.118 pid=15504 slot=0x1 flags=0x2 guest_phys_addr=... ret=0x0             simple, as text

The back end `syslog` prints the first form after the log's own prefix; `ftrace` writes it to trace_marker. GLib leaves
the fraction of a second out where it is 0.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

PREFIX = (
    r"(?:\d+@(?P<seconds>\d{1,10})\.(?P<micros>\d{6}):|"
    r"(?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?Z "
    r"(?:[^\s(]{1,64}\(\d+:[^()]{0,32}\): )?)?"
)
"""What stands before the event's name; never a blank."""
_X = r"0x([0-9a-f]{1,16})"
_LOG = re.compile(
    PREFIX + r"kvm_set_user_memory (?:AddrSpace#(\d{1,5}) )?Slot#(\d{1,10}) flags=0x([0-9a-f]{1,8}) gpa=" + _X + r""
    rf" size={_X} ua={_X}(?: guest_memfd=-?\d+)?(?: guest_memfd_offset=0x[0-9a-f]+)? ret=(-?\d+)",
    re.ASCII,
)
_SIMPLE = re.compile(
    rf"kvm_set_user_memory (\d{{1,12}})\.(\d{{3}}) pid=\d+(?: as={_X})? slot={_X} flags={_X} guest_phys_addr={_X}"
    rf" memory_size={_X} userspace_addr={_X}(?: fd=0x[0-9a-f]+)?(?: fd_offset=0x[0-9a-f]+)? ret={_X}",
    re.ASCII,
)


class SlotCall(NamedTuple):
    """A call as QEMU traced it. `number` is as_id << 16 | id; `time` ns since 1970, None where it is not told."""

    time: int | None
    number: int
    flags: int
    gpa: int
    size: int
    hva: int
    ret: int


class BadSlot(ValueError):
    """A slot id that no KVM has."""


def parse_slot_call(line: str) -> SlotCall | None:
    """The call that a line tells, or None where it tells none. Raises BadSlot."""
    match = _LOG.fullmatch(line)
    if match is not None:
        space, slot, flags, gpa, size, hva, ret = match.groups()[4:]
        number = int(slot)
        if number >> 32 or (space is not None and number >> 16):
            raise BadSlot(f"slot {number} is not a slot id")
        if space is not None:
            number |= int(space) << 16
        addresses = (int(flags, 16), int(gpa, 16), int(size, 16), int(hva, 16))
        return SlotCall(_time(match), number, *addresses, int(ret))
    match = _SIMPLE.fullmatch(line)
    if match is None:
        return None
    space, slot, flags, gpa, size, hva, ret = match.groups()[2:]
    number = int(slot, 16) | int(space or "0", 16) << 16
    if number >> 32 or int(flags, 16) >> 32:
        raise BadSlot(f"slot {number} is not a slot id")
    value = int(ret, 16)
    signed = value - (1 << 64) if value >> 63 else value - (1 << 32) if value >> 31 == 1 else value
    # The time is that since the event before, of whatever kind, so that lines left out would falsify a sum.
    return SlotCall(None, number, int(flags, 16), int(gpa, 16), int(size, 16), int(hva, 16), signed)


def _time(match: re.Match[str]) -> int | None:
    if match["seconds"] is not None:
        return int(match["seconds"]) * 10**9 + int(match["micros"]) * 1000
    if match["date"] is None:
        return None
    try:
        second = int(datetime.fromisoformat(match["date"]).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadSlot(f"{match['date']} is no time") from None
    return second * 10**9 + int((match["fraction"] or "0").ljust(9, "0"))
