"""Slot changes with the kernel's answers: worked out by hand from virt/kvm/kvm_main.c and guest_memfd.c of Linux 6.18.

A kernel 6.18 on x86-64 (shadow paging, one address space, guest_memfd) answered all of them as written, with its own
limits in place of the architecture's. `test_slot_rules.py` plays them on the rules, `kernel_rules.py` on `/dev/kvm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotlookup.architecture import Architecture
from slotlookup.memslots import GUEST_MEMFD, LOG_DIRTY_PAGES, READONLY, USER_SLOTS

PAGE = 4096
M = 1 << 20
HVA = 0x7F00_0000_0000
SECOND = 1 << 16
TOP = 1 << 64


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `second` is KVM_SET_USER_MEMORY_REGION2; `file` is -1 or an index below."""

    number: int
    gpa: int = 0
    size: int = M
    hva: int = HVA
    flags: int = 0
    second: bool = False
    file: int = -1
    offset: int = 0

    def __str__(self) -> str:
        name = f"KVM_SET_USER_MEMORY_REGION{'2' if self.second else ''}"
        tail = f", guest_memfd {self.file} at {self.offset:#x}" if self.second else ""
        return (
            f"{name}(slot {self.number:#x}, gpa {self.gpa:#x}, size {self.size:#x}, hva {self.hva:#x}, "
            f"flags {self.flags:#x}{tail})"
        )


@dataclass(frozen=True, slots=True)
class Close:
    """A guest_memfd is closed."""

    file: int


Step = tuple[Call, str] | Close
"""A call with the errno that refuses it ("" for success), or a file that is closed."""

OWN, FOREIGN, PIPE = range(3)
"""The files of `Call.file`: a guest_memfd of the VM, one of another VM, and a pipe, which is none."""
FILE_BYTES = 4 * M


def private(number: int, gpa: int = 0, size: int = M, file: int = OWN, offset: int = 0, hva: int = HVA) -> Call:
    """A slot with private memory."""
    return Call(number, gpa, size, hva, GUEST_MEMFD, True, file, offset)


