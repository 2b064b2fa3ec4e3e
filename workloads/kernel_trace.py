"""KVM's trace events, as tracefs, `trace-cmd report` and `perf script` print them: VMs' faults and notifier calls.

    kvm_page_fault            a gfn lookup, if its addresses are guest-physical (two-dimensional paging)
    kvm_mmu_spte_requested    a gfn lookup: a fault that reached its page
    kvm_mmu_pagetable_walk    no lookup: precedes a fault under shadow paging; otherwise the guest's own fault, or MMIO
    kvm_tdp_mmu_spte_changed  a gfn lookup, if an spte becomes present and no other event reports the fault
    kvm_guest_fault           arm64: a gfn lookup, of MMIO too
    kvm_exit                  riscv: a gfn lookup, if its cause is a guest page fault
    kvm_unmap_hva_range       an hva visit of its range
    kvm_unmap_hva             an hva visit of one page (Linux before 4.20)
    kvm_age_hva               an hva visit of its range
    kvm_test_age_hva          an hva visit of one byte, as the kernel performs it
    kvm_set_spte_hva          the same (Linux before 6.10)
    SLOT 3 gpa=0x.. size=0x.. hva=0x.. written to trace_marker: a slot change
    kvm_set_user_memory ... written there by QEMU's trace back end `ftrace`: the same

`_faults.py` decides from the other events of the same thread which events are faults.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter

import numpy as np
import numpy.typing as npt

from slotlookup.address import GFN_LIMIT, PAGE_SHIFT, PAGE_SIZE
from slotlookup.arrays import Bytes, Words
from slotlookup.errors import InputFileError
from slotlookup.recordings.importing import LATEST_SECOND, Importer, LineRules, Origins, Recording, Source, Thread
from slotlookup.trace import EventKind, Events, empty_events

from ._faults import faults
from ._qemu_lines import BadSlot, parse_slot_call
from ._trace_lines import (
    CALL_CHAIN,
    EVENTS,
    FTRACE_BEGINS,
    FTRACE_LINES,
    FTRACE_MARK,
    LOST,
    MARKERS,
    OVERWRITTEN,
    PERF_BEGINS,
    PERF_LINES,
    PERF_MARK,
    PERF_RECORD,
    RISCV_FAULTS,
    SLOT_MARK,
    SLOT_MARK_BEGINS,
    SPTE_LARGE,
    SPTE_PRESENT,
    STACK,
    TRACE_CMD_OWN,
    Told,
)

_NAMES = (*(name.decode() for name in EVENTS), "SLOT marks")
_SECOND = 10**9
_DAMAGED = re.compile(
    r"\bkvm_\w+:|mmu notifier|-\d+ +[\[(]|\bpferr\b|\] [\w.]{4,5} +\d+\.\d+|\d+\.\d{6}: |CPU:\d+ \[|LOST|EVENTS DROPPED"
)
_REMEDY = "set tracefs' options to their defaults, or omit the options of perf script (-F) and trace-cmd report"
_UNTOLD_VCPU = 0xFFFF
_MOST_NAMES = 1 << 16


class _Reader:
    """The state within a file. Each array has one element per relevant event."""

    def __init__(self, source: Source, lines: re.Pattern[bytes], perf: bool) -> None:
        self.source = source
        self.pattern = lines
        self.perf = perf
        self.counted: Counter[str] = Counter()
        self.others: Counter[bytes] = Counter()
        self.lines = 0
        self.told = array("B")
        self.vcpu = array("H")
        self.a = array("Q")
        self.b = array("Q")
        self.thread = array("I")
        self.line = array("Q")
        self.time = array("q")
        self.slots: list[tuple[int, int, int]] = []
        """Slot number, hva and flags of each SLOT mark, in order."""
        self.timed = True
        self.thread_of: dict[tuple[bytes, bytes], int] = {}
        self.threads: list[tuple[bytes, bytes, bytes]] = []
        """Each thread's id, its process and its name."""
        self.lost = 0
        self.lost_marks = 0
        self.cut = False

    def read(self) -> None:
        """Read all lines except an unterminated last one, whose last number may be truncated."""
        for block in self.source.blocks():
            text, newline, rest = block.rpartition(b"\n")
            if rest:
                self.lines += 1
                self.cut = True
            if newline:
                self._block(text.replace(b"\r\n", b"\n").removesuffix(b"\r") if b"\r" in text else text)
                self.source.check_events(len(self.told))
                if len(self.others) > _MOST_NAMES:
                    raise self.source.fault(None, f"more than {_MOST_NAMES:,} names of events; the file is damaged")

    def _block(self, text: bytes) -> None:
        """Read whole lines, the last without its line end."""
        number = self.lines
        found = self.pattern.findall(text)
        self.lines += len(found)
        for comm, first, second, tgid, seconds, fraction, event, body, other in found:
            number += 1
            known = EVENTS.get(event)
            if known is None:
                if not event:
                    self._no_event(number, other)
                    continue
                if event in MARKERS and body.startswith(b"kvm_set_user_memory"):
                    if not self._qemu_slot(number, body):
                        continue
                    match, taken = None, True
                elif event not in MARKERS or SLOT_MARK_BEGINS.match(body) is None:
                    self.others[event] += 1
                    continue
                else:
                    match, taken = SLOT_MARK.fullmatch(body), False
            else:
                match, taken = known[1].fullmatch(body), False
            if match is None:
                if event == b"kvm_exit":
                    self.others[event] += 1  # of another architecture than riscv
                    continue
                if not taken:
                    raise self._unparsed(number, event + b": " + body)
            elif known is None:
                self._slot(number, match)
            elif not self._event(number, known[0], match):
                continue
            self.line.append(number)
            whole = int(seconds)
            if whole > LATEST_SECOND:
                self.source.check_seconds(number, whole)
            if fraction:
                self.time.append(whole * _SECOND + int(fraction) * (1000 if len(fraction) == 6 else 1))
            else:
                self.timed = False
                self.time.append(whole)
            thread = self.thread_of.get((first, second))
            self.thread.append(self._thread(comm, first, second, tgid) if thread is None else thread)

    def _thread(self, comm: bytes, first: bytes, second: bytes, tgid: bytes) -> int:
        """The index of a new thread."""
        index = len(self.threads)
        self.thread_of[first, second] = index
        self.threads.append((second, first, comm) if second else (first, tgid.strip(b"-"), comm))
        return index

    def _event(self, number: int, told: Told, match: re.Match[bytes]) -> bool:
        """Store an event; False if it is not relevant."""
        a = b = 0
        vcpu = _UNTOLD_VCPU
        groups = match.groups()
        if told is Told.UNMAP or told is Told.AGE:
            start, end, raw_start, raw_end = groups
            a, b = int(start or raw_start, 16), int(end or raw_end, 16)
            if a >= b:
                raise self.source.fault(number, f"the range [{a:#x}, {b:#x}) is empty; the line is damaged")
        elif told is Told.TEST_AGE or told is Told.SET_SPTE or told is Told.UNMAP_PAGE:
            a = int(groups[0] or groups[1], 16)
            b = a + (PAGE_SIZE if told is Told.UNMAP_PAGE else 1)
            if b >> 64:
                raise self.source.fault(number, f"{a:#x} is not a host address; the line is damaged")
        elif told is Told.REQUESTED:
            a = int(groups[0] or groups[1], 16)
        elif told is Told.GUEST_FAULT:
            a = int(groups[0] or groups[1], 16) >> PAGE_SHIFT
        elif told is Told.RISCV_EXIT:
            if int(groups[0], 16) not in RISCV_FAULTS:
                self.counted["exits that are no guest page fault"] += 1
                return False
            a = int(groups[1], 16) >> 10
        elif told is Told.PAGE_FAULT:
            a = int(groups[1] or groups[2], 16) >> PAGE_SHIFT
            if groups[0] is not None:
                vcpu = int(groups[0])
                if vcpu >= _UNTOLD_VCPU:
                    raise self.source.fault(number, f"vCPU {vcpu} is above KVM's maximum; the line is damaged")
        elif told is Told.SPTE_CHANGED:
            space, gfn, level, old, new = groups
            a, b, after = int(gfn, 16), int(space), int(new, 16)
            if b > 1:
                raise self.source.fault(number, f"address space {b} is not known; the line is damaged")
            if int(old, 16) & SPTE_PRESENT or not after & SPTE_PRESENT:
                self.counted["sptes cleared or changed"] += 1
                return False
            if int(level) > 1 and not after & SPTE_LARGE:
                self.counted["page tables linked"] += 1
                return False
        if (told is Told.REQUESTED or told is Told.SPTE_CHANGED) and a >= GFN_LIMIT:
            raise self.source.fault(number, f"gfn {a:#x} is not below 2^52; the line is damaged")
        self.told.append(told)
        self.vcpu.append(vcpu)
        self.a.append(a)
        self.b.append(b)
        return True

    def _qemu_slot(self, number: int, body: bytes) -> bool:
        """Take in a slot change that QEMU wrote to trace_marker; False for one that KVM refused."""
        try:
            call = parse_slot_call(body.decode("ascii", "backslashreplace").rstrip())
        except BadSlot as error:
            raise self.source.fault(number, str(error)) from None
        if call is None:
            raise self._unparsed(number, body)
        if call.ret:
            self.counted["calls that KVM refused"] += 1
            return False
        self.slots.append((call.number, call.hva, call.flags))
        self.told.append(Told.SLOT)
        self.vcpu.append(_UNTOLD_VCPU)
        self.a.append(call.gpa)
        self.b.append(call.size)
        return True

    def _slot(self, number: int, match: re.Match[bytes]) -> None:
        slot, gpa, size, hva, flags = match.groups()
        if int(slot) >> 32:
            raise self.source.fault(number, f"slot {int(slot)} is not a slot id")
        self.slots.append((int(slot), int(hva, 16), int(flags or b"0", 16)))
        self.told.append(Told.SLOT)
        self.vcpu.append(_UNTOLD_VCPU)
        self.a.append(int(gpa, 16))
        self.b.append(int(size, 16))

    def _unparsed(self, number: int, line: bytes) -> InputFileError:
        return self.source.not_a_line(number, line.decode("ascii", "backslashreplace"), cut=False, remedy=_REMEDY)

    def _no_event(self, number: int, line: bytes) -> None:
        """Count a line that is not an event. Raises InputFileError if it should be one."""
        lost = LOST.fullmatch(line)
        if lost is not None:
            self.lost_marks += 1
            self.lost += int(lost[2] or lost[4] or lost[6] or 0)
        elif line.startswith(b"#"):
            overwritten = OVERWRITTEN.fullmatch(line)
            if overwritten is not None and int(overwritten[2]) > int(overwritten[1]):
                self.lost_marks += 1
                self.lost += int(overwritten[2]) - int(overwritten[1])
            self.counted["comment lines"] += 1
        elif not line.strip():
            self.counted["blank lines"] += 1
        elif STACK.fullmatch(line):
            self.counted["lines of stack traces"] += 1
        elif self.perf and PERF_RECORD.fullmatch(line):
            self.counted["records of perf's own"] += 1
        elif self.perf and CALL_CHAIN.fullmatch(line):
            self.counted["lines of call chains"] += 1
        elif not self.perf and TRACE_CMD_OWN.fullmatch(line):
            self.counted["lines of trace-cmd's own"] += 1
        else:
            raise self._unparsed(number, line)

    def finish(self, form: str) -> Recording:
        """The recording: faults merged with their consequences, all events in order of time."""
        recording = Recording(self.source.path, form, self.lines, changes=bool(self.slots), doubtful=True)
        told = np.frombuffer(self.told, dtype=np.uint8)
        thread = np.frombuffer(self.thread, dtype=np.uint32)
        time = np.frombuffer(self.time, dtype=np.int64)
        a = np.frombuffer(self.a, dtype=np.uint64)
        b = np.frombuffer(self.b, dtype=np.uint64)
        vcpu = np.frombuffer(self.vcpu, dtype=np.uint16)
        line = np.frombuffer(self.line, dtype=np.uint64).astype(np.int64)
        order = np.arange(len(told))
        if self.timed and bool((np.diff(time) < 0).any()):
            recording.remarks.append(
                f"{int((np.diff(time) < 0).sum()):,} lines are earlier than the previous line; sorted by time"
            )
            order = np.argsort(time, kind="stable")
        lookups = faults(told[order], thread[order], a[order], recording)
        kept = order[lookups | (told[order] >= Told.UNMAP)]
        recording.events = self._events(told, thread, vcpu, a, b)[kept]
        recording.event_lines = line[kept]
        recording.times = time[kept] if self.timed else None
        threads = tuple(_named(*t) for t in self.threads)
        recording.origins = Origins(threads, thread[kept], _NAMES, told[kept])
        self._remark(recording)
        return recording

    def _events(
        self,
        told: Bytes,
        thread: npt.NDArray[np.uint32],
        vcpu: npt.NDArray[np.uint16],
        a: Words,
        b: Words,
    ) -> Events:
        events = empty_events(len(told))
        visit, slot = (told >= Told.UNMAP) & (told < Told.SLOT), told == Told.SLOT
        events["kind"][visit] = EventKind.HVA_VISIT
        events["kind"][slot] = EventKind.SLOT_CHANGE
        events["a"], events["b"] = a, b
        # Without vCPU numbers, faulting threads are numbered in the order of their first fault.
        asks = ~visit & ~slot & (told != Told.WALK)
        first = np.unique(thread[asks], return_index=True)
        rank = np.zeros(len(self.threads) + 1, dtype=np.uint16)
        rank[first[0]] = np.argsort(np.argsort(first[1], kind="stable"), kind="stable")
        events["vcpu"][asks] = np.where(vcpu == _UNTOLD_VCPU, rank[thread], vcpu)[asks]
        if self.slots:
            events["slot"][slot], events["hva"][slot], events["flags"][slot] = zip(*self.slots, strict=True)
        return events

    def _remark(self, recording: Recording) -> None:
        recording.counted.update(self.counted)
        other = sum(self.others.values())
        if not len(recording.events):
            seen = ", ".join(f"{name.decode()} ({n:,})" for name, n in self.others.most_common(8)) or "none"
            recording.remarks.append(
                f"no event here tells an access or an invalidation; the events are: {seen}. Record those of "
                "docs/real-machines.md for this architecture (s390x has none that tells an address)"
            )
        recording.counted["other events"] += other
        if self.lost_marks:
            number = f"{self.lost:,}" if self.lost else "an unknown number of"
            recording.remarks.append(
                f"{number} events were lost while recording ({self.lost_marks:,} marks); use larger buffers"
            )
        if self.cut:
            recording.counted["last lines without an end"] += 1
            recording.remarks.append("the file is truncated: its last line has no end and is left out")
        if not self.timed:
            recording.remarks.append("its clock counts ticks, so it cannot be merged by time")


