"""strace of a hypervisor: its KVM_SET_USER_MEMORY_REGION ioctls are the slot changes.

    24960 ioctl(10, 0x4020ae46 /* KVM_SET_USER_MEMORY_REGION */, {slot=0, flags=0, guest_phys_addr=0,
        memory_size=983040, userspace_addr=0x7f3287e00000}) = 0                              (one line)

Recorded with `strace -f -X verbose -e trace=ioctl -o F`; the other -X forms, timestamps, -y and -T are understood too.
A call that strace split in two (`<unfinished ...>`, `resumed`) is placed where it was resumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from slotlookup.errors import present
from slotlookup.recordings.importing import Importer, LineRules, Recording, Source
from slotlookup.trace import slot_events

_PREFIX = re.compile(
    r"(?:\[pid +(?P<pid>\d+)\] +|(?P<bare>\d+) +)? *"
    r"(?:(?P<time>\d\d:\d\d:\d\d(?:\.\d+)?|\d{1,10}\.\d{1,9}) +)?(?:\(\+ *\d+\.\d+\) +)?",
    re.ASCII,
)
_N = r"0x[0-9a-f]{1,16}|0|[1-9]\d{0,19}"
_FD = r"(?:<(?:[^<>]|<[^<>]*>)*>)?"
_REQUEST = r"_IOC\([^()]*\)|[^,]+?"
_IOCTL = re.compile(rf"ioctl\((\d{{1,10}}){_FD}, ({_REQUEST})(?:, .*|\) += .*)", re.ASCII)
_SLOT_CALL = re.compile(
    rf"ioctl\(\d+{_FD}, (?:{_REQUEST}), "
    rf"\{{slot=({_N}), flags=([^,]+), guest_phys_addr=({_N}), memory_size=({_N}), userspace_addr=({_N}|NULL)"
    rf"(?:, guest_memfd_offset=(?:{_N}), guest_memfd=-?\d+)?\}}\) += (\S.*)",
    re.ASCII,
)
_RESULT = re.compile(
    r"(?:(0)|(-1 E[A-Z0-9]+ \(.*\))|(\?(?: E[A-Z_]+ \(.*\))?))(?: \(INJECTED\))?(?: <\d+\.\d+>)?", re.ASCII
)
_SYSCALL = re.compile(r"\w+\(.*\) += .+", re.ASCII)
_UNFINISHED = re.compile(r"(\w+)(\(.*?) ?<unfinished \.\.\.>", re.ASCII)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.ASCII)
_STACK = re.compile(r" > (?:\S+\(.*\) \[0x[0-9a-f]+\]|\S+ \[0x[0-9a-f]+\]|unexpected_backtracing_error.*)", re.ASCII)
_BEGINS = re.compile(
    _PREFIX.pattern.replace("?P<", "?P<b_") + r"(?:\w{2,32}\(|<\.\.\. \w+ resumed>|\+\+\+ |--- SIG)", re.ASCII
)
_DAMAGED = re.compile(
    r"guest_phys_addr|memory_size|userspace_addr|KVM_SET_USER|SET_USER_MEM|USER_MEMORY|_MEMORY_REGION|4020ae46|40a0ae49|"
    r"\bioctl\(\d|slot=\d|ioctl resumed|^(?:\[pid +\d+\] +|\d+ +)?(?:[\d:.]+ +)?i(?:o|oc|oct|octl)?\(?$"
)
_OWN = re.compile(r"(?:\+\+\+ .+ \+\+\+|--- .+ ---|strace: .+)", re.ASCII)
_FLAG_VALUE = re.compile(rf"({_N})(?: /\* .+ \*/)?", re.ASCII)
_FLAG_NAMES = {"KVM_MEM_LOG_DIRTY_PAGES": 1, "KVM_MEM_READONLY": 2, "KVM_MEM_GUEST_MEMFD": 4}
_MARK = re.compile(
    rb"^(?:\[pid +\d+\] +|\d+ +)? *(?:[\d:.]+ +)?(?:\(\+ *[\d.]+\) +)?"
    rb"(?:ioctl\(\d|<\.\.\. \w+ resumed>|\+\+\+ exited|--- SIG|\w+\([^\n]*\) += [-?0-9])",
    re.MULTILINE,
)
_REMEDY = "record with `strace -f -X verbose -e trace=ioctl`"
_SECOND_FORM = "_IOC(_IOC_WRITE, 0xae, 0x49, 0xa0)"
_EPOCH = 1_000_000_000
"""A leading number of seconds from this value on is a time since 1970 (-ttt), not since the last call (-r)."""


def _number(text: str) -> int:
    return 0 if text == "NULL" else int(text, 0)


def _is_slot_call(request: str) -> bool:
    return (
        request.startswith(("0x4020ae46", "0x40a0ae49"))
        or "KVM_SET_USER_MEMORY_REGION" in request
        or (_is_second_form(request))
    )


def _is_second_form(request: str) -> bool:
    """KVM_SET_USER_MEMORY_REGION2, whose argument no strace up to 7.2 decodes."""
    return "0x40a0ae49" in request or "REGION2" in request or request.startswith(_SECOND_FORM)


@dataclass
class _Reader:
    """The state within a file."""

    source: Source
    recording: Recording
    calls: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    vm: tuple[int, int] | None = None
    """The fd whose slots are set, and the line that set the first."""
    unfinished: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    last: float = 0.0
    times: list[int] = field(default_factory=list)

    def line(self, number: int, text: str) -> None:
        counted = self.recording.counted
        if not text.strip() or text.startswith("#"):
            counted["comment lines" if text.strip() else "blank lines"] += 1
            return
        if _STACK.fullmatch(text):
            counted["lines of stack traces"] += 1
            return
        prefix = present(_PREFIX.match(text), "a prefix, which may be empty,")
        body = text[prefix.end() :]
        pid = prefix["pid"] or prefix["bare"] or ""
        self._in_order(number, prefix["time"])
        if _OWN.fullmatch(body):
            counted["lines of strace's own"] += 1
            return
        begun = _UNFINISHED.fullmatch(body)
        if begun is not None:
            if pid in self.unfinished:
                raise self.source.fault(number, f"a second unfinished call of process {pid or '?'}; the first is lost")
            self.unfinished[pid] = (number, begun[1], begun[1] + begun[2])
            return
        resumed = _RESUMED.fullmatch(body)
        if resumed is not None:
            joined = self._join(number, pid, resumed[1], resumed[2])
            if joined is None:
                counted["other system calls"] += 1
                return
            body = joined
        if _SYSCALL.fullmatch(body) is None:
            raise self.source.unparsed(number, _REMEDY)
        self._call(number, body)

    def _in_order(self, number: int, time: str | None) -> None:
        if time is None or ":" in time or float(time) < _EPOCH:
            return
        self.source.check_seconds(number, float(time))
        if float(time) < self.last:
            raise self.source.fault(number, "earlier than the previous line; the recording's lines are out of order")
        self.last = float(time)

    def _join(self, number: int, pid: str, name: str, rest: str) -> str | None:
        """The complete call of two parts that strace split; None for a call that is not relevant."""
        begun = self.unfinished.pop(pid, None)
        if begun is not None and begun[1] == name:
            return begun[2] + rest.replace(" ) ", ") ", 1) if rest.startswith(" ) ") else begun[2] + rest
        if name != "ioctl" and begun is None:
            return None
        raise self.source.fault(
            number, f"resumes a call of {name} whose beginning is not in the file; record from the start of the VM"
        )

    def _call(self, number: int, body: str) -> None:
        counted = self.recording.counted
        if not body.startswith("ioctl("):
            counted["other system calls"] += 1
            return
        ioctl = _IOCTL.fullmatch(body)
        if ioctl is None:
            raise self.source.unparsed(number, _REMEDY)
        fd, request = int(ioctl[1]), ioctl[2]
        if _is_slot_call(request):
            self._slot_call(number, fd, body)
            return
        if "MEMORY_REGION" in body or "guest_phys_addr" in body:
            raise self.source.unparsed(number, _REMEDY)  # a slot call whose request number is damaged
        counted["other ioctls"] += 1
        if "KVM_CREATE_VM " in f"{request} " and self.vm is not None and body.endswith(f" = {self.vm[0]}"):
            raise self.source.fault(
                number,
                f"a second VM on fd {self.vm[0]}, which has had slots since line {self.vm[1]}; split the file here",
            )

    def _slot_call(self, number: int, fd: int, body: str) -> None:
        match = _SLOT_CALL.fullmatch(body)
        if match is None and _is_second_form(_request(body)):
            self._second_form(number, body)
            return
        result = _RESULT.fullmatch(match[6]) if match is not None else None
        if match is None or result is None:
            raise self.source.unparsed(number, _REMEDY)
        if self.vm is None:
            self.vm = (fd, number)
        elif self.vm[0] != fd:
            raise self.source.fault(
                number, f"sets slots on fd {fd}, line {self.vm[1]} on fd {self.vm[0]}: two VMs; keep the lines of one"
            )
        if result[1] is None:
            refused = result[2] is not None
            self.recording.counted["calls that KVM refused" if refused else "calls without a result"] += 1
            return
        slot, gpa, size, hva = (_number(match[i]) for i in (1, 3, 4, 5))
        flags = self._flags(number, match[2])
        if slot >> 32 or any(value >> 64 for value in (gpa, size, hva)):
            raise self.source.fault(number, "a value does not fit its field; the line is damaged")
        self.calls.append((slot, gpa, size, hva, flags))
        self.lines.append(number)
        self.times.append(round(self.last * 1e6) * 1000)

    def _second_form(self, number: int, body: str) -> None:
        """A call whose slot strace does not show: harmless where KVM refused it."""
        result = _RESULT.fullmatch(body.rpartition(" = ")[2])
        if result is not None and result[1] is None:
            self.recording.counted["calls that KVM refused" if result[2] else "calls without a result"] += 1
            return
        name = "KVM_SET_USER_MEMORY_REGION2"
        shown = name if name in body else f"{_request(body)} is {name}, which"
        raise self.source.fault(
            number,
            f"{shown} is printed as a pointer, so its slot is not told; no strace decodes it; take the slots from the "
            "hypervisor (QEMU's kvm_set_user_memory trace, `info mtree -f`, a slot table)",
        )

    def _flags(self, number: int, text: str) -> int:
        whole = _FLAG_VALUE.fullmatch(text)
        flags = 0
        for part in (whole[1],) if whole is not None else text.split("|"):
            value = _FLAG_VALUE.fullmatch(part)
            found = int(value[1], 0) if value is not None else _FLAG_NAMES.get(part)
            if found is None or found >> 32:
                raise self.source.unparsed(number, _REMEDY)
            flags |= found
        return flags

    def finish(self) -> Recording:
        for begun, name, text in self.unfinished.values():
            request = _IOCTL.fullmatch(f"{text}, ")
            if name == "ioctl" and (request is None or _is_slot_call(request[2])):
                raise self.source.fault(begun, "this call is unfinished and never resumed; copy the file whole")
            self.recording.counted["calls without a result"] += 1
        self.recording.events = slot_events(self.calls)
        self.recording.event_lines = np.array(self.lines, dtype=np.int64)
        if self.times and self.times[0]:
            self.recording.times = np.array(self.times, dtype=np.int64)
        return self.recording


def _request(body: str) -> str:
    found = _IOCTL.fullmatch(body)
    return "" if found is None else found[2]


def _whole(line: str) -> bool:
    if _STACK.fullmatch(line):
        return True
    prefix = _PREFIX.match(line)
    body = line[prefix.end() :] if prefix is not None else line
    if _OWN.fullmatch(body) or _UNFINISHED.fullmatch(body) or _RESUMED.fullmatch(body):
        return True
    if _SYSCALL.fullmatch(body) is None:
        return False
    request = _request(body) if body.startswith("ioctl(") else ""
    if not _DAMAGED.search(body.removeprefix("ioctl(")):
        return True
    match = _SLOT_CALL.fullmatch(body)
    return _is_second_form(request) or (match is not None and _RESULT.fullmatch(match[6]) is not None)


class Strace(Importer):
    """Reads KVM_SET_USER_MEMORY_REGION ioctls."""

    name = "strace"
    title = "strace of KVM ioctls"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is a system call with its result, or strace's own."""
        return _MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Leading blanks mean nothing; a call without its end is damaged where it may set a slot."""
        return LineRules(_whole, _BEGINS, _DAMAGED)

    def read(self, source: Source) -> Recording:
        """Every successful call, in order. Raises InputFileError."""
        reader = _Reader(source, Recording(source.path, self.title, len(source.lines), changes=True))
        for number, text in source.numbered():
            reader.line(number, text)
        return reader.finish()


STRACE = Strace()
