"""One process's address space: mappings and page tables, and the system calls that change them.

Every change that removes a page's mapping, frame or write permission is announced to the notifiers, before and after,
for the range that Linux announces. Changes that only add (a page filled, a permission restored by a fault) are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from slotlookup.address import GIANT_BYTES, HUGE_BYTES, HUGE_PAGES, HUGE_SHIFT, PAGE_SHIFT, PAGE_SIZE, Hva
from slotlookup.arrays import Bools, Ints
from slotlookup.errors import UsageError
from slotlookup.model.host import bits
from slotlookup.model.host.frames import Frames
from slotlookup.model.host.vmas import File, Vma, VmaList, check_range
from slotlookup.model.notifier import EVERYTHING, Notifiers
from slotlookup.model.radix import PAGE_LIMIT, Radix

MMAP_TOP = 0x7F00_0000_0000
PROTECTIONS = {"none": 0, "r": bits.VM_READ, "rw": bits.VM_READ | bits.VM_WRITE}


class AddressSpace:
    """The host process that holds the guest's memory. Addresses and sizes are bytes; pages are hva page numbers."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.pages = Radix({"pte": (np.uint16, 0), "num": (np.int32, 0), "vma": (np.uint8, 0)})
        self.vmas = VmaList()
        self.notifiers = Notifiers()
        self.counters = bits.HostCounters()
        self.children: list[Child] = []
        self.stable: dict[int, int] = {}
        """The merged frames of KSM: for each content, the frame that further pages join."""

    @contextmanager
    def invalidating(self, start: int, end: int) -> Iterator[None]:
        """Announce a change of [start, end)."""
        self.notifiers.invalidate_range_start(start, end)
        yield
        self.notifiers.invalidate_range_end(start, end)

    # Mappings

    def mmap(
        self,
        size: int,
        hva: int | None = None,
        *,
        prot: str = "rw",
        file: File | None = None,
        offset: int = 0,
        giant: bool = False,
    ) -> Hva:
        """Map private anonymous memory, or `file` (shared) from page `offset` on; at `hva`, or any hva.

        Existing mappings at `hva` are unmapped first, as by MAP_FIXED. `giant` takes 1 GiB pages of hugetlbfs.
        """
        align = GIANT_BYTES if giant else HUGE_BYTES if size >= HUGE_BYTES else PAGE_SIZE
        if giant and ((hva or 0) | size) % GIANT_BYTES:
            raise UsageError(f"hva {hva or 0:#x} + {size:#x}: hugetlbfs maps whole GiBs")
        place = self.vmas.gap_below(MMAP_TOP, size, align) if hva is None else hva
        check_range(place, size)
        if hva is not None:
            self.munmap(place, size)
        vma_bits = bits.MAPPED | PROTECTIONS[prot] | (bits.VM_SHARED if file else 0)
        vma_bits |= bits.VM_HUGEPAGE if giant else 0
        first = offset if file is not None else place >> PAGE_SHIFT
        self.vmas.insert(Vma(place, place + size, vma_bits, file, first, giant))
        self.pages.ensure(0, place >> PAGE_SHIFT, (place + size) >> PAGE_SHIFT)
        self._set_page_bits(place, place + size, vma_bits, 0xFF)
        return Hva(place)

    def munmap(self, hva: int, size: int) -> None:
        """Unmap; mappings that extend beyond the range are split.

        One announcement of the whole range (unmap_vmas), however many mappings it meets and however large the gaps
        between them; none if nothing is mapped there.
        """
        check_range(hva, size)
        if not self.vmas.meeting(hva, hva + size):
            return
        self._split_at(hva, hva + size)
        gone = self.vmas.meeting(hva, hva + size)
        with self.invalidating(hva, hva + size):
            for vma in gone:
                self.zap(vma.start, vma.end)
        for vma in gone:
            self._set_page_bits(vma.start, vma.end, 0, 0xFF)
            self.vmas.remove(vma)
        self._free_tables(hva, hva + size)

    def mprotect(self, hva: int, size: int, prot: str) -> None:
        """Change protection: "none", "r" or "rw"."""
        check_range(hva, size)
        wanted = PROTECTIONS[prot]
        mask = bits.VM_READ | bits.VM_WRITE
        for vma in self.vmas.meeting(hva, hva + size):
            if vma.bits & mask == wanted:
                continue
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            self._split_at(start, end)
            self._set_page_bits(start, end, wanted, mask)
            with self.changing_protection(start, end):
                for _, part in self._slices(start, end):
                    pte = self.pages.pte[part]
                    if wanted & bits.VM_WRITE:
                        self._restore_write(part)
                    else:
                        pte &= ~np.uint16(bits.WRITE)
            self.vmas.set_bits(start, end, wanted, mask)

    def mremap(self, hva: int, size: int, new_hva: int, *, dontunmap: bool = False) -> None:
        """Move a mapping with its pages to `new_hva` (MREMAP_MAYMOVE | MREMAP_FIXED).

        `dontunmap` leaves the old mapping, without pages (MREMAP_DONTUNMAP).
        """
        check_range(hva, size)
        check_range(new_hva, size)
        old = self.vmas.at(hva)
        if old is None or old.end < hva + size:
            raise UsageError(f"mremap of [{hva:#x}, {hva + size:#x}): not within one mapping")
        if hva < new_hva + size and new_hva < hva + size:
            raise UsageError(f"mremap of {hva:#x} to {new_hva:#x}: the ranges overlap")
        self.munmap(new_hva, size)
        self.note_anon(old)
        vma_bits, offset = old.bits, old.file_page(hva >> PAGE_SHIFT)
        if old.file is None and not old.anon:
            offset = new_hva >> PAGE_SHIFT
        # move_page_tables starts at the table's first page if both places have the same distance from it and nothing
        # is mapped in between, so that it can move the table.
        lead = hva % HUGE_BYTES
        realigned = 0 < lead == new_hva % HUGE_BYTES and size > HUGE_BYTES - lead and old.start == hva
        if realigned and not self.vmas.meeting(hva - lead, hva) and not self.vmas.meeting(new_hva - lead, new_hva):
            start = hva - lead
        else:
            start = hva
        self.vmas.insert(Vma(new_hva, new_hva + size, vma_bits, old.file, offset, old.giant, old.policy, old.anon))
        self.pages.ensure(0, new_hva >> PAGE_SHIFT, (new_hva + size) >> PAGE_SHIFT)
        self._set_page_bits(new_hva, new_hva + size, vma_bits, 0xFF)
        with self.invalidating(start, hva + size):
            # A huge page moves as one if source and target hold it whole; else its mapping is split.
            if (hva ^ new_hva) % HUGE_BYTES:
                for block in range(hva & -HUGE_BYTES, hva + size, HUGE_BYTES):
                    if self.is_huge(block >> PAGE_SHIFT):
                        self.split_huge(block >> PAGE_SHIFT)
            else:
                self.split_huge_edges(hva, hva + size)
            source = self.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
            target = self.pages.indices(0, new_hva >> PAGE_SHIFT, (new_hva + size) >> PAGE_SHIFT)
            self.pages.pte[target], self.pages.num[target] = self.pages.pte[source], self.pages.num[source]
            self.pages.pte[source] = 0
            self.pages.num[source] = 0
            self.has_tables(target)
            held = target[self.pages.pte[target] & bits.PRESENT != 0]
            held = held[self.pages.num[held] != bits.ZERO_PFN]
            self.frames.owner[self.pages.num[held]] = held
        if not dontunmap:
            self.munmap(hva, size)
        elif (old.start, old.end) == (hva, hva + size):
            # All of its pages are gone, so its anon_vma is unlinked.
            old.anon = False

    # Advice

    def dontneed(self, hva: int, size: int) -> None:
        """MADV_DONTNEED: drop the pages, as a balloon does with private memory."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            with self.invalidating(start, end):
                self.split_huge_edges(start, end)
                self.zap(start, end, keep_guards=True)
            # A page table that is left empty by one call over all of it is freed (PT_RECLAIM).
            for block in range(-(-start // HUGE_BYTES) * HUGE_BYTES, end - HUGE_BYTES + 1, HUGE_BYTES):
                index = self.pages.find_one(0, block >> PAGE_SHIFT)
                if not self.pages.pte[index : index + HUGE_PAGES].any():
                    self.pages.block[index >> HUGE_SHIFT] &= ~np.uint8(bits.TABLE)

    def dontneed_pages(self, pages: Ints) -> None:
        """MADV_DONTNEED of each single hva page, one call per page. The pages are distinct and mapped."""
        index = self.pages.find(0, pages)
        if (self.pages.vma[index] & bits.MAPPED == 0).any():
            raise UsageError("MADV_DONTNEED of a page that is not mapped")
        if (self.pages.pte[index] & bits.HUGE).any():
            for page in pages.tolist():
                self.dontneed(page << PAGE_SHIFT, PAGE_SIZE)
            return
        self.notifiers.invalidate_pages(pages)
        for vma in self.vmas:
            self.note_anon(vma)
        self._drop(index[self.pages.pte[index] & bits.GUARD == 0])

    def remove(self, hva: int, size: int) -> None:
        """MADV_REMOVE: punch a hole into the mapped file, as a balloon does with shared memory."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            if vma.file is None:
                raise UsageError("MADV_REMOVE takes mappings of files only")
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            self.punch_hole(vma.file, vma.file_page(start >> PAGE_SHIFT), (end - start) >> PAGE_SHIFT)

    def punch_hole(self, file: File, first: int, npages: int) -> None:
        """FALLOC_FL_PUNCH_HOLE of pages [first, first + npages) of a file, wherever it is mapped."""
        self._unmap_file(file, first, npages)
        self._drop_cache(file, first, npages)

    def punch_bytes(self, file: File, offset: int, size: int) -> None:
        """FALLOC_FL_PUNCH_HOLE of bytes: the pages that it holds whole are unmapped, parts are cleared in place."""
        first, end = -(-offset // PAGE_SIZE), (offset + size) // PAGE_SIZE
        if first < end:
            self.punch_hole(file, first, end - first)

    def truncate(self, file: File, npages: int) -> None:
        """ftruncate: a shortened file is unmapped before and after its pages are freed, as faults may intervene."""
        cut = file.npages - npages
        if cut > 0:
            self._unmap_file(file, npages, cut)
            self._drop_cache(file, npages, cut)
            self._unmap_file(file, npages, cut)
        grown = np.full(max(0, -cut), -1, dtype=np.int32)
        file.pfns = np.concatenate([file.pfns[:npages], grown])
        file.npages = npages

    def advise(self, hva: int, size: int, *, hugepage: bool | None = None, mergeable: bool | None = None) -> None:
        """MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE (its inverse is slotlookup.model.host.ksm.unmerge)."""
        if hugepage is not None:
            wanted = bits.VM_HUGEPAGE if hugepage else bits.VM_NOHUGEPAGE
            self.set_vma_bits(hva, size, wanted, bits.VM_HUGEPAGE | bits.VM_NOHUGEPAGE)
        if mergeable is not None:
            self.set_vma_bits(hva, size, bits.VM_MERGEABLE if mergeable else 0, bits.VM_MERGEABLE)

    # Tracking

    def clear_refs(self, what: int) -> None:
        """/proc/PID/clear_refs: 1 clears accessed bits (without notifiers), 4 clears all soft-dirty bits."""
        if what not in (1, 4):
            raise UsageError(f"clear_refs {what}: 1 (referenced) and 4 (soft-dirty) are modelled")
        held = self.pages.pte
        if what == 1:
            held &= ~np.uint16(bits.YOUNG)
            self.frames.flags &= ~np.uint8(bits.REFERENCED)
        else:
            with self.invalidating(*EVERYTHING):
                held &= ~np.uint16(bits.SOFT_DIRTY | bits.WRITE)

    def numa_scan(self, hva: int, size: int) -> None:
        """A NUMA-hinting scan: present pages become inaccessible until the next access shows its origin."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            with self.changing_protection(start, end):
                for _, part in self._slices(start, end):
                    pte = self.pages.pte[part]
                    pte[pte & bits.PRESENT != 0] |= bits.NUMA

    def fork(self) -> Child:
        """A child that shares all resident private pages, each of which must be copied before either side writes.

        copy_page_range announces each private mapping that has an anon_vma, whole. Mappings of MADV_DONTFORK are not
        copied; those of MADV_WIPEONFORK are, without their pages. Shared mappings are not announced.
        """
        pages: list[Ints] = []
        pfns: list[Ints] = []
        for vma in list(self.vmas):
            self.note_anon(vma)
            if vma.file is not None or not vma.anon or vma.bits & (bits.VM_DONTCOPY | bits.VM_WIPEONFORK):
                continue
            index = self.pages.indices(0, vma.start >> PAGE_SHIFT, vma.end >> PAGE_SHIFT)
            with self.invalidating(vma.start, vma.end):
                present = index[self.pages.pte[index] & bits.PRESENT != 0]
                self.pages.pte[present] &= ~np.uint16(bits.WRITE)
                present = present[self.pages.num[present] != bits.ZERO_PFN]
                held = self.pages.num[present].astype(np.int64)
                np.add.at(self.frames.refs, held, 1)
                self.frames.flags[held] |= bits.FORKED
                pages.append(self.pages.page_of(present))
                pfns.append(held)
        none = np.zeros(0, dtype=np.int64)
        child = Child(self, np.concatenate([none, *pages]), np.concatenate([none, *pfns]))
        self.children.append(child)
        return child

    # Used by the rest of the host

    def zap(self, start: int, end: int, keep_guards: bool = False) -> None:
        """Clear the page tables of bytes [start, end) and drop their pages. The caller has announced it."""
        for vma in self.vmas.meeting(start, end):
            self.note_anon(vma, start, end)
        for _, part in self._slices(start, end):
            if keep_guards and (self.pages.pte[part] & bits.GUARD).any():
                index = np.arange(part.start, part.stop, dtype=np.int64)
                self._drop(index[self.pages.pte[index] & bits.GUARD == 0])
            else:
                self._drop(part)

    def note_anon(self, vma: Vma, start: int = 0, end: int = PAGE_LIMIT << PAGE_SHIFT) -> None:
        """Record that a mapping has an anon_vma if it has a page of its own in [start, end), before these go."""
        if vma.anon or vma.file is not None:
            return
        for _, part in self._slices(max(start, vma.start), min(end, vma.end)):
            pte, num = self.pages.pte[part], self.pages.num[part]
            vma.anon |= bool(((pte & bits.SWAP != 0) | (pte & bits.PRESENT != 0) & (num != bits.ZERO_PFN)).any())

    def has_tables(self, index: Ints) -> None:
        """Page tables exist from now on for these indices, none of which is absent."""
        self.pages.block[index >> HUGE_SHIFT] = bits.TABLE | bits.LINKED

    @contextmanager
    def changing_protection(self, start: int, end: int, *, split: bool = False) -> Iterator[None]:
        """change_protection of [start, end): announced from the first GiB on that has page tables, or not at all.

        A huge page that is within it in part is split; with `split` also whole ones of files.
        """
        first = next((low for low, _ in _gibs(start, end) if self._linked(low)), None)
        if first is None:
            yield
            return
        with self.invalidating(first, end):
            self.split_huge_edges(first, end)
            if split:
                index = self.pages.indices(0, first >> PAGE_SHIFT, end >> PAGE_SHIFT)
                huge = (self.pages.pte[index] & bits.HUGE != 0) & (self.pages.vma[index] & bits.VM_SHARED != 0)
                for page in np.unique(self.pages.page_of(index[huge]) & -HUGE_PAGES).tolist():
                    self.split_huge(page)
            yield

    def set_vma_bits(self, hva: int, size: int, wanted: int, mask: int) -> None:
        """Set mapping bits on a range. Mappings that have them stay; others are split at its ends."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            if vma.bits & mask == wanted:
                continue
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            self._split_at(start, end)
            self._set_page_bits(start, end, wanted, mask)
            self.vmas.set_bits(start, end, wanted, mask)

    def mbind(self, hva: int, size: int, policy: int) -> None:
        """Mbind with a policy, known by a number; pages are not moved. A mapping has one policy."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            if vma.policy == policy:
                continue
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            self._split_at(start, end)
            for part in self.vmas.meeting(start, end):
                part.policy = policy
            self.vmas.merge(start, end)

    def split_huge(self, page: int) -> None:
        """Split the huge page of an hva page, if there is one, into 4 KiB mappings of the same frames."""
        index = self.pages.find_one(0, page & -HUGE_PAGES)
        start = (page & -HUGE_PAGES) << PAGE_SHIFT
        with self.invalidating(start, start + HUGE_BYTES):
            part = self.pages.pte[index : index + HUGE_PAGES]
            if part[page & (HUGE_PAGES - 1)] & bits.HUGE:
                self.counters.split += 1
                if self.pages.vma[index] & bits.VM_SHARED:
                    # A huge mapping of a file is removed; the next access maps it again, page by page.
                    self._drop(slice(index, index + HUGE_PAGES))
                    self.pages.block[index >> HUGE_SHIFT] &= ~np.uint8(bits.TABLE)
                else:
                    part &= ~np.uint16(bits.HUGE)

    def is_giant(self, page: int) -> bool:
        """Whether an hva page belongs to a 1 GiB page."""
        return bool(self.pages.pte[self.pages.find_one(0, page)] & bits.GIANT)

    def is_huge(self, page: int) -> bool:
        """Whether an hva page belongs to a huge page."""
        return bool(self.pages.pte[self.pages.find_one(0, page)] & bits.HUGE)

    def exclusive(self, pfns: Ints) -> Bools:
        """Whether this page table entry is the only reference to each frame, so that a write need not copy."""
        flags = self.frames.flags[pfns]
        in_doubt = flags & (bits.BATCHED | bits.FORKED) == bits.BATCHED | bits.FORKED
        alone = (self.frames.refs[pfns] == 1) & (flags & bits.KSM == 0) & ~in_doubt
        if self.children and (numbers := self.frames.folio[pfns]).any():
            # A large folio is reused only if a child maps none of its pages.
            theirs = np.concatenate([self.frames.folio[child.pfns] for child in self.children])
            alone &= (numbers == 0) | ~np.isin(numbers, theirs)
        return np.asarray(alone & (pfns != bits.ZERO_PFN))

    def make_room(self) -> int:
        """Reclaim if necessary; the number of frames that can be allocated before the next call."""
        return self.frames.free

    def exit(self) -> None:
        """The process exits: notifiers are released before its memory is freed."""
        self.notifiers.release()
        for vma in list(self.vmas):
            self.zap(vma.start, vma.end)
            self._set_page_bits(vma.start, vma.end, 0, 0xFF)
            self.vmas.remove(vma)

    def _drop(self, part: slice | Ints) -> None:
        pte, num = self.pages.pte[part], self.pages.num[part]
        self.frames.put(num[pte & bits.PRESENT != 0].astype(np.int64))
        self.frames.drop_slots(num[pte & bits.SWAP != 0].astype(np.int64))
        self.pages.pte[part] = 0
        self.pages.num[part] = 0

    def _slices(self, start: int, end: int) -> Iterator[tuple[int, slice]]:
        return self.pages.slices(0, start >> PAGE_SHIFT, -(-end >> PAGE_SHIFT))

    def _set_page_bits(self, start: int, end: int, wanted: int, mask: int) -> None:
        for _, part in self._slices(start, end):
            column = self.pages.vma[part]
            column[:] = column & ~np.uint8(mask & 0xFF) | np.uint8(wanted & 0xFF)

    def _restore_write(self, part: slice) -> None:
        """can_change_pte_writable: written, unshared pages become writable again if the mapping permits writes."""
        pte, pfns = self.pages.pte[part], self.pages.num[part].astype(np.int64)
        plain = (pte & (bits.PRESENT | bits.DIRTY | bits.UFFD_WP) == bits.PRESENT | bits.DIRTY) & (pte & bits.SWAP == 0)
        plain[plain] = self.exclusive(pfns[plain])
        pte[plain] |= bits.WRITE

    def _split_at(self, *places: int) -> None:
        for hva in places:
            vma = self.vmas.at(hva)
            if vma is None or vma.start == hva:
                continue
            if vma.giant:
                raise UsageError(f"hva {hva:#x}: hugetlbfs cannot be split")
            block = hva & ~(HUGE_BYTES - 1)
            # The kernel calls the split before it tests for a huge page, and announces it in any case.
            # split_huge_pmd_address returns before that where there is no page middle directory.
            if hva != block and block >= vma.start and block + HUGE_BYTES <= vma.end and self._linked(block):
                self.split_huge(hva >> PAGE_SHIFT)
            self.note_anon(vma)
            self.vmas.split(vma, hva)

    def _linked(self, hva: int) -> bool:
        """Whether the page middle directory of a GiB exists."""
        low = hva & -GIANT_BYTES
        for _, part in self._slices(low, low + GIANT_BYTES):
            if (self.pages.block[part.start >> HUGE_SHIFT : part.stop >> HUGE_SHIFT] & bits.LINKED).any():
                return True
        return False

    def _free_tables(self, start: int, end: int) -> None:
        """free_pgtables: tables without a mapping in the range that they cover are freed."""
        for low in range(start & -HUGE_BYTES, end, HUGE_BYTES):
            if (end - low >= HUGE_BYTES and low >= start) or not self.vmas.meeting(low, low + HUGE_BYTES):
                index = self.pages.find_one(0, low >> PAGE_SHIFT)
                self.pages.block[index >> HUGE_SHIFT] &= ~np.uint8(bits.TABLE)
        for low, _ in _gibs(start, end):
            whole = low & -GIANT_BYTES
            if not self.vmas.meeting(whole, whole + GIANT_BYTES):
                for _, part in self._slices(whole, whole + GIANT_BYTES):
                    self.pages.block[part.start >> HUGE_SHIFT : part.stop >> HUGE_SHIFT] = 0

    def split_huge_edges(self, start: int, end: int) -> None:
        """Split the huge pages that [start, end) holds in part."""
        for hva in (start, end):
            if hva % GIANT_BYTES and self.is_giant(hva >> PAGE_SHIFT):
                raise UsageError(f"hva {hva:#x}: hugetlbfs cannot be split")
            if hva % HUGE_BYTES and self.is_huge(hva >> PAGE_SHIFT):
                self.split_huge(hva >> PAGE_SHIFT)

    def _unmap_file(self, file: File, first: int, npages: int) -> None:
        for _, start, end in self.vmas.of_file(file, first, npages):
            with self.invalidating(start, end):
                self.split_huge_edges(start, end)
                self.zap(start, end)

    def _drop_cache(self, file: File, first: int, npages: int) -> None:
        part = file.pfns[first : first + npages]
        self.frames.put(part[part >= 0].astype(np.int64))
        part[:] = -1


class Child:
    """A forked process, for a snapshot. Its references make the parent copy pages that it writes."""

    def __init__(self, parent: AddressSpace, pages: Ints, pfns: Ints) -> None:
        self._parent = parent
        self._pages = pages
        self.pfns = pfns
        """The frames that it shares with its parent or has of its own."""
        self.alive = True

    def write(self, hva: int, npages: int = 1) -> None:
        """The child writes pages: it gets copies of its own, and its parent, without sharers, need not copy."""
        page = hva >> PAGE_SHIFT
        mine = np.flatnonzero((self._pages >= page) & (self._pages < page + npages))
        mine = mine[self._parent.frames.refs[self.pfns[mine]] > 1]
        made = self._parent.frames.alloc(len(mine))
        self._parent.frames.put(self.pfns[mine], repeated=True)
        self.pfns[mine] = made

    def exit(self) -> None:
        """The child exits and drops its references."""
        if self.alive:
            self.alive = False
            self._parent.children.remove(self)
            self._parent.frames.put(self.pfns, repeated=True)


def _gibs(start: int, end: int) -> Iterator[tuple[int, int]]:
    """[start, end) in parts that are each within one GiB."""
    while start < end:
        stop = min(end, (start & -GIANT_BYTES) + GIANT_BYTES)
        yield start, stop
        start = stop