def _rules(lines: re.Pattern[bytes], begins: re.Pattern[str]) -> LineRules:
    """A line is whole where it is an event whose print is understood, or a mark of the programs' own."""

    def whole(line: str) -> bool:
        if line.startswith("#"):
            return True
        raw = line.encode("utf-8", "backslashreplace")
        match = lines.fullmatch(raw)
        if match is None or not match[7]:
            own = (LOST, STACK, TRACE_CMD_OWN, PERF_RECORD, CALL_CHAIN)
            return any(pattern.fullmatch(raw) for pattern in own)
        known = EVENTS.get(match[7])
        return known is None or match[7] == b"kvm_exit" or known[1].fullmatch(match[8] or b"") is not None

    return LineRules(whole, begins, _DAMAGED)


def _named(tid: bytes, tgid: bytes, comm: bytes) -> Thread:
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in comm.decode("ascii", "backslashreplace"))
    return Thread(int(tid), int(tgid) if tgid else None, printable)


class Ftrace(Importer):
    """Reads the text of tracefs and `trace-cmd report`."""

    name = "ftrace"
    title = "ftrace text (tracefs trace, trace-cmd report)"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is an event, tracefs' heading, or a mark of lost events."""
        return FTRACE_MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Leading blanks mean nothing."""
        return _rules(FTRACE_LINES, FTRACE_BEGINS)

    def read(self, source: Source) -> Recording:
        """Faults as gfn lookups, notifier calls as hva visits, SLOT marks as slot changes. Raises InputFileError."""
        reader = _Reader(source, FTRACE_LINES, perf=False)
        reader.read()
        return reader.finish(self.title)


class PerfScript(Importer):
    """Reads the text of `perf script`."""

    name = "perf-script"
    title = "perf script"

    def recognises(self, head: bytes) -> bool:
        """Whether a line is an event."""
        return PERF_MARK.search(head) is not None

    @property
    def lines(self) -> LineRules:
        """Leading blanks mean nothing."""
        return _rules(PERF_LINES, PERF_BEGINS)

    def read(self, source: Source) -> Recording:
        """Faults as gfn lookups and notifier calls as hva visits. Raises InputFileError."""
        reader = _Reader(source, PERF_LINES, perf=True)
        reader.read()
        return reader.finish(self.title)


FTRACE = Ftrace()
PERF_SCRIPT = PerfScript()
