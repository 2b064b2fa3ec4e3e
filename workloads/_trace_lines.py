"""The lines in which kernel events are printed as text, and the events of KVM's MMU among them.

tracefs `trace` and `trace_pipe`, and `trace-cmd report`:

             ops-21536   [001] ...1.  2118.443785: kvm_mmu_spte_requested: gfn 40 pfn 1d9caa level 1
       CPU 0/KVM-4243    (   4240) [001] ...1.  2118.44 ...     with the option record-tgid
    vms:          ops-21536   1...1.  2118.44 ...               of an instance called vms; with -l

`perf script`:

              wl 23031 [000]  2232.897356: kvmmmu:kvm_mmu_spte_requested: gfn 40 pfn 166f9f level 1
              wl 23029/23031 [000] ...                          with -F comm,pid,tid,cpu,time,event,trace

The text after an event's name is printed by its format file in tracefs (`print fmt`).
"""

from __future__ import annotations

import re
from enum import IntEnum

_PLACE = rb"(?:\[\d{1,5}\] +(?:[^\s\[\]]{3,8} +)?|\d{1,5}[^\s\d\[\]][^\s\[\]]{2,7} +)"
_PLACE_AND_TIME = _PLACE + rb"(\d{1,10})(?:\.(\d{6}|\d{9}))?: +"
_BUFFER = rb"(?:[\w.\-]{1,64}: {1,64})?"
_EVENT = rb"(?:\w+:)?(\w+):(?: +([^\n]*))?"
_FTRACE = _BUFFER + rb" {0,64}(\S[^\n]{0,15}?)-(\d{1,10})() +(?:\( *(\d{1,10}|-+)\) +)?" + _PLACE_AND_TIME + _EVENT
_PERF = rb" {0,64}(\S[^\n]{0,15}?) {1,64}(\d{1,10})(?:/(\d{1,10}))?() +" + _PLACE_AND_TIME + rb"(?:\d+ +)?" + _EVENT


def _begins(before: bytes) -> re.Pattern[str]:
    """How an event's line begins, as far as its time, after which it may have been wrapped."""
    at = before.index(_PLACE_AND_TIME)
    return re.compile((before[:at] + _PLACE + rb"\d{1,10}(?:\.(?:\d{6}|\d{9}))?:(?: |$)").decode(), re.ASCII)


FTRACE_BEGINS, PERF_BEGINS = _begins(_FTRACE), _begins(_PERF)
FTRACE_LINES = re.compile(rb"^(?:" + _FTRACE + rb"|([^\n]*))$", re.MULTILINE)
PERF_LINES = re.compile(rb"^(?:" + _PERF + rb"|([^\n]*))$", re.MULTILINE)
"""Either matches every line. Groups: comm, first and second id, tgid, seconds, their fraction, event, its text; and the
whole line if it is not an event."""
FTRACE_MARK = re.compile(rb"^(?:# tracer: |" + _FTRACE + rb"$|" + _BUFFER + rb"CPU:\d+ \[)", re.MULTILINE)
PERF_MARK = re.compile(rb"^" + _PERF + rb"$", re.MULTILINE)

LOST = re.compile(
    _BUFFER + rb"(?:CPU:(\d{1,5}) \[LOST (?:(\d{1,18}) )?EVENTS\]|CPU:(\d{1,5}) \[(?:(\d{1,18}) )?EVENTS DROPPED\]|"
    rb"[^\n\[]*\[(\d{1,5})\][^\n\[]*: PERF_RECORD_LOST(?:_SAMPLES)? lost (\d{1,18})\s*)"
)
"""A mark of lost events of one of three programs: CPU and number. tracefs and trace-cmd may omit the number."""
OVERWRITTEN = re.compile(rb"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18}) [^\n]*")
PERF_RECORD = re.compile(rb"[^\n]*: PERF_RECORD_\w+[^\n]*")
CALL_CHAIN = re.compile(rb"\s+[0-9a-f]+ [^\n]+ \([^\n]*\)")
TRACE_CMD_OWN = re.compile(rb"cpus=\d+|version = \d+|CPU \d+ is empty|trace-cmd version [^\n]*")


class Told(IntEnum):
    """The meaning of a kernel event, if it is used here."""

    PAGE_FAULT = 0
    WALK = 1
    REQUESTED = 2
    SPTE_CHANGED = 3
    GUEST_FAULT = 4
    RISCV_EXIT = 5
    UNMAP = 6
    AGE = 7
    TEST_AGE = 8
    SET_SPTE = 9
    UNMAP_PAGE = 10
    SLOT = 11


_X = rb"(?:0x)?([0-9a-f]{1,16})"