def plain_cases(architecture: Architecture) -> Iterator[tuple[str, list[Step]]]:
    """Cases of KVM_SET_USER_MEMORY_REGION, each on a VM without slots."""
    end, most = architecture.hva_limit, architecture.gpa_limit
    beyond = architecture.gpa_errno
    yield (
        "the last hva of user space",
        [(Call(0, hva=end - M), ""), (Call(1, M, hva=end - M + PAGE), "EINVAL"), (Call(1, M, hva=end), "EINVAL")],
    )
    yield (
        "hvas of the kernel",
        [
            (Call(0, hva=1 << 63), "EINVAL"),
            (Call(0, hva=(1 << 63) - M), "EINVAL"),
            (Call(0, hva=TOP - M), "EINVAL"),
            (Call(0, hva=TOP - PAGE), "EINVAL"),
        ],
    )
    yield (
        "a deletion needs an hva of user space, and nothing else of it",
        [
            (Call(0), ""),
            (Call(0, size=0, hva=end + PAGE), "EINVAL"),
            (Call(0, size=0, hva=TOP - PAGE), "EINVAL"),
            (Call(0, size=0, hva=1), "EINVAL"),
            (Call(0, gpa=1, size=0), "EINVAL"),
            (Call(0, size=0, flags=8), "EINVAL"),
            (Call(0, gpa=TOP - PAGE, size=0, hva=end), ""),  # hva + 0 is the limit, and no gpa is too large
            (Call(0, size=0), "EINVAL"),
        ],
    )
    yield (
        "the last gpa",
        [(Call(0, most - M), ""), (Call(1, most), beyond), (Call(1, most - M + PAGE, PAGE), "EEXIST")],
    )
    yield (
        "an overlap is found before the limit of gpas",
        [
            (Call(0, most - M), ""),
            (Call(1, most - PAGE, 2 * PAGE), "EEXIST"),
            (Call(1, most, 2 * PAGE), beyond),
            (Call(0, most - M + PAGE), beyond),  # a move; a slot does not overlap itself
            (Call(0, most - M, flags=LOG_DIRTY_PAGES), ""),
            (Call(0, most - 2 * M, flags=0), ""),
        ],
    )
    yield (
        "gpas that wrap",
        [(Call(0, TOP - M), "EINVAL"), (Call(0, TOP - PAGE, 2 * PAGE), "EINVAL"), (Call(0, 1 << 63), beyond)],
    )
    second = "" if architecture.address_spaces > 1 else "EINVAL"
    yield (
        "address space 1 where there is one",
        [
            (Call(0), ""),
            (Call(SECOND), second),
            (Call(SECOND, size=0), second),
            (Call(SECOND, size=0), "EINVAL"),
            (Call(2 << 16), "EINVAL"),
            (Call(0xFFFF << 16), "EINVAL"),
        ],
    )
    yield (
        "slot ids",
        [
            (Call(USER_SLOTS - 1), ""),
            (Call(USER_SLOTS, M), "EINVAL"),
            (Call(0x7FFF, M), "EINVAL"),
            (Call(0x8000, M), "EINVAL"),
            (Call(0xFFFF, M), "EINVAL"),
        ],
    )
    yield (
        "an overlap, of a neighbour and of all",
        [
            (Call(0, M), ""),
            (Call(1, 2 * M), ""),
            (Call(2, 3 * M - PAGE), "EEXIST"),
            (Call(2, 0, 2 * M), "EEXIST"),
            (Call(2, 0, 16 * M), "EEXIST"),
            (Call(2, M + PAGE, PAGE), "EEXIST"),
            (Call(2, 0), ""),
            (Call(0, 2 * M), "EEXIST"),
            (Call(0, 3 * M - PAGE), "EEXIST"),
            (Call(0, 3 * M), ""),
            (Call(0, 4 * M - PAGE), ""),  # over its own range
        ],
    )
    yield (
        "what a slot cannot change",
        [
            (Call(0, M), ""),
            (Call(0, M), ""),
            (Call(0, M, 2 * M), "EINVAL"),
            (Call(0, M, hva=HVA + PAGE), "EINVAL"),
            (Call(0, M, flags=READONLY), "EINVAL"),
            (Call(0, 4 * M, flags=READONLY), "EINVAL"),
            (Call(0, M, flags=LOG_DIRTY_PAGES), ""),
            (Call(0, 4 * M), ""),
            (Call(1, 8 * M, flags=READONLY | LOG_DIRTY_PAGES), ""),
            (Call(1, 8 * M, flags=READONLY), ""),
            (Call(1, 8 * M), "EINVAL"),
        ],
    )
    yield (
        "values out of order",
        [
            (Call(0, 1), "EINVAL"),
            (Call(0, size=M + 8), "EINVAL"),
            (Call(0, hva=HVA + 2048), "EINVAL"),
            (Call(0, size=(1 << 31) * PAGE), "EINVAL"),
            (Call(0, size=1 << 63), "EINVAL"),
            (Call(0, size=TOP - PAGE), "EINVAL"),
            (Call(0, size=0), "EINVAL"),
            *((Call(0, flags=1 << bit), "EINVAL") for bit in range(3, 32)),
            (Call(0, flags=READONLY | 8), "EINVAL"),
            (Call(0, flags=GUEST_MEMFD), "EINVAL"),  # of the second form only
            (Call(0, size=0, flags=GUEST_MEMFD), "EINVAL"),
        ],
    )


