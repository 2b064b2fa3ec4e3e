"""A small VM under random operations, and the properties that must hold whenever no operation is in progress.

The oracle records independently which guest pages were written since their log was last read, and which were used since
their age was last queried. It reads the model's tables but shares none of its code.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slotlookup.memslots import LOG_DIRTY_PAGES, READONLY
from slotlookup.model.host import Host, bits, ksm, thp, userfault
from slotlookup.model.host.ageing import idle_scan
from slotlookup.model.host.reclaim import Watermarks
from slotlookup.model.host.space import Child
from slotlookup.model.host.vmas import File
from slotlookup.model.mmu.sptes import DIRTY, LEVEL_MASK, MAPS, WRITABLE
from slotlookup.model.notifier import NotifierKind, NotifierLog
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGE = 4096
FRAMES = 2600
BLOCK_PAGES = 512
PAGES = 2 * BLOCK_PAGES
ALIAS_GFN = 1 << 16
FILE_GFN = 1 << 17


class Checked(NotifierLog):
    """A subscriber that looks, at every announcement, whether the guest can still reach a frame that is free."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def invalidate_range_start(self, start: int, end: int) -> None:
        super().invalidate_range_start(start, end)
        self.world.check_frames()


class World:
    """Slot 0 and its alias slot 1 over anonymous memory, slot 2 over a file; two vCPUs."""

    def __init__(self, paging: str = "ept", seed: int = 0, logged: bool = False) -> None:
        self.host = Host(FRAMES * PAGE, Watermarks(16, 64, 32))
        self.vm = Vm(make_strategy("kvm-5.17"), self.host, paging=paging, vcpus=2)
        self.log = Checked(self)
        self.draw = np.random.Generator(np.random.PCG64(seed))
        self.hva = self.host.mmap(PAGES * PAGE)
        self.file = File(64)
        self.file_hva = self.host.mmap(64 * PAGE, file=self.file)
        flags = LOG_DIRTY_PAGES if logged else 0
        self.vm.set_user_memory_region(0, 0, PAGES * PAGE, self.hva, flags)
        self.vm.set_user_memory_region(1, ALIAS_GFN * PAGE, 8 * PAGE, self.hva, flags)
        self.vm.set_user_memory_region(2, FILE_GFN * PAGE, 64 * PAGE, self.file_hva, flags)
        self.host.notifiers.subscribers.append(self.log)
        self.vm.start()
        if self.vm.paging.shadow:
            # The first pages again, at another guest-virtual place.
            self.vm.load_space(1, self.vm.add_root([(0, 0, PAGES), (1 << 14, 0, PAGES), (FILE_GFN, FILE_GFN, 64)]))
        self._release = self.host.frames.release
        setattr(self.host.frames, "release", self._checked_release)  # noqa: B010
        self.written: set[int] = set()
        self.used: set[int] = set()
        self.child: Child | None = None

    def _checked_release(self, pfns: np.ndarray) -> None:
        """Frames become free only when the guest can reach none of them."""
        table = self.vm.sptes.table
        reached = table.pfn[table.flags & MAPS != 0]
        assert not np.isin(reached, pfns[pfns != bits.ZERO_PFN]).any(), "a frame is freed that the guest reaches"
        self._release(pfns)

    # What may happen

    def access(self) -> None:
        """A batch of guest accesses, near and far, in slots."""
        count = int(self.draw.integers(1, 48))
        where = self.draw.integers(0, 10, count)
        far, near = self.draw.integers(0, PAGES, count), self.draw.integers(0, 8, count)
        gfns = np.where(where < 6, far, near)
        gfns = np.where(where == 8, FILE_GFN + near, gfns)
        if not self.vm.paging.shadow:
            gfns = np.where(where == 9, ALIAS_GFN + near, gfns)
        writes = self.draw.integers(0, 2, count) == 1
        self.touch(self.draw.integers(0, 2, count), gfns, writes)

    def touch(self, vcpus: np.ndarray | int, gfns: np.ndarray, writes: np.ndarray | bool) -> None:
        """Guest accesses, entered into the books."""
        self.vm.access(vcpus, gfns, writes)
        way = np.broadcast_to(np.asarray(writes), np.shape(gfns))
        self.used.update(np.asarray(gfns).tolist())
        self.written.update(np.asarray(gfns)[way].tolist())

    def _place(self, most: int = 64) -> tuple[int, int]:
        first = int(self.draw.integers(0, PAGES))
        return self.hva + first * PAGE, min(int(self.draw.integers(1, most)), PAGES - first) * PAGE

    def dontneed(self) -> None:
        """A balloon."""
        self.host.dontneed(*self._place())

    def free(self) -> None:
        """MADV_FREE."""
        self.host.free(*self._place())

    def protect(self) -> None:
        """Take the right to write, and give it back."""
        place = self._place()
        self.host.mprotect(*place, "r")
        self.touch(0, np.array([(place[0] - self.hva) // PAGE]), False)
        self.host.mprotect(*place, "rw")

    def remap(self) -> None:
        """Unmap a part and map it again."""
        hva, size = self._place()
        self.host.munmap(hva, size)
        self.host.mmap(size, hva)

    def fork(self) -> None:
        """A child comes, or goes."""
        if self.child is None:
            self.child = self.host.fork()
        else:
            self.child.exit()
            self.child = None

    def reclaim(self) -> None:
        """Pressure."""
        if self.draw.integers(0, 4) == 0:
            self.host.pageout(*self._place(16))
        self.host.marks = Watermarks(1, self.host.frames.free + 24, 64)
        self.host.reclaim()
        self.host.marks = Watermarks(16, 64, 32)

    def huge(self) -> None:
        """A collapse, or a touch that fills a huge page."""
        block = int(self.draw.integers(0, 2))
        self.host.advise(self.hva + block * (2 << 20), 2 << 20, hugepage=bool(self.draw.integers(0, 2)))
        thp.collapse(self.host, self.hva + block * (2 << 20))
        self.touch(0, np.array([block * BLOCK_PAGES + 9]), True)

    def merge(self) -> None:
        """KSM finds pages of few contents."""
        hva, size = self.hva + 64 * PAGE, 12 * PAGE
        self.host.advise(hva, size, mergeable=True)
        ksm.set_content(self.host, hva, self.draw.integers(1, 3, 12))
        ksm.scan(self.host, hva, 12)
        if self.draw.integers(0, 2):
            ksm.unmerge(self.host, hva, size)

    def userfault(self) -> None:
        """Write protection by a monitor, lifted by a write or by its end."""
        hva, size = self._place(16)
        userfault.register(self.host, hva, size, wp=True)
        userfault.protect(self.host, hva, size, on=True)
        self.touch(0, np.array([(hva - self.hva) // PAGE]), True)
        userfault.unregister(self.host, hva, size)

    def track(self) -> None:
        """Soft-dirty bits and NUMA hints."""
        self.host.clear_refs(4)
        self.host.numa_scan(*self._place())

    def punch(self) -> None:
        """A hole in the file."""
        self.host.punch_hole(self.file, int(self.draw.integers(0, 60)), 4)

    def move(self) -> None:
        """Slot 1 goes and comes back."""
        flags = int(self.vm.slots.flags[1])
        self.vm.set_user_memory_region(1, ALIAS_GFN * PAGE, 0, self.hva)
        self.vm.set_user_memory_region(1, ALIAS_GFN * PAGE, 8 * PAGE, self.hva, flags)

    def age(self) -> None:
        """All pages are asked for their age."""
        idle_scan(self.host, self.hva, PAGES)
        self.used.clear()

    OPERATIONS: tuple[Callable[[World], None], ...] = (
        access, dontneed, free, protect, remap, fork, reclaim, huge, merge, userfault, track, punch,
        move, age,
    )  # fmt: skip

    def churn(self, steps: int, checked: bool = True) -> None:
        """Random operations, each between some accesses and a check."""
        for _ in range(steps):
            operation = World.OPERATIONS[int(self.draw.integers(0, len(World.OPERATIONS)))]
            self.access()
            operation(self)
            if checked:
                self.check()

    # What must be true

    def mapped(self) -> list[tuple[int, int, int, int, int]]:
        """Everything that the guest can reach: (table, entry, gfn, flags, pfn)."""
        table = self.vm.sptes.table
        found = []
        for space in range(table.spaces):
            for first, start in zip(*table.existing(space), strict=True):
                for at in np.flatnonzero(table.flags[start : start + BLOCK_PAGES] & MAPS).tolist():
                    entry, index = int(first) + at, int(start) + at
                    gfn = int(self.vm.mmu.translate(space, np.array([entry]))[0])
                    found.append((space, entry, gfn, int(table.flags[index]), int(table.pfn[index])))
        return found

    def check_frames(self) -> None:
        """No spte leads to a frame that is free."""
        refs = self.host.frames.refs
        pfn = self.vm.sptes.table.pfn[self.vm.sptes.table.flags & MAPS != 0]
        assert (refs[pfn] > 0).all(), "the guest reaches a frame that is free"

    def check(self) -> None:
        """All of it, at rest."""
        self.check_frames()
        self._check_sptes()
        self._check_host()
        self._check_counters()
        self._check_truth()

    def _check_sptes(self) -> None:
        pages, vm = self.host.pages, self.vm
        levels: dict[tuple[int, int], int] = {}
        chained = 0
        for space, entry, gfn, flags, pfn in self.mapped():
            number = next((s for s in vm.memslots if s.base_gfn <= gfn < s.end_gfn and s.as_id == 0), None)
            assert number is not None, f"gfn {gfn:#x} is mapped and in no slot"
            index = pages.find_one(0, (number.userspace_addr >> 12) + gfn - number.base_gfn)
            pte = int(pages.pte[index])
            assert pte & bits.PRESENT and int(pages.num[index]) == pfn, f"gfn {gfn:#x} maps a page that the host took"
            assert not pte & bits.NUMA, f"gfn {gfn:#x} is mapped although a NUMA hint waits for its access"
            if flags & WRITABLE:
                assert pte & bits.WRITE and pages.vma[index] & bits.VM_WRITE, f"gfn {gfn:#x} is writable, its page not"
                assert not number.flags & READONLY
                alone = pages.vma[index] & bits.VM_SHARED or self.host.frames.refs[pfn] == 1
                assert alone, f"gfn {gfn:#x} is writable, and a child reads its page too"
                logged = not number.flags & LOG_DIRTY_PAGES or vm.dirty[number.number][gfn - number.base_gfn]
                assert logged, f"gfn {gfn:#x} may be written without the log's knowledge"
            if flags & LEVEL_MASK:
                levels[space, entry & ~511] = levels.get((space, entry & ~511), 0) + 1
            chained += 1
        assert all(count == 512 for count in levels.values()), "a huge spte is mapped in part"
        if vm.paging.shadow:
            held = int(np.count_nonzero(vm.sptes.table.gfn >= 0))
            assert held == chained, f"{held} entries are on chains, {chained} map something"

    def _check_host(self) -> None:
        frames, pages = self.host.frames, self.host.pages
        present = pages.pte & bits.PRESENT != 0
        refs = np.bincount(pages.num[present], minlength=frames.total)
        refs[self.file.pfns[self.file.pfns >= 0]] += 1
        for child in self.host.children:
            np.add.at(refs, child.pfns, 1)
        refs[bits.ZERO_PFN] = 1
        assert (refs == frames.refs).all(), "references and page tables disagree"
        cached = int(np.count_nonzero((frames.flags & bits.SWAP_CACHE != 0) & (frames.refs == 0)))
        used = int(np.count_nonzero(frames.refs > 0))
        assert used + cached + frames.free == frames.total, "a frame is lost or twice there"
        slots = pages.num[pages.pte & bits.SWAP != 0]
        assert len(np.unique(slots)) == len(slots)
        assert len(slots) + frames.free_slots == len(frames.swap_frame), "a swap slot is lost or twice there"
        listed = frames.flags & bits.LISTED != 0
        assert int(np.count_nonzero(listed)) == sum(frames.counts.values()), "the lists' lengths are wrong"

    def _check_counters(self) -> None:
        vm, state = self.vm, self.vm.notifier.state
        assert state.in_progress == 0, "an invalidation never ended"
        guest = vm.counters
        known = guest.faults + guest.retries + guest.mmio + guest.readonly_writes
        assert guest.exits == known, "exits and their causes disagree"
        kinds = [kind for kind, _, _ in self.log.events]
        assert kinds.count(NotifierKind.INVALIDATE_START) == kinds.count(NotifierKind.INVALIDATE_END)

    def _check_truth(self) -> None:
        for slot in self.vm.memslots:
            if slot.flags & LOG_DIRTY_PAGES and slot.number != 1:
                log = self.vm.dirty[slot.number]
                missing = [g for g in self.written if slot.base_gfn <= g < slot.end_gfn and not log[g - slot.base_gfn]]
                assert not missing, f"gfn {missing[0]:#x} was written and is in no log"


def check_written_pages_stay(world: World) -> None:
    """A page that MADV_FREE offered and the guest wrote again is kept by reclaim."""
    host, gfns = world.host, np.arange(100, 116)
    place = (world.hva + 100 * PAGE, 16 * PAGE)
    world.touch(0, gfns, True)
    host.free(*place)
    world.touch(0, gfns[:8], True)
    host.pageout(*place)
    index = host.pages.find(0, (world.hva >> 12) + gfns)
    assert (host.pages.pte[index[:8]] & bits.SWAP != 0).all(), "a write after MADV_FREE is lost"
    assert (host.pages.pte[index[8:]] == 0).all(), "what nobody wrote again may go"


def check_dirty_reaches_frames(world: World) -> None:
    """What the hardware noted as written is known to the host once the spte is gone."""
    gfns = np.arange(200, 208)
    world.touch(0, gfns, True)
    index = world.host.pages.find(0, (world.hva >> 12) + gfns)
    pfns = world.host.pages.num[index]
    world.host.frames.flags[pfns] &= ~np.uint8(bits.FRAME_DIRTY)
    assert (world.vm.sptes.table.flags[world.vm.sptes.table.find(0, gfns)] & DIRTY != 0).all()
    world.host.mprotect(world.hva + 200 * PAGE, 8 * PAGE, "r")
    assert (world.host.frames.flags[pfns] & bits.FRAME_DIRTY != 0).all(), "a dirty bit is lost in a zap"


def check_ages(world: World) -> None:
    """A used page is young until it is asked with forgetting, once; a zap hands its age to the frame."""
    notifiers, gfns = world.host.notifiers, np.arange(300, 310)
    pages = (world.hva >> 12) + gfns
    world.touch(0, gfns, True)
    world.host.clear_refs(1)
    assert notifiers.test_young(pages).all() and notifiers.test_young(pages).all(), "asking made it old"
    assert notifiers.clear_young(pages, flush=True).all(), "a used page is called old"
    assert not notifiers.clear_young(pages, flush=True).any(), "an age was not forgotten"
    world.touch(0, gfns[:5], False)
    assert notifiers.clear_young(pages, flush=False).tolist() == [True] * 5 + [False] * 5
    world.touch(0, gfns, False)
    pfns = world.host.pages.num[world.host.pages.find(0, pages)]
    world.host.frames.flags[pfns] &= ~np.uint8(bits.REFERENCED)
    world.host.mprotect(world.hva + 300 * PAGE, 10 * PAGE, "r")
    assert (world.host.frames.flags[pfns] & bits.REFERENCED != 0).all(), "an age is lost in a zap"


def check_logs(world: World) -> None:
    """A dirty log, read now and then, tells every write exactly once; of a page written in between, again."""
    gfns = np.arange(400, 420)
    for _ in range(3):
        world.vm.get_dirty_log(0)
        world.written.clear()
        world.touch(0, gfns, True)
        world.touch(1, gfns[::2], True)
        log = world.vm.get_dirty_log(0)
        assert set(np.flatnonzero(log).tolist()) == set(gfns.tolist()), "the log and the writes disagree"
        world.written.clear()
        world.check()


def check_balloon(world: World) -> None:
    """What the balloon takes is out of reach before it is free."""
    world.touch(0, np.arange(32), True)
    world.host.dontneed(world.hva + 4 * PAGE, 8 * PAGE)
    world.check()


def check_deletion(world: World) -> None:
    """A slot that goes takes its sptes along."""
    world.touch(0, ALIAS_GFN + np.arange(8), True)
    world.vm.set_user_memory_region(1, ALIAS_GFN * PAGE, 0, world.hva)
    world.check()


def check_whole_huge(world: World) -> None:
    """An invalidation of one page takes all of the huge spte that holds it."""
    world.host.advise(world.hva, 2 << 20, hugepage=True)
    world.touch(0, np.array([3]), True)
    assert len(world.mapped()) == BLOCK_PAGES
    with world.host.invalidating(world.hva + 5 * PAGE, world.hva + 6 * PAGE):
        world.check_frames()
    world.check()


def check_fork(world: World) -> None:
    """A page that a child reads is copied before the guest writes it."""
    world.touch(0, np.arange(16), True)
    world.child = world.host.fork()
    world.touch(0, np.arange(16), True)
    world.check()
    assert world.host.counters.cow == 16


def check_chains(world: World) -> None:
    """What is unmapped leaves the chain of its gfn (shadow paging)."""
    world.touch(np.array([0, 1, 1]), np.array([7, 7, (1 << 14) + 7]), True)
    assert len(world.vm.sptes.entries(0, np.array([7]))[0]) == 3
    world.host.dontneed(world.hva + 7 * PAGE, PAGE)
    world.check()
