"""A VM in closed loop: guest accesses, host memory management and slot changes query a strategy and use its answers.

A guest access without an spte faults: the slot is looked up by gfn, the host's page is resolved, and an spte is
installed. Changes by the host cause notifier visits by hva. Every question is recorded, so that a run produces a trace
that any other strategy can answer.

Accesses are handled in batches. A batch has exactly the result of its accesses one at a time: faults that concern only
their own page are handled together, and a batch ends before any other fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from slotlookup.address import GIANT_PAGES, HOLE, HUGE_PAGES, HUGE_SHIFT
from slotlookup.arrays import Bools, Ints, Vcpus
from slotlookup.errors import UsageError
from slotlookup.memslots import LOG_DIRTY_PAGES, READONLY, ChangeKind, Memslot, SlotChange
from slotlookup.model.host import Host, bits
from slotlookup.model.host.faults import Kind, allocates, classify, get_page
from slotlookup.model.mmu.batch import Plan
from slotlookup.model.mmu.settings import Era, Paging, find_era, find_paging
from slotlookup.model.mmu.sptes import MAPS, PRESENT
from slotlookup.model.mmu.state import Mmu
from slotlookup.model.mmu.subscriber import KvmNotifier
from slotlookup.model.outcome import Outcome
from slotlookup.model.radix import PAGE_LIMIT
from slotlookup.model.recorder import Recorder
from slotlookup.strategy import Strategy
from slotlookup.trace import Trace

WINDOW = 1 << 16
"""The maximum number of accesses in a batch."""
_SMALLEST_WINDOW = 256
_GROUP = 8
"""PTE_PREFETCH_NUM: sptes of the aligned group in which a shadow-paging fault maps neighbours."""


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
        """`strategy` is empty. `limit` is the number of events to record, None for all."""
        self.strategy = strategy
        self.host = host
        self.paging = find_paging(paging) if isinstance(paging, str) else paging
        self.era = find_era(era) if isinstance(era, str) else era
        self.recorder = Recorder(limit)
        self.mmu = Mmu(strategy, host, self.paging, self.recorder)
        self.memslots, self.slots, self.sptes = self.mmu.memslots, self.mmu.slots, self.mmu.sptes
        self.counters, self.dirty = self.mmu.counters, self.mmu.dirty
        self.notifier = KvmNotifier(strategy, self.slots, self.sptes, self.era, self.recorder)
        host.notifiers.subscribers.append(self.notifier)
        self.meanwhile: Callable[[], None] | None = None
        """Called in each fault that is handled alone, before its spte is installed: what another CPU does meanwhile."""
        self._start: tuple[Memslot, ...] = ()
        self._started = False
        self._before = self.report()
        self._space_of = np.zeros(vcpus, dtype=np.int64)

    # Slots

    def set_user_memory_region(self, number: int, gpa: int, size: int, hva: int, flags: int = 0) -> SlotChange | None:
        """The ioctl, with arguments in bytes. None if nothing changes. Raises RegionError."""
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
        self.mmu.known_holes.clear()
        if kind is ChangeKind.DELETE or not slot.flags & LOG_DIRTY_PAGES:
            self.dirty.pop(slot.number, None)
        elif kind is ChangeKind.CREATE or not old_flags & LOG_DIRTY_PAGES:
            self.dirty[slot.number] = np.zeros(slot.npages, dtype=np.bool_)
            gfns = self.sptes.mapped_gfns(slot.as_id, slot.base_gfn, slot.end_gfn)
            self.sptes.write_protect(slot.as_id, gfns)
        return change

    def start(self) -> None:
        """Make the current slots the starting slots of the trace, and record from now on."""
        self._start = tuple(self.memslots)
        self._started = True
        self._before = self.report()
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

    def add_root(self, windows: npt.ArrayLike | None = None, as_id: int = 0) -> int:
        """A page table of the guest, for shadow paging; returns the number of its table, for `load_space`.

        `windows` holds rows (first guest-virtual page, first gfn, pages) that do not overlap; None maps each page to
        the gfn of its own number. A page outside them is a fault that the guest handles without an exit.
        """
        if not self.paging.shadow:
            raise UsageError(
                f"{self.paging.name} walks the guest's page tables in hardware; only shadow paging has roots"
            )
        rows = None if windows is None else np.asarray(windows, dtype=np.int64).reshape(-1, 3)
        self.mmu.roots.append((as_id, None if rows is None else rows[np.argsort(rows[:, 0])]))
        return self.sptes.table.add_space()

    def load_space(self, vcpu: int, space: int) -> None:
        """Let a vCPU run in a table: an address space (1 is SMM), or one that `add_root` created."""
        if not 0 <= space < self.sptes.table.spaces:
            raise UsageError(f"there is no table {space}; there are {self.sptes.table.spaces}")
        self._space_of[vcpu] = space

    def access(self, vcpus: npt.ArrayLike, gfns: npt.ArrayLike, writes: npt.ArrayLike = False) -> None:
        """Guest accesses, in order: vCPU, page, and whether it writes. Scalars apply to all."""
        page = np.atleast_1d(np.asarray(gfns, dtype=np.int64))
        who = np.broadcast_to(np.asarray(vcpus, dtype=np.uint16), page.shape)
        write = np.broadcast_to(np.asarray(writes, dtype=np.bool_), page.shape)
        if len(page) and not (page.min() >= 0 and page.max() < PAGE_LIMIT):
            raise UsageError(f"an access beyond page {PAGE_LIMIT - 1:#x}, the last page of 47 address bits")
        if len(who) and who.max() >= len(self._space_of):
            raise UsageError(f"an access by vCPU {who.max()}; the VM has {len(self._space_of)}")
        at, window = 0, WINDOW
        while at < len(page):
            part = slice(at, min(at + window, len(page)))
            done = self._some(who[part], page[part], write[part])
            whole = done == part.stop - part.start
            window = min(WINDOW, 2 * window) if whole else max(_SMALLEST_WINDOW, min(WINDOW, 2 * done))
            at += done
        self.counters.accesses += len(page)

    def _some(self, vcpus: Vcpus, gfns: Ints, writes: Bools) -> int:
        """Handle accesses from the front, as many as possible together; returns their number (0: one made progress)."""
        space = self._spaces(vcpus)
        index = self.sptes.table.find(space, gfns)
        missed = np.flatnonzero(self.sptes.missing(index, writes))
        if not len(missed):
            self.sptes.mark(index, writes)
            return len(gfns)
        spaces = np.broadcast_to(np.asarray(space, dtype=np.int64), gfns.shape)
        which = int(spaces[missed[0]])
        other = spaces[missed] != which
        end = int(missed[np.argmax(other)]) if other.any() else len(gfns)
        missed = missed[missed < end]
        first = int(missed[0])
        # A fault that maps its neighbours is handled alone.
        plan = None
        if not self.paging.prefetch or self._is_hole(which, int(gfns[first])):
            plan = Plan(self.mmu, which, missed, gfns[missed], writes[missed])
        cut = min(end, plan.cut) if plan is not None else first
        if plan is not None and cut > first:
            table = self.sptes.table
            index, blocks = index[:cut], table.blocks
            plan.mark_copied(index, writes)
            plan.carry_out(vcpus, cut)
            if table.blocks > blocks:
                index = table.find(space if isinstance(space, int) else space[:cut], gfns[:cut])
            there = np.flatnonzero(table.flags[index] & PRESENT)
            self.sptes.mark(index[there], writes[there])
            return cut
        if first:
            self.sptes.mark(index[:first], writes[:first])
            return first
        return self._one(int(vcpus[0]), which, int(gfns[0]), bool(writes[0]))

    def _is_hole(self, space: int, entry: int) -> bool:
        gfns = self.mmu.translate(space, np.array([entry]))
        return bool(self.slots.numbers(self.mmu.as_id_of(space), gfns)[0] == HOLE)

    def _one(self, vcpu: int, space: int, entry: int, write: bool) -> int:
        """One fault that affects more than its own page: 1 if the access is complete, 0 if it must be retried."""
        as_id, host, counters = self.mmu.as_id_of(space), self.host, self.counters
        one, way = np.array([entry]), np.array([write])
        gfns = self.mmu.translate(space, one)
        numbers = self.slots.numbers(as_id, gfns)
        number, page = int(numbers[0]), int(self.slots.hva_pages(numbers, gfns)[0])
        kind = classify(host, np.array([host.pages.find_one(0, page)]), way)
        if host.spare <= 0 and (kind[0] == Kind.HARD or allocates(kind)[0]):
            # kswapd ran before the fault, which finds the page as reclaim left it.
            host.reclaim()
            return 0
        self.mmu.ask(gfns, np.array([vcpu], dtype=np.uint16), as_id, numbers)
        counters.exits += 1
        if self.slots.flags[number] & READONLY and write:
            counters.readonly_writes += 1
            return 1
        counters.faults += 1
        if self.sptes.retrack(space, entry, write):
            counters.tracked += 1
            self.sptes.mark(self.sptes.table.find(space, one), way)
            return 1
        snapshot = self.notifier.state.seq
        got = get_page(host, page, write)
        if got is None:
            counters.bad += 1
            return 1
        if self.meanwhile is not None:
            self.meanwhile()
        if self.notifier.state.overtaken(snapshot, int(gfns[0])):
            counters.retries += 1
            counters.faults -= 1
            return 0
        level = self._level(space, number, int(gfns[0]), page)
        table = self.sptes.table
        if level > 1:
            span = HUGE_PAGES if level == 2 else GIANT_PAGES
            index = host.pages.indices(0, page & -span, (page & -span) + span)
            pfns = host.pages.num[index].astype(np.int64)
            gfn = int(gfns[0]) & -span
            self.sptes.install_huge(space, entry & -span, gfn, level, pfns, bool(got[1][0]), as_id)
        else:
            table.ensure(space, entry, entry + 1)
            self.mmu.install(numbers, table.find(space, one), gfns, *got, way)
        counters.installed += 1
        self.sptes.mark(table.find(space, one), way)
        if self.paging.prefetch and level == 1:
            self._prefetch(vcpu, space, entry)
        return 1

    def _prefetch(self, vcpu: int, space: int, entry: int) -> None:
        """Map the neighbours of a fault, one run of absent entries after another, until a first page is not ready."""
        first = entry & ~(_GROUP - 1)
        index = self.sptes.table.find_one(space, first)
        absent = self.sptes.table.flags[index : index + _GROUP] & MAPS == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], absent, [False]]).astype(np.int8)))
        for begin, end in edges.reshape(-1, 2).tolist():
            if not self._prefetch_run(vcpu, space, first + begin, end - begin):
                break

    def _prefetch_run(self, vcpu: int, space: int, entry: int, count: int) -> bool:
        """Map up to `count` absent entries, as far as they are in their slot and the host can write at once."""
        as_id = self.mmu.as_id_of(space)
        try:
            gfns = self.mmu.translate(space, entry + np.arange(count, dtype=np.int64))
        except UsageError:
            return False  # the guest does not map all of them
        numbers = self.slots.numbers(as_id, gfns[:1])
        self.mmu.ask(gfns[:1], np.array([vcpu], dtype=np.uint16), as_id, numbers)
        number = int(numbers[0])
        inside = number != HOLE and int(gfns[-1]) < self.slots.base[number] + self.slots.npages[number]
        if not inside or self.slots.flags[number] & (LOG_DIRTY_PAGES | READONLY):
            return False
        pages = self.host.pages
        hosted = pages.find(0, self.slots.hva_pages(np.repeat(numbers, count), gfns))
        ready = pages.pte[hosted] & (bits.PRESENT | bits.WRITE | bits.NUMA | bits.HUGE) == bits.PRESENT | bits.WRITE
        run = count if ready.all() else int(np.argmin(ready))
        if not run:
            return False
        pfns = pages.num[hosted[:run]].astype(np.int64)
        self.host.frames.flags[pfns] |= bits.REFERENCED
        index = self.sptes.table.find(space, entry + np.arange(run, dtype=np.int64))
        yes = np.ones(run, dtype=np.bool_)
        self.mmu.install(np.repeat(numbers, run), index, gfns[:run], pfns, yes, ~yes)
        self.counters.prefetched += run
        return True

    def _level(self, space: int, number: int, gfn: int, page: int) -> int:
        """The largest level at which slot, alignment and host page allow a gfn to be mapped."""
        slots = self.slots
        logged = slots.flags[number] & LOG_DIRTY_PAGES
        if logged or self.mmu.roots[space][1] is not None or not self.host.is_huge(page):
            return 1
        best = 1
        for level, span in ((2, HUGE_PAGES), (3, GIANT_PAGES)):
            first = gfn & -span
            fits = first >= slots.base[number] and first + span <= slots.base[number] + slots.npages[number]
            if level > self.paging.max_level or (gfn ^ page) & (span - 1) or not fits:
                break
            if level == 3 and not self.host.is_giant(page):
                break
            best = level
        return best

    def _spaces(self, vcpus: Vcpus) -> int | Ints:
        """The table of each access; one number if all vCPUs run in the same table."""
        first = int(self._space_of[0])
        return first if (self._space_of == first).all() else self._space_of[vcpus]

    # Results

    def trace(self, name: str, source: str) -> Trace:
        """The trace since `start`, labelled as `source`."""
        return self.recorder.trace(name, self._start, source)

    def report(self) -> dict[str, dict[str, int]]:
        """Every counter, by the part that counts."""
        return {
            "guest": asdict(self.counters),
            "notifier": asdict(self.notifier.counters),
            "host": asdict(self.host.counters),
        }

    def outcome(self) -> Outcome:
        """What the guest and its host have paid since `start`."""
        return Outcome.between(self._before, self.report())

    def digest(self) -> str:
        """The final state as 16 hex digits: slots, sptes with their bits, host page tables, counters."""
        digest = hashlib.sha256()
        for slot in self.memslots:
            digest.update(repr(slot).encode())
        table = self.sptes.table
        for space in range(table.spaces):
            for first, start in zip(*table.existing(space), strict=True):
                part = slice(int(start), int(start) + HUGE_PAGES)
                if (table.flags[part] & MAPS).any():
                    digest.update(int(first).to_bytes(8, "little"))
                    digest.update(table.flags[part].tobytes() + table.pfn[part].tobytes())
        used = self.host.pages.blocks << HUGE_SHIFT
        digest.update(self.host.pages.pte[:used].tobytes() + self.host.pages.num[:used].tobytes())
        digest.update(self.host.frames.flags.tobytes() + self.host.frames.refs.tobytes())
        digest.update(repr((self.notifier.state, self.report())).encode())
        for number, log in sorted(self.dirty.items()):
            digest.update(number.to_bytes(4, "little") + log.tobytes())
        return digest.hexdigest()[:16]
