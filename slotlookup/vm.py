"""A VM in closed loop: guest accesses, host memory management and slot changes ask a strategy, and its answers decide.

A guest access that finds no spte faults: the vCPU's slot is looked up by gfn, the host's page behind it is resolved, an
spte is installed. Whatever the host takes away comes back as notifier visits by hva. Every question is recorded, so
that a run leaves a trace that any other strategy can answer.

Accesses are taken in batches. A batch has exactly the outcome of its accesses one at a time: those that fault in ways
that concern their own page only are carried out together, and the batch is cut in front of any other.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from slotlookup.address import HOLE
from slotlookup.errors import BrokenStrategy, UsageError
from slotlookup.host import Host, bits
from slotlookup.host.faults import Kind, allocates, classify, get_page, resolve
from slotlookup.memslots import (
    ADDRESS_SPACES,
    LOG_DIRTY_PAGES,
    READONLY,
    ChangeKind,
    Memslot,
    Memslots,
    SlotChange,
)
from slotlookup.mmu.settings import Era, Paging, find_era, find_paging
from slotlookup.mmu.slot_table import SlotTable
from slotlookup.mmu.sptes import MAPS, PRESENT, TRACKED, WRITABLE, Sptes
from slotlookup.mmu.subscriber import NO_CHANGES, KvmNotifier
from slotlookup.recorder import Recorder
from slotlookup.strategy import Strategy
from slotlookup.stream import GfnStream, Timeline, one_segment
from slotlookup.trace import Trace

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Vcpus = npt.NDArray[np.uint16]

WINDOW = 1 << 16
"""Accesses taken at once, at most."""
_SMALLEST_WINDOW = 256
_GROUP = 8
"""PTE_PREFETCH_NUM: sptes of the aligned group in which a shadow-paging fault maps neighbours."""


@dataclass
class VmCounters:
    """What the guest's accesses cost."""

    accesses: int = 0
    exits: int = 0
    """Every time the guest was left: faults, their retries, MMIO."""
    faults: int = 0
    retries: int = 0
    """Faults overtaken by an invalidation, often one that their own copy of the page caused."""
    installed: int = 0
    prefetched: int = 0
    tracked: int = 0
    """Faults on sptes that were kept to notice the access."""
    mmio: int = 0
    mmio_known: int = 0
    """MMIO exits that needed no lookup, since an spte remembered the hole."""
    readonly_writes: int = 0
    bad: int = 0
    logged: int = 0
    """Pages entered into dirty logs."""


