"""The model against a real kernel: short cases of host operations, each compared line by line.

Recorded on Linux 6.18 with KVM on shadow paging; the process's own heap, stack and libraries are left out.
"""

from __future__ import annotations

import lzma

import pytest
from host_cases import Case, Performer, read_cases
from host_recording import DATA

from slotlookup.model.host import Host
from slotlookup.model.host.space import AddressSpace
from slotlookup.model.host.vmas import File
from slotlookup.model.notifier import NotifierKind, NotifierLog


def recorded() -> list[Case]:
    with lzma.open(DATA / "host-cases.trace.xz", "rt") as file:
        return read_cases(file)


CASES = {case.name: case for case in recorded()}


def test_the_recording_is_read_whole() -> None:
    assert len(CASES) == 40
    # As counted with grep and awk.
    assert sum(len(case.operations) for case in CASES.values()) == 178
    punched = CASES["memfd_punch_two_mappings"]
    slots, first = punched.slots, punched.operations[0]
    assert first.name == "punch F 16 16"
    assert first.unmapped == [(slots[s][2] + (16 << 12), slots[s][2] + (32 << 12)) for s in "FE"]


@pytest.mark.parametrize("name", CASES)
def test_every_operation_announces_what_the_kernel_announced(name: str) -> None:
    performer = Performer(CASES[name])
    for operation in CASES[name].operations:
        assert performer.perform(operation.name) == operation.unmapped, operation.name


def test_a_missed_announcement_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AddressSpace, "split_huge", lambda self, page: None)
    case = CASES["mprot_two_huge"]
    performer = Performer(case)
    assert any(performer.perform(operation.name) != operation.unmapped for operation in case.operations)


def test_a_huge_page_that_a_child_has_in_part_is_copied() -> None:
    """Recorded too (fork_huge_child_writes): after a child wrote 16 pages, its parent still copies these and others."""
    host, log = Host(64 << 20), NotifierLog()
    host.notifiers.subscribers.append(log)
    hva = host.mmap(4 << 20)
    host.advise(hva, 4 << 20, hugepage=True)
    host.write(hva, 512)
    child = host.fork()
    child.write(hva, 16)
    log.events.clear()
    host.write(hva, 32)
    starts = [(low, high) for kind, low, high in log.events if kind is NotifierKind.INVALIDATE_START]
    pages = [(hva + (page << 12), hva + (page + 1 << 12)) for page in range(32)]
    assert starts == [(hva, hva + (2 << 20)), *pages]


def test_memory_that_children_do_not_get_is_not_announced_by_fork() -> None:
    """As with QEMU, which sets MADV_DONTFORK on all guest memory, and with memory that is wiped or shared."""
    host, log = Host(64 << 20), NotifierLog()
    host.notifiers.subscribers.append(log)
    size = 1 << 20
    kept, wiped, plain = (host.mmap(size) for _ in range(3))
    for hva in (kept, wiped, plain, host.mmap(size, file=File(size >> 12))):
        host.write(hva, size >> 12)
    host.dontfork(kept, size)
    host.wipeonfork(wiped, size)
    log.events.clear()
    child = host.fork()
    assert [(low, high) for kind, low, high in log.events if kind is NotifierKind.INVALIDATE_START] == [
        (plain, plain + size)
    ]
    log.events.clear()
    child.write(plain, 4)
    host.write(kept, 8)
    host.write(wiped, 8)
    host.write(plain, 8)
    copied = [low for kind, low, _ in log.events if kind is NotifierKind.INVALIDATE_START]
    assert copied == [plain + (page << 12) for page in range(4, 8)], "the child's own copies leave the parent's alone"
    child.exit()
