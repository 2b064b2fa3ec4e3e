"""The recorded host operations, performed on the model: the same process, the same slots, in the same order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from host_recording import Operation, Range, Recording

from slotlookup.memslots import LOG_DIRTY_PAGES
from slotlookup.model.host import Host, ksm, thp, userfault
from slotlookup.model.host.ageing import damon_check, damon_prepare
from slotlookup.model.host.vmas import File
from slotlookup.model.notifier import NotifierKind, NotifierLog
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGE = 4096
MIB = 1 << 20
SLOT = 4 * MIB
CODE, LIST, MMIO = 0x40, 0x100, 0x3FFFFF
"""gfns: the guest's code, the list of addresses that it touches, and the store that ends a touch."""


class Process:
    """The recorded process and its guest. `mapped` are the regions behind slots 1 to 4, `gfn` where these begin."""

    def __init__(self, recording: Recording) -> None:
        self.host = Host(1 << 30)
        self.log = NotifierLog()
        # Shadow paging was recorded. Its faults differ, what they ask of the host does not; these go in batches.
        self.vm = Vm(make_strategy("kvm-5.17"), self.host, paging="ept")
        self.host.notifiers.subscribers.append(self.log)
        slots = {number: (gpa, size, hva) for number, gpa, size, hva in recording.slots}
        self.boot, self.base = slots[0][2], slots[2][2]
        self.host.mmap(slots[0][1], self.boot)
        self.host.mmap(8 * SLOT + 2 * MIB, self.base)
        self.memfd = File(SLOT // PAGE)
        self.host.mmap(SLOT, slots[4][2], file=self.memfd)
        self.mapped = [slots[number][2] for number in (1, 2, 3, 4)]
        self.gfn = [slots[number][0] // PAGE for number in (1, 2, 3, 4)]
        for number, (gpa, size, hva) in slots.items():
            self.vm.set_user_memory_region(number, gpa, size, hva)
        self.vm.start()
        for region in self.mapped:
            self.host.write(region, SLOT // PAGE)
        # Page tables and code.
        self.host.write(self.boot + 0x10 * PAGE, 18)
        self.host.write(self.boot + CODE * PAGE)

    def touch(self, gfns: np.ndarray, write: bool) -> None:
        """Run the guest over a list of pages that the process writes first."""
        pages = -(-len(gfns) * 8 // PAGE)
        self.host.write(self.boot + LIST * PAGE, pages)
        self.vm.access(0, CODE)
        for at in range(pages):
            self.vm.access(0, LIST + at)
            self.vm.access(0, gfns[at * 512 : (at + 1) * 512], write)
        self.vm.access(0, MMIO, True)

    def all(self, write: bool = True) -> None:
        """Touch every page of slots 1 to 4."""
        self.touch(np.concatenate([gfn + np.arange(SLOT // PAGE) for gfn in self.gfn]), write)

    def some(self, region: int, count: int, write: bool, first: int = 0) -> None:
        """Touch some pages of one slot."""
        self.touch(self.gfn[region] + first + np.arange(count), write)

    def fill(self, region: int) -> None:
        """The process writes every page of a region."""
        self.host.write(self.mapped[region], SLOT // PAGE)

    def perform(self, recorded: list[Operation]) -> list[Operation]:
        """Perform every operation; what the notifiers said to each. `recorded` tells the names and their order."""
        steps = self._steps()
        assert [name for name, _ in steps] == [operation.name for operation in recorded]
        performed = []
        nested: dict[str, list[Range]] = {}
        for name, step in steps:
            begin = len(self.log.events)
            step()
            events = self.log.events[begin:]
            starts = [(lo, hi) for kind, lo, hi in events if kind is NotifierKind.INVALIDATE_START]
            aged = sum(kind in (NotifierKind.CLEAR_YOUNG, NotifierKind.TEST_YOUNG) for kind, _, _ in events)
            performed.append(Operation(name, starts, aged))
            nested[name] = starts
            self._after(name)
        return performed

    def _steps(self) -> list[tuple[str, Callable[[], object]]]:
        host, vm, r = self.host, self.vm, self.mapped
        some = self.some
        return [
            ("guest_touch_all", self.all),
            ("madvise_DONTNEED_1page", lambda: host.dontneed(r[0] + 5 * PAGE, PAGE)),
            ("madvise_DONTNEED_64KiB(balloon)", lambda: host.dontneed(r[0] + 16 * PAGE, 65536)),
            ("refault_16", lambda: some(0, 16, True, 16)),
            ("madvise_DONTNEED_slot", lambda: host.dontneed(r[0], SLOT)),
            ("refault_read_zero_page", lambda: some(0, 16, False)),
            ("guest_write_after_zero_page(COW)", lambda: some(0, 16, True)),
            ("mprotect_RO_slot", lambda: host.mprotect(r[1], SLOT, "r")),
            ("guest_read_RO", lambda: some(1, 8, False)),
            ("mprotect_RW_slot", lambda: host.mprotect(r[1], SLOT, "rw")),
            ("guest_write_after_RW", lambda: some(1, 8, True)),
            ("mprotect_NONE_1page", lambda: host.mprotect(r[1] + 9 * PAGE, PAGE, "none")),
            ("mprotect_back_1page", lambda: host.mprotect(r[1] + 9 * PAGE, PAGE, "rw")),
            ("madvise_COLD_slot", lambda: host.cold(r[1], SLOT)),
            ("madvise_FREE_64KiB", lambda: host.free(r[1] + 65536, 65536)),
            ("clear_refs_1(referenced)", lambda: host.clear_refs(1)),
            ("clear_refs_4(softdirty)", lambda: host.clear_refs(4)),
            ("fork", self._fork),
            ("guest_write_after_fork(COW/reuse)", lambda: some(1, 32, True)),
            ("fork_live_child", self._fork_live),
            ("guest_write_while_child_lives(COW)", lambda: some(1, 16, True)),
            ("uffd_register", lambda: userfault.register(host, r[2], SLOT, missing=True, wp=True)),
            ("uffd_writeprotect_64KiB", lambda: userfault.protect(host, r[2], 65536, on=True)),
            ("uffd_un_writeprotect_64KiB", lambda: userfault.protect(host, r[2], 65536, on=False)),
            ("uffd_dontneed_1page", lambda: host.dontneed(r[2] + 40 * PAGE, PAGE)),
            ("uffd_zeropage", lambda: userfault.zeropage(host, r[2] + 40 * PAGE, PAGE)),
            ("uffd_unregister", lambda: userfault.unregister(host, r[2], SLOT)),
            ("memfd_PUNCH_HOLE_64KiB", lambda: host.punch_hole(self.memfd, 16, 16)),
            ("madvise_REMOVE_64KiB", lambda: host.remove(r[3] + 262144, 65536)),
            ("memfd_ftruncate_half", lambda: host.truncate(self.memfd, SLOT // PAGE // 2)),
            ("madvise_HUGEPAGE", lambda: host.advise(r[2], SLOT, hugepage=True)),
            ("madvise_COLLAPSE_2MiB", self._collapse),
            ("guest_touch_after_collapse", lambda: some(2, 512, True)),
            ("madvise_DONTNEED_1page_of_THP(split)", lambda: host.dontneed(r[2] + 7 * PAGE, PAGE)),
            ("madvise_NOHUGEPAGE", lambda: host.advise(r[2], SLOT, hugepage=False)),
            ("madvise_MERGEABLE", lambda: host.advise(r[1], SLOT, mergeable=True)),
            ("ksm_run", lambda: ksm.scan(host, r[1], SLOT // PAGE)),
            ("guest_write_64_after_ksm(unshare)", lambda: some(1, 64, True)),
            ("madvise_UNMERGEABLE", lambda: ksm.unmerge(host, r[1], SLOT)),
            ("madvise_PAGEOUT_1MiB", lambda: host.pageout(r[1], MIB)),
            ("guest_swapin", lambda: some(1, 64, False)),
            ("idle_with_damon", self._damon),
            ("mremap_move_2MiB", lambda: host.mremap(r[2], 2 * MIB, self.base + SLOT * 6)),
            ("munmap_64KiB_in_slot", lambda: host.munmap(r[0] + 65536, 65536)),
            ("munmap_slot3", lambda: host.munmap(r[3], SLOT)),
            ("mmap_FIXED_over_64KiB", lambda: host.mmap(65536, r[0] + 262144)),
            ("KVM_SET_MEM delete slot1", lambda: vm.set_user_memory_region(1, self.gfn[0] * PAGE, 0, r[0])),
            (
                "KVM_SET_MEM log_dirty slot2",
                lambda: vm.set_user_memory_region(2, self.gfn[1] * PAGE, SLOT, r[1], LOG_DIRTY_PAGES),
            ),
            (
                "KVM_SET_MEM move slot2",
                lambda: vm.set_user_memory_region(2, self.gfn[1] * PAGE + (1 << 32), SLOT, r[1], LOG_DIRTY_PAGES),
            ),
        ]

    def _after(self, name: str) -> None:
        """What the recorded program did between one operation and the next."""
        if name == "madvise_DONTNEED_1page":
            self.some(0, 1, True, 5)
        elif name == "guest_write_after_zero_page(COW)":
            self.fill(0)
            self.all()
        elif name in ("mprotect_back_1page", "madvise_FREE_64KiB", "clear_refs_4(softdirty)"):
            self.all()
        elif name in ("guest_write_after_fork(COW/reuse)", "guest_swapin", "madvise_NOHUGEPAGE"):
            self.all()
            if name == "madvise_NOHUGEPAGE":
                # Every page of slot 2 is given one and the same content.
                ksm.set_content(self.host, self.mapped[1], np.full(SLOT // PAGE, 0x5A))
                self.all(False)
        elif name == "guest_write_while_child_lives(COW)":
            self.child.exit()
            self.all()
        elif name == "uffd_unregister":
            self.fill(2)
            self.all()
        elif name == "memfd_ftruncate_half":
            self.host.truncate(self.memfd, SLOT // PAGE)
            self.all()
        elif name == "ksm_run":
            self.some(1, 64, False)
        elif name == "madvise_UNMERGEABLE":
            self.all()

    def _fork(self) -> None:
        self.host.fork().exit()

    def _fork_live(self) -> None:
        self.child = self.host.fork()

    def _collapse(self) -> None:
        thp.collapse(self.host, self.mapped[2])
        # khugepaged took the other half meanwhile.
        thp.khugepaged(self.host, 8)

    def _damon(self) -> None:
        draw = np.random.Generator(np.random.PCG64(0))
        sampled = damon_prepare(self.host, self.base, 3 * SLOT // PAGE, 64, draw)
        self.all(False)
        damon_check(self.host, sampled)