class Vm:
    """One VM on a host, and the strategy that finds its slots."""

    def __init__(
        self,
        strategy: Strategy,
        host: Host,
        *,
        paging: Paging | str = "ept",
        era: Era | str = "6.18",
        vcpus: int = 1,
        limit: int | None = None,
    ) -> None:
        """`strategy` holds no slots yet. `limit` is the number of events to record, None for all."""
        self.strategy = strategy
        self.host = host
        self.paging = find_paging(paging) if isinstance(paging, str) else paging
        self.era = find_era(era) if isinstance(era, str) else era
        self.memslots = Memslots()
        self.slots = SlotTable()
        self.recorder = Recorder(limit)
        self.sptes = Sptes(self.paging, host.frames, ADDRESS_SPACES)
        self.notifier = KvmNotifier(strategy, self.slots, self.sptes, self.era, self.recorder)
        host.notifiers.subscribers.append(self.notifier)
        self.counters = VmCounters()
        self.dirty: dict[int, Bools] = {}
        self._start: tuple[Memslot, ...] = ()
        self._started = False
        self._space_of = np.zeros(vcpus, dtype=np.int64)
        self._known_holes: set[tuple[int, int]] = set()

    # Slots

    def set_user_memory_region(self, number: int, gpa: int, size: int, hva: int, flags: int = 0) -> SlotChange | None:
        """The ioctl: bytes, as KVM takes them. None where nothing changes. Raises RegionError."""
        change = self.memslots.set_user_memory_region(number, gpa, size, hva, flags)
        if change is None:
            return None
        if self._started:
            self.recorder.call(number, gpa, size, hva, flags)
        kind, slot = change.kind, change.slot
        old_flags = int(self.slots.flags[slot.number])
        if kind in (ChangeKind.DELETE, ChangeKind.MOVE):
            if self.era.zap_all:
                self.sptes.zap_all()
            else:
                base = int(self.slots.base[slot.number])
                self.sptes.zap_gfns(slot.as_id, base, base + slot.npages)
        self.strategy.apply(change)
        self.slots.apply(change)
        self._known_holes.clear()
        if kind is ChangeKind.DELETE or not slot.flags & LOG_DIRTY_PAGES:
            self.dirty.pop(slot.number, None)
        elif kind is ChangeKind.CREATE or not old_flags & LOG_DIRTY_PAGES:
            self.dirty[slot.number] = np.zeros(slot.npages, dtype=np.bool_)
            gfns = self.sptes.mapped_gfns(slot.as_id, slot.base_gfn, slot.end_gfn)
            self.sptes.write_protect(slot.as_id, gfns)
        return change

    def start(self) -> None:
        """The slots so far are those that the trace starts with; record from here on."""
        self._start = tuple(self.memslots)
        self._started = True
        self.recorder.clear()

    def get_dirty_log(self, number: int) -> Bools:
        """KVM_GET_DIRTY_LOG: which pages of a slot were written since the last call; they are protected again."""
        if number not in self.dirty:
            raise UsageError(f"slot {number} has no dirty log; set LOG_DIRTY_PAGES on it")
        log = self.dirty[number].copy()
        self.dirty[number][:] = False
        pages = np.flatnonzero(log)
        self.sptes.write_protect(number >> 16, self.slots.base[number] + pages)
        return log

    # Guest

    def load_space(self, vcpu: int, space: int) -> None:
        """Let a vCPU run in a table: an address space (1 is SMM), or for shadow paging a root."""
        if not 0 <= space < self.sptes.table.spaces:
            raise UsageError(f"there is no table {space}; there are {self.sptes.table.spaces}")
        self._space_of[vcpu] = space

    def access(self, vcpus: npt.ArrayLike, gfns: npt.ArrayLike, writes: npt.ArrayLike = False) -> None:
        """Guest accesses, in order: who, which page, and whether it writes. Scalars stand for all."""
        page = np.atleast_1d(np.asarray(gfns, dtype=np.int64))
        who = np.broadcast_to(np.asarray(vcpus, dtype=np.uint16), page.shape)
        write = np.broadcast_to(np.asarray(writes, dtype=np.bool_), page.shape)
        at, window = 0, WINDOW
        while at < len(page):
            part = slice(at, min(at + window, len(page)))
            done = self._some(who[part], page[part], write[part])
            whole = done == part.stop - part.start
            window = min(WINDOW, 2 * window) if whole else max(_SMALLEST_WINDOW, min(WINDOW, 2 * done))
            at += done
        self.counters.accesses += len(page)

    def _some(self, vcpus: Vcpus, gfns: Ints, writes: Bools) -> int:
        """Carry out accesses from the front, as many as can be taken together; how many (0: one got ahead a step)."""
        space = self._spaces(vcpus)
        index = self.sptes.table.find(space, gfns)
        missed = np.flatnonzero(self.sptes.missing(index, writes))
        if not len(missed):
            self.sptes.mark(index, writes)
            return len(gfns)
        spaces = np.broadcast_to(np.asarray(space, dtype=np.int64), gfns.shape)
        one_space = missed[spaces[missed] == spaces[missed[0]]]
        end = len(gfns) if len(one_space) == len(missed) else int(missed[np.argmax(spaces[missed] != spaces[missed[0]])])
        missed = one_space[one_space < end]
        which = int(spaces[missed[0]])
        plan = _Plan(self, which, missed, gfns[missed], writes[missed])
        cut = min(end, plan.cut)
        if cut > int(missed[0]):
            plan.mark_copied(index[:cut], writes)
            plan.carry_out(vcpus, cut)
            index = self.sptes.table.find(space if isinstance(space, int) else space[:cut], gfns[:cut])
            there = self.sptes.table.flags[index] & PRESENT != 0
            self.sptes.mark(index[there], writes[:cut][there])
            return cut
        first = int(missed[0])
        if first:
            self.sptes.mark(index[:first], writes[:first])
            return first
        return self._one(int(vcpus[0]), which, int(gfns[0]), bool(writes[0]))

    def _one(self, vcpu: int, space: int, gfn: int, write: bool) -> int:
        """One fault that needs more than its own page: 1 where the access is over, 0 where it must be tried again."""
        as_id, host, counters = space, self.host, self.counters
        number = int(self.slots.numbers(as_id, np.array([gfn]))[0])
        page = int(self.slots.hva_pages(np.array([number]), np.array([gfn]))[0])
        index, way = np.array([host.pages.find_one(0, page)]), np.array([write])
        kind = classify(host, index, way)
        if host.spare <= 0 and (kind[0] == Kind.HARD or allocates(kind)[0]):
            # kswapd was quicker than the fault, which finds the page as reclaim left it.
            host.reclaim()
            return 0
        self._ask(np.array([gfn]), np.array([vcpu], dtype=np.uint16), as_id, np.array([number]))
        counters.exits += 1
        if self.slots.flags[number] & READONLY and write:
            counters.readonly_writes += 1
            return 1
        counters.faults += 1
        if self.sptes.retrack(space, gfn, write):
            counters.tracked += 1
            self.sptes.mark(self.sptes.table.find(space, np.array([gfn])), way)
            return 1
        snapshot = self.notifier.state.seq
        got = get_page(host, page, write)
        if got is None:
            counters.bad += 1
            return 1
        pfn, writable = got
        if self.notifier.state.overtaken(snapshot, gfn):
            counters.retries += 1
            counters.faults -= 1
            return 0
        self._map(space, as_id, gfn, number, page, pfn, writable, write)
        return 1

    def _map(
        self, space: int, as_id: int, gfn: int, number: int, page: int, pfn: Ints, writable: Bools, write: bool
    ) -> None:
        """Install what a fault resolved, as large as host page and slot allow, and let the access pass."""
        table = self.sptes.table
        level = self._level(number, gfn, page)
        if level > 1:
            span = 512 if level == 2 else 512 * 512
            first, host_first = gfn & -span, page & -span
            index = self.host.pages.indices(0, host_first, host_first + span)
            pfns = self.host.pages.num[index].astype(np.int64)
            self.sptes.install_huge(space, first, first, level, pfns, bool(writable[0]), as_id)
        else:
            table.ensure(space, gfn, gfn + 1)
            self._install(number, table.find(space, np.array([gfn])), np.array([gfn]), pfn, writable, np.array([write]))
        self.counters.installed += 1
        self.sptes.mark(table.find(space, np.array([gfn])), np.array([write]))

    def _install(self, number: npt.ArrayLike, index: Ints, gfns: Ints, pfns: Ints, writable: Bools, writes: Bools) -> None:
        """Install 4 KiB sptes under the rules of their slots: read-only ones, and those with a dirty log."""
        flags = self.slots.flags[number]
        may = writable & (flags & READONLY == 0) & (writes | (flags & LOG_DIRTY_PAGES == 0))
        as_id = int(np.atleast_1d(number)[0]) >> 16
        self.sptes.install(index, pfns, may, gfns, as_id)
        logged = may & (flags & LOG_DIRTY_PAGES != 0)
        if logged.any():
            numbers = np.broadcast_to(np.asarray(number), gfns.shape)
            for one in np.unique(numbers[logged]).tolist():
                pages = gfns[logged & (numbers == one)] - self.slots.base[one]
                self.counters.logged += int(np.count_nonzero(~self.dirty[one][pages]))
                self.dirty[one][pages] = True

    def _level(self, number: int, gfn: int, page: int) -> int:
        """The largest level at which slot, alignment and host page allow a gfn to be mapped."""
        slots = self.slots
        if slots.flags[number] & LOG_DIRTY_PAGES or not self.host.is_huge(page):
            return 1
        best = 1
        for level, span in ((2, 512), (3, 512 * 512)):
            first = gfn & -span
            fits = first >= slots.base[number] and first + span <= slots.base[number] + slots.npages[number]
            if level > self.paging.max_level or (gfn ^ page) & (span - 1) or not fits:
                break
            if level == 3 and not self.host.is_giant(page):
                break
            best = level
        return best

    def _spaces(self, vcpus: Vcpus) -> int | Ints:
        """The table of each access; one number where all vCPUs run in the same."""
        first = int(self._space_of[0])
        return first if (self._space_of == first).all() else self._space_of[vcpus]

    def _ask(self, gfns: Ints, vcpus: Vcpus, as_id: int, expected: Ints) -> None:
        """Look gfns up, and record it. Raises BrokenStrategy where an answer is wrong."""
        self.recorder.lookups(gfns, vcpus, as_id)
        if len(gfns) == 1:
            found = np.array([self.strategy.lookup_gfn(int(gfns[0]), as_id, int(vcpus[0]))])
        else:
            timeline = Timeline(one_segment(len(gfns), as_id), NO_CHANGES)
            found = self.strategy.answer_gfns(GfnStream(gfns.astype(np.uint64), timeline, np.ascontiguousarray(vcpus)))
        if not np.array_equal(found, expected):
            at = int(np.argmax(found != expected))
            raise BrokenStrategy(
                f"{self.strategy.name} finds slot {int(found[at])} for gfn {int(gfns[at]):#x}; {int(expected[at])} holds it"
            )

    # Results

    def trace(self, name: str, source: str) -> Trace:
        """What was asked since `start`, labelled as `source`."""
        return self.recorder.trace(name, self._start, source)

    def report(self) -> dict[str, dict[str, int]]:
        """Every counter, by who keeps it."""
        return {
            "guest": asdict(self.counters),
            "notifier": asdict(self.notifier.counters),
            "host": asdict(self.host.counters),
        }

    def digest(self) -> str:
        """The final state as 16 hex digits: slots, sptes with their bits, host page tables, counters."""
        digest = hashlib.sha256()
        for slot in self.memslots:
            digest.update(repr(slot).encode())
        table = self.sptes.table
        for space in range(table.spaces):
            for first, start in zip(*table.existing(space), strict=True):
                part = slice(int(start), int(start) + 512)
                if (table.flags[part] & MAPS).any():
                    digest.update(int(first).to_bytes(8, "little") + table.flags[part].tobytes() + table.pfn[part].tobytes())
        used = self.host.pages.blocks << 9
        digest.update(self.host.pages.pte[:used].tobytes() + self.host.pages.num[:used].tobytes())
        digest.update(self.host.frames.flags.tobytes() + self.host.frames.refs.tobytes())
        digest.update(repr((self.notifier.state, self.report())).encode())
        for number, log in sorted(self.dirty.items()):
            digest.update(number.to_bytes(4, "little") + log.tobytes())
        return digest.hexdigest()[:16]


