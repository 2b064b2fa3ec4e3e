"""One process's address space: mappings and page tables, and the system calls that change them.

Every change that removes a page's mapping, frame or write permission is announced to the notifiers, before and after,
for the range that Linux announces. Changes that only add (a page filled, a permission restored by a fault) are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from slotlookup.address import GIANT_BYTES, HUGE_BYTES, HUGE_PAGES, PAGE_SHIFT, PAGE_SIZE, Hva
from slotlookup.arrays import Bools, Ints
from slotlookup.errors import UsageError
from slotlookup.model.host import bits
from slotlookup.model.host.frames import Frames
from slotlookup.model.host.vmas import File, Vma, VmaList, check_range
from slotlookup.model.notifier import EVERYTHING, Notifiers
from slotlookup.model.radix import Radix

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
        self.vmas.insert(Vma(place, place + size, vma_bits, file, offset, giant))
        self.pages.ensure(0, place >> PAGE_SHIFT, (place + size) >> PAGE_SHIFT)
        self._set_page_bits(place, place + size, vma_bits, 0xFF)
        return Hva(place)

    def munmap(self, hva: int, size: int) -> None:
        """Unmap; mappings that extend beyond the range are split."""
        check_range(hva, size)
        self._split_at(hva, hva + size)
        for vma in self.vmas.meeting(hva, hva + size):
            with self.invalidating(vma.start, vma.end):
                self.zap(vma.start, vma.end)
            self._set_page_bits(vma.start, vma.end, 0, 0xFF)
            self.vmas.remove(vma)

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
            with self.invalidating(start, end):
                for _, part in self._slices(start, end):
                    pte = self.pages.pte[part]
                    if wanted & bits.VM_WRITE:
                        self._restore_write(part)
                    else:
                        pte &= ~np.uint16(bits.WRITE)
            self.vmas.set_bits(start, end, wanted, mask)

    def mremap(self, hva: int, size: int, new_hva: int) -> None:
        """Move a mapping with its pages to `new_hva` (MREMAP_MAYMOVE | MREMAP_FIXED)."""
        check_range(hva, size)
        check_range(new_hva, size)
        old = self.vmas.at(hva)
        if old is None or old.end < hva + size:
            raise UsageError(f"mremap of [{hva:#x}, {hva + size:#x}): not within one mapping")
        if hva < new_hva + size and new_hva < hva + size:
            raise UsageError(f"mremap of {hva:#x} to {new_hva:#x}: the ranges overlap")
        self.munmap(new_hva, size)
        vma_bits, offset = old.bits, old.file_page(hva >> PAGE_SHIFT)
        self.vmas.insert(Vma(new_hva, new_hva + size, vma_bits, old.file, offset))
        self.pages.ensure(0, new_hva >> PAGE_SHIFT, (new_hva + size) >> PAGE_SHIFT)
        self._set_page_bits(new_hva, new_hva + size, vma_bits, 0xFF)
        with self.invalidating(hva, hva + size):
            source = self.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
            target = self.pages.indices(0, new_hva >> PAGE_SHIFT, (new_hva + size) >> PAGE_SHIFT)
            if (hva ^ new_hva) % HUGE_BYTES:
                self.pages.pte[source] &= ~np.uint16(bits.HUGE)
            self.pages.pte[target], self.pages.num[target] = self.pages.pte[source], self.pages.num[source]
            self.pages.pte[source] = 0
            self.pages.num[source] = 0
            held = self.pages.pte[target] & bits.PRESENT != 0
            self.frames.owner[self.pages.num[target][held]] = target[held]
        self.munmap(hva, size)

    # Advice

    def dontneed(self, hva: int, size: int) -> None:
        """MADV_DONTNEED: drop the pages, as a balloon does with private memory."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            with self.invalidating(start, end):
                self._split_huge_edges(start, end)
                self.zap(start, end)

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
        self._drop(index)

    def free(self, hva: int, size: int) -> None:
        """MADV_FREE: private pages may be dropped by reclaim unless they are written again."""
        check_range(hva, size)
        for vma in self.vmas.meeting(hva, hva + size):
            if vma.file is not None:
                raise UsageError("MADV_FREE takes private memory only")
            start, end = max(hva, vma.start), min(hva + size, vma.end)
            with self.invalidating(start, end):
                self._split_huge_edges(start, end)
                for _, part in self._slices(start, end):
                    pte, num = self.pages.pte[part], self.pages.num[part]
                    swapped = pte & bits.SWAP != 0
                    self.frames.drop_slots(num[swapped].astype(np.int64))
                    pte[swapped] = 0
                    clean = ~np.uint16(bits.YOUNG | bits.DIRTY)
                    present = (pte & bits.PRESENT != 0) & (num != bits.ZERO_PFN)
                    pte[present] = pte[present] & clean | bits.LAZYFREE
                    pfns = num[present].astype(np.int64)
                    self.frames.flags[pfns] &= ~np.uint8(bits.REFERENCED | bits.FRAME_DIRTY)
                    self.frames.batch_up(pfns)

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

    def cold(self, hva: int, size: int) -> None:
        """MADV_COLD: mark the pages as old, without querying the guest's accesses."""
        check_range(hva, size)
        index = self.pages.indices(0, hva >> PAGE_SHIFT, (hva + size) >> PAGE_SHIFT)
        index = index[self.pages.pte[index] & bits.PRESENT != 0]
        self.pages.pte[index] &= ~np.uint16(bits.YOUNG)
        pfns = np.unique(self.pages.num[index].astype(np.int64))
        self.frames.flags[pfns] &= ~np.uint8(bits.REFERENCED)
        active = pfns[self.frames.flags[pfns] & bits.ACTIVE != 0]
        self.frames.list_on(active, "inactive")

    def advise(self, hva: int, size: int, *, hugepage: bool | None = None, mergeable: bool | None = None) -> None:
        """MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE (its inverse is slotlookup.model.host.ksm.unmerge)."""
        for wanted, bit in ((hugepage, bits.VM_HUGEPAGE), (mergeable, bits.VM_MERGEABLE)):
            if wanted is not None:
                self.set_vma_bits(hva, size, bit if wanted else 0, bit)

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
            with self.invalidating(start, end):
                self._split_huge_edges(start, end)
                for _, part in self._slices(start, end):
                    pte = self.pages.pte[part]
                    pte[pte & bits.PRESENT != 0] |= bits.NUMA

    def fork(self) -> Child:
        """A child that shares all resident private pages, each of which must be copied before either side writes."""
        shared: list[Ints] = []
        for vma in list(self.vmas):
            index = self.pages.indices(0, vma.start >> PAGE_SHIFT, vma.end >> PAGE_SHIFT)
            if vma.file is not None or not self.pages.pte[index].any():
                continue
            with self.invalidating(vma.start, vma.end):
                present = index[self.pages.pte[index] & bits.PRESENT != 0]
                self.pages.pte[present] &= ~np.uint16(bits.WRITE)
                pfns = self.pages.num[present].astype(np.int64)
                pfns = pfns[pfns != bits.ZERO_PFN]
                np.add.at(self.frames.refs, pfns, 1)
                self.frames.flags[pfns] |= bits.FORKED
                shared.append(pfns)
        child = Child(self, np.concatenate(shared) if shared else np.zeros(0, dtype=np.int64))
        self.children.append(child)
        return child

    # Used by the rest of the host

    def zap(self, start: int, end: int) -> None:
        """Clear the page tables of bytes [start, end) and drop their pages. The caller has announced it."""
        for _, part in self._slices(start, end):
            self._drop(part)

    def set_vma_bits(self, hva: int, size: int, wanted: int, mask: int) -> None:
        """Set mapping bits on a range, splitting mappings at its ends."""
        check_range(hva, size)
        self._split_at(hva, hva + size)
        for vma in self.vmas.meeting(hva, hva + size):
            self._set_page_bits(vma.start, vma.end, wanted, mask)
        self.vmas.set_bits(hva, hva + size, wanted, mask)

    def split_huge(self, page: int) -> None:
        """Split the huge page of an hva page, if there is one, into 4 KiB mappings of the same frames."""
        index = self.pages.find_one(0, page & -HUGE_PAGES)
        start = (page & -HUGE_PAGES) << PAGE_SHIFT
        with self.invalidating(start, start + HUGE_BYTES):
            part = self.pages.pte[index : index + HUGE_PAGES]
            if part[page & (HUGE_PAGES - 1)] & bits.HUGE:
                part &= ~np.uint16(bits.HUGE)
                self.counters.split += 1

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
        return np.asarray(alone & (pfns != bits.ZERO_PFN))

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
            column[:] = column & ~np.uint8(mask) | np.uint8(wanted)

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
            if hva != block and block >= vma.start and block + HUGE_BYTES <= vma.end:
                self.split_huge(hva >> PAGE_SHIFT)
            self.vmas.split(vma, hva)

    def _split_huge_edges(self, start: int, end: int) -> None:
        for hva in (start, end):
            if hva % GIANT_BYTES and self.is_giant(hva >> PAGE_SHIFT):
                raise UsageError(f"hva {hva:#x}: hugetlbfs cannot be split")
            if hva % HUGE_BYTES and self.is_huge(hva >> PAGE_SHIFT):
                self.split_huge(hva >> PAGE_SHIFT)

    def _unmap_file(self, file: File, first: int, npages: int) -> None:
        for vma in list(self.vmas):
            if vma.file is file:
                origin = vma.start - (vma.offset << PAGE_SHIFT)
                start = max(vma.start, origin + (first << PAGE_SHIFT))
                end = min(vma.end, origin + ((first + npages) << PAGE_SHIFT))
                if start < end:
                    with self.invalidating(start, end):
                        self.zap(start, end)

    def _drop_cache(self, file: File, first: int, npages: int) -> None:
        part = file.pfns[first : first + npages]
        self.frames.put(part[part >= 0].astype(np.int64))
        part[:] = -1


class Child:
    """A forked process that only reads, for a snapshot. Its references make the parent copy pages that it writes."""

    def __init__(self, parent: AddressSpace, pfns: Ints) -> None:
        self._parent = parent
        self._pfns = pfns
        self.alive = True

    def exit(self) -> None:
        """The child exits and drops its references."""
        if self.alive:
            self.alive = False
            self._parent.children.remove(self)
            self._parent.frames.put(self._pfns, repeated=True)