def _prints(form: bytes, *fields: bytes) -> re.Pattern[bytes]:
    """An event's text; or its fields by name, as printed by `trace-cmd report -R` and for unformatted events."""
    raw = rb"(?:\w{1,20}=\w{1,20} +){0,4}" + rb" +".join(field + rb"=" + _X for field in fields)
    return re.compile(rb"(?:" + form + rb"|(?:\[FAILED TO PARSE\] )?" + raw + rb"[^\n]*)")


EVENTS: dict[bytes, tuple[Told, re.Pattern[bytes]]] = {
    # Linux 6.2 prefixed vCPU and rip.
    b"kvm_page_fault": (
        Told.PAGE_FAULT,
        _prints(
            rb"(?:vcpu (\d{1,5}) rip 0x[0-9a-f]+ )?address " + _X + rb" error_code (?:0x)?[0-9a-f]+", rb"fault_address"
        ),
    ),
    b"kvm_mmu_pagetable_walk": (Told.WALK, _prints(rb"addr " + _X + rb" pferr [0-9a-f]+[^\n]*", rb"addr")),
    b"kvm_mmu_spte_requested": (
        Told.REQUESTED,
        _prints(rb"gfn " + _X + rb" pfn [0-9a-f]+ level \d+", rb"gfn"),
    ),
    b"kvm_tdp_mmu_spte_changed": (
        Told.SPTE_CHANGED,
        re.compile(rb"as id (\d{1,5}) gfn " + _X + rb" level (\d{1,2}) old_spte " + _X + rb" new_spte " + _X),
    ),
    # arm64: the kernel looks up the slot of each, also of MMIO.
    b"kvm_guest_fault": (
        Told.GUEST_FAULT,
        _prints(rb"ipa " + _X + rb", hsr " + rb"(?:0x)?[0-9a-f]+[^\n]*", rb"ipa"),
    ),
    # riscv: of its exits, the guest page faults; see RISCV_FAULTS.
    b"kvm_exit": (
        Told.RISCV_EXIT,
        re.compile(rb"SEPC:0x[0-9a-f]+, SCAUSE:0x([0-9a-f]{1,16}), STVAL:0x[0-9a-f]+, HTVAL:0x([0-9a-f]{1,16})[^\n]*"),
    ),
    b"kvm_unmap_hva_range": (
        Told.UNMAP,
        _prints(rb"mmu notifier unmap range: " + _X + rb" -- " + _X, rb"start", rb"end"),
    ),
    b"kvm_age_hva": (Told.AGE, _prints(rb"mmu notifier age hva: " + _X + rb" -- " + _X, rb"start", rb"end")),
    b"kvm_test_age_hva": (Told.TEST_AGE, _prints(rb"mmu notifier test age hva: " + _X, rb"hva")),
    b"kvm_set_spte_hva": (Told.SET_SPTE, _prints(rb"mmu notifier set pte hva: " + _X, rb"hva")),
    b"kvm_unmap_hva": (Told.UNMAP_PAGE, _prints(rb"mmu notifier unmap hva: " + _X, rb"hva")),
}
"""By the event's name: its meaning and the pattern of its text.

Groups are the addresses, twice if there are two forms; `kvm_page_fault` has the vCPU before them,
`kvm_tdp_mmu_spte_changed` address space, gfn, level, old and new spte.
"""

MARKERS = frozenset((b"tracing_mark_write", b"print"))
"""Events that print the text that a program wrote to trace_marker."""
SLOT_MARK_BEGINS = re.compile(rb"(?:[\w+/]+: )?SLOT \d+ gpa=")
SLOT_MARK = re.compile(
    rb"(?:[\w+/]+: )?SLOT (\d{1,10}) gpa=(0x[0-9a-f]{1,16}) size=(0x[0-9a-f]{1,16}) hva=(0x[0-9a-f]{1,16})"
    rb"(?: flags=(0x[0-9a-f]{1,8}))?\s*"
)
"""A slot change, as its program wrote it: slot number, gpa, size (0 deletes), hva, flags."""

RISCV_FAULTS = frozenset((0x14, 0x15, 0x17))
"""scause of guest page faults on fetch, load and store. HTVAL is the guest-physical address shifted right by 2 bits."""
STACK = re.compile(rb"[^\n]*: (?:kernel_stack: +)?<stack trace ?>|\s*=> [^\n]*")
"""How tracefs (options/stacktrace) and trace-cmd (-T) print stacks between events."""
SPTE_PRESENT = 1 << 11
"""Set by KVM in every present spte since 5.13, the first release that has the event for them by default."""
SPTE_LARGE = 1 << 7