def private_cases(architecture: Architecture) -> Iterator[tuple[str, list[Step]]]:
    """Cases of KVM_SET_USER_MEMORY_REGION2 with guest_memfd."""
    most = architecture.gpa_limit
    beyond = architecture.gpa_errno
    yield (
        "the second form without guest_memfd is as the first",
        [
            (Call(0, second=True), ""),
            (Call(0, second=True, file=PIPE, offset=1), ""),  # the last two do not count
            (Call(1, M - PAGE, second=True), "EEXIST"),
            (Call(0, second=True, flags=LOG_DIRTY_PAGES), ""),
            (Call(0), ""),
            (Call(0, size=0, second=True), ""),
        ],
    )
    yield "a creation", [(private(0), ""), (private(1, M, offset=M), ""), (private(2, 2 * M, 2 * M, offset=2 * M), "")]
    yield (
        "a slot with private memory can only be deleted",
        [
            (private(0), ""),
            (private(0), "EINVAL"),
            (private(0, 4 * M), "EINVAL"),
            (Call(0, second=True), "EINVAL"),  # the flag is dropped
            (Call(0), "EINVAL"),
            (Call(0, 4 * M), "EINVAL"),
            (Call(0, flags=LOG_DIRTY_PAGES), "EINVAL"),
            (Call(0, size=0), ""),
            (private(0), ""),
        ],
    )
    yield (
        "a slot cannot get private memory",
        [(Call(0), ""), (private(0), "EINVAL"), (private(0, 4 * M), "EINVAL"), (Call(0), "")],
    )
    yield (
        "not with LOG_DIRTY_PAGES or READONLY",
        [
            (Call(0, flags=GUEST_MEMFD | LOG_DIRTY_PAGES, second=True, file=OWN), "EINVAL"),
            (Call(0, flags=GUEST_MEMFD | READONLY, second=True, file=OWN), "EINVAL"),
            (Call(0, flags=GUEST_MEMFD | 8, second=True, file=OWN), "EINVAL"),
            (Call(0, size=0, flags=GUEST_MEMFD | READONLY, second=True, file=OWN), "EINVAL"),
        ],
    )
    yield (
        "a range that is bound to another slot",
        [
            (private(0, 0, 2 * M, offset=M), ""),
            (private(1, 8 * M), ""),
            (private(2, 16 * M), "EINVAL"),
            (private(2, 16 * M, PAGE, offset=M), "EINVAL"),
            (private(2, 16 * M, PAGE, offset=3 * M - PAGE), "EINVAL"),
            (private(2, 16 * M, 4 * M), "EINVAL"),
            (private(2, 16 * M, offset=3 * M), ""),
            (Call(0, size=0), ""),
            (private(3, 32 * M, 2 * M, offset=M), ""),
        ],
    )
    yield (
        "offsets",
        [
            (private(0, offset=1), "EINVAL"),
            (private(0, offset=2048), "EINVAL"),
            (private(0, offset=4 * M), "EINVAL"),
            (private(0, offset=3 * M + PAGE), "EINVAL"),
            (private(0, offset=TOP - M), "EINVAL"),
            (private(0, offset=TOP - PAGE), "EINVAL"),
            (private(0, offset=1 << 63), "EINVAL"),
            (private(0, offset=3 * M), ""),
            (private(1, 2 * M, 2 * PAGE, offset=(1 << 63) - 3 * PAGE), "EINVAL"),
            (private(1, 2 * M, 2 * PAGE, offset=(1 << 63) - PAGE), ""),  # the end is negative as a signed number
            (private(2, 4 * M, 2 * PAGE, offset=(1 << 63) - PAGE), "EINVAL"),
            # A deletion looks at the offset too, but not at the file.
            (private(0, size=0, offset=1), "EINVAL"),
            (private(0, size=0, file=PIPE, offset=64 * M), ""),
        ],
    )
    yield (
        "files that are none of the VM's",
        [(private(0, file=FOREIGN), "EINVAL"), (private(0, file=PIPE), "EINVAL"), (private(0, file=-1), "EBADF")],
    )
    yield (
        "a closed file",
        [
            (private(0), ""),
            Close(OWN),
            (private(0), "EINVAL"),
            (private(1, 4 * M), "EBADF"),
            (Call(0, second=True), "EINVAL"),
            (private(1, 4 * M, offset=1), "EINVAL"),
            (private(0, size=0), ""),
            (private(0), "EBADF"),
        ],
    )
    yield (
        "an overlap is found before the file, and the file before the limit of gpas",
        [
            (private(0), ""),
            (private(1, M - PAGE), "EEXIST"),
            (private(1, M - PAGE, file=-1), "EEXIST"),
            (private(1, M - PAGE, file=FOREIGN), "EEXIST"),
            (private(1, most, file=-1), "EBADF"),
            (private(1, most, offset=M), beyond),
            (private(1, M, offset=M), ""),  # what was refused is not bound
        ],
    )