class _Plan:
    """What the misses of a batch will take, and how far they can be taken together.

    Distinct missed pages are kept in the order of their first access. `cut` is the position in the batch of the first
    access that must wait for what comes before it.
    """

    def __init__(self, vm: Vm, space: int, missed: Ints, gfns: Ints, writes: Bools) -> None:
        self.vm, self.space, self.as_id, self.missed = vm, space, space, missed
        _, first, inverse = np.unique(gfns, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self.group = rank[inverse]
        first = first[order]
        self.position = missed[first]
        self.gfns, self.writes = gfns[first], writes[first]
        self.numbers = vm.slots.numbers(self.as_id, self.gfns)
        self.hole = self.numbers == HOLE
        host = vm.host
        pages = vm.slots.hva_pages(self.numbers, self.gfns)
        pages[self.hole] = 0
        self.index = host.pages.find(0, pages)
        self.kinds = classify(host, self.index, self.writes)
        self._sort_out()
        self.cut = self._first_to_wait(first, writes)

    def _sort_out(self) -> None:
        """Mark what cannot be taken with others as HARD, and what needs no host page as such."""
        vm = self.vm
        flags = vm.slots.flags[self.numbers]
        self.kinds[vm.host.pages.pte[self.index] & bits.HUGE != 0] = Kind.HARD
        self.kinds[(flags & READONLY != 0) & self.writes] = Kind.HARD
        spte = vm.sptes.table.flags[vm.sptes.table.find(self.space, self.gfns)]
        enough = ~self.writes | (spte & WRITABLE != 0)
        self.tracked = (spte & TRACKED != 0) & enough & (self.kinds != Kind.HARD) & ~self.hole
        self.kinds[self.hole | self.tracked] = Kind.READY
        # Whether an spte that a read brings in will let a write pass.
        host = vm.host
        pte, vma = host.pages.pte[self.index], host.pages.vma[self.index]
        lasting = (self.kinds == Kind.READY) & (pte & bits.WRITE != 0)
        lasting |= (self.kinds == Kind.SWAP_READ) & (vma & bits.VM_WRITE != 0)
        lasting |= self.kinds == Kind.REUSE
        lasting &= flags & (LOG_DIRTY_PAGES | READONLY) == 0
        self.passes = self.writes | lasting | self.hole

    def _first_to_wait(self, first: Ints, writes: Bools) -> int:
        """The position of the first access that must wait."""
        blocked = self.kinds >= Kind.HARD
        blocked |= np.cumsum(allocates(self.kinds)) > max(0, self.vm.host.spare)
        if self.vm.paging.prefetch:
            blocked |= ~self.hole
        blocked |= self._copies_to_wait()
        shared = self.index[~self.hole]
        if len(np.unique(shared)) < len(shared):
            # Two gfns of one host page: the second finds what the first has made.
            again = np.ones(len(self.index), dtype=np.bool_)
            again[np.unique(self.index, return_index=True)[1]] = False
            blocked |= again & ~self.hole
        cut = int(self.position[np.argmax(blocked)]) if blocked.any() else 1 << 62
        later = writes & ~self.passes[self.group]
        later[first] = False
        return min(cut, int(self.missed[np.argmax(later)])) if later.any() else cut

    def _copies_to_wait(self) -> Bools:
        """The copies that concern more than their own page."""
        copies = self.kinds == Kind.COPY
        if not copies.any():
            return copies
        if self.vm.paging.shadow or self.vm.memslots.aliased():
            return copies  # they also unmap pages that later accesses of the batch may hit
        frames = self.vm.host.frames
        pfns = self.vm.host.pages.num[self.index]
        # Where the last reference goes, the frame is free for the next fault.
        pfns = self.vm.host.pages.num[self.index[copies]]
        _, which, sharers = np.unique(pfns, return_inverse=True, return_counts=True)
        wait = np.zeros_like(copies)
        wait[copies] = (pfns != bits.ZERO_PFN) & (self.vm.host.frames.refs[pfns] <= sharers[which])
        return wait

    def mark_copied(self, index: Ints, writes: Bools) -> None:
        """Note the reads that hit a page before its copy: they belong to the frame that goes."""
        copies = np.flatnonzero(self.kinds == Kind.COPY)
        if len(copies):
            entries = self.vm.sptes.table.find(self.space, self.gfns[copies])
            order = np.argsort(entries)
            at = np.minimum(np.searchsorted(entries[order], index), len(entries) - 1)
            before = (entries[order][at] == index) & (np.arange(len(index)) < self.position[copies][order][at])
            before &= self.vm.sptes.table.flags[index] & PRESENT != 0
            self.vm.sptes.mark(index[before], writes[: len(index)][before])

    def carry_out(self, vcpus: Vcpus, cut: int) -> None:
        """Look up, resolve and install everything in front of `cut`."""
        vm, counters = self.vm, self.vm.counters
        count = int(np.searchsorted(self.position, cut))
        if not count:
            return
        hole, tracked = self.hole[:count], self.tracked[:count]
        asked = self._new_holes(count)
        begin = len(vm.recorder)
        # A copy overtakes its own fault, which asks again.
        copies = self.kinds[:count] == Kind.COPY
        times = asked.astype(np.int64) + copies
        again = np.repeat(np.arange(count), times)
        vm._ask(self.gfns[again], vcpus[self.position[again]], self.as_id, self.numbers[again])
        if copies.any():
            self._announce(np.flatnonzero(copies), again, begin)
        found = int(np.count_nonzero(~hole))
        outside = int(np.count_nonzero(self.hole[self.group[: int(np.searchsorted(self.missed, cut))]]))
        counters.exits += found + outside + int(np.count_nonzero(copies))
        counters.retries += int(np.count_nonzero(copies))
        counters.mmio += outside
        counters.mmio_known += outside - (int(np.count_nonzero(asked)) - found)
        counters.faults += found
        table = vm.sptes.table
        if tracked.any():
            kept = table.find(self.space, self.gfns[:count][tracked])
            table.flags[kept] = table.flags[kept] & ~np.uint16(TRACKED) | np.uint16(PRESENT)
            counters.tracked += len(kept)
        plain = np.flatnonzero(~hole & ~tracked)
        if len(plain):
            gfns, writes = self.gfns[plain], self.writes[plain]
            table.ensure_pages(self.space, gfns)
            pfns, writable = resolve(vm.host, self.index[plain], writes, self.kinds[plain])
            vm._install(self.numbers[plain], table.find(self.space, gfns), gfns, pfns, writable, writes)
            counters.installed += len(plain)

    def _announce(self, copies: Ints, asked: Ints, begin: int) -> None:
        """Invalidate the pages that are copied, each between its fault's two lookups."""
        vm = self.vm
        pages = vm.host.pages.page_of(self.index[copies])
        lookups = len(vm.recorder) - begin
        vm.host.notifiers.invalidate_pages(pages, change_pte=True)
        visits = len(vm.recorder) - begin - lookups
        second = np.zeros(lookups, dtype=np.int64)
        second[1:] = asked[1:] == asked[:-1]
        keys = np.concatenate([asked * 4 + 2 * second, np.repeat(copies * 4 + 1, visits // len(copies))])
        vm.recorder.reorder(begin, keys)

    def _new_holes(self, count: int) -> Bools:
        """Which of the first `count` pages need a lookup: all but the holes that an spte remembers."""
        asked = np.ones(count, dtype=np.bool_)
        known = self.vm._known_holes
        for at in np.flatnonzero(self.hole[:count]).tolist():
            key = (self.as_id, int(self.gfns[at]))
            if key in known:
                asked[at] = False
            known.add(key)
        return asked
