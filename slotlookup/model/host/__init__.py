"""The host: physical frames, one address space, and the memory management of its kernel."""

from __future__ import annotations

from slotlookup.address import PAGE_SHIFT
from slotlookup.errors import UsageError
from slotlookup.model.host import advice, bits, ksm
from slotlookup.model.host.faults import touch
from slotlookup.model.host.frames import Frames
from slotlookup.model.host.reclaim import Watermarks, pageout, reclaim
from slotlookup.model.host.space import AddressSpace


class Host(AddressSpace):
    """One process's memory on a machine of `memory` bytes, with reclaim."""

    def __init__(self, memory: int, marks: Watermarks | None = None) -> None:
        if memory >> PAGE_SHIFT < 16:
            raise UsageError(f"a host of {memory:,} bytes; it needs 64 KiB or more")
        super().__init__(Frames(memory >> PAGE_SHIFT))
        self.marks = marks or Watermarks.of(memory >> PAGE_SHIFT)

    @property
    def spare(self) -> int:
        """Frames that can be allocated before reclaim must run."""
        return self.frames.free - self.marks.low

    def reclaim(self) -> None:
        """Free frames up to the high mark."""
        reclaim(self, self.marks)

    def make_room(self) -> int:
        if self.spare <= 0:
            self.reclaim()
        return max(1, self.spare)

    def write(self, hva: int, npages: int = 1) -> None:
        """The process writes pages itself, by MADV_POPULATE_WRITE or by process_vm_writev.

        These are ordinary faults, which reach a hypervisor only if one copies a page.
        """
        touch(self, hva >> PAGE_SHIFT, npages, write=True)

    def read(self, hva: int, npages: int = 1) -> None:
        """The process reads pages itself, or by MADV_POPULATE_READ."""
        touch(self, hva >> PAGE_SHIFT, npages, write=False)

    def mprotect(self, hva: int, size: int, prot: str) -> None:
        """Change protection: "none", "r" or "rw". Locked memory that becomes writable is faulted in for writing."""
        before = [(vma, vma.bits) for vma in self.vmas.meeting(hva, hva + size)]
        locked = [vma for vma, had in before if had & bits.VM_LOCKED and not had & bits.VM_WRITE]
        super().mprotect(hva, size, prot)
        if locked and prot == "rw":
            advice.populate(self, hva, size)

    def mremap(self, hva: int, size: int, new_hva: int, *, dontunmap: bool = False) -> None:
        """As AddressSpace.mremap. Merged pages get frames of their own first, since KSM knows them by address."""
        vma = self.vmas.at(hva)
        if vma is not None and vma.bits & bits.VM_MERGEABLE:
            ksm.break_pages(self, hva, size)
        super().mremap(hva, size, new_hva, dontunmap=dontunmap)

    def free(self, hva: int, size: int) -> None:
        """MADV_FREE."""
        advice.free(self, hva, size)

    def cold(self, hva: int, size: int) -> None:
        """MADV_COLD."""
        advice.cold(self, hva, size)

    def dontfork(self, hva: int, size: int, on: bool = True) -> None:
        """MADV_DONTFORK, or MADV_DOFORK: children do not get this memory, so fork does not announce it."""
        self.set_vma_bits(hva, size, bits.VM_DONTCOPY if on else 0, bits.VM_DONTCOPY)

    def wipeonfork(self, hva: int, size: int, on: bool = True) -> None:
        """MADV_WIPEONFORK, or MADV_KEEPONFORK: children get this memory empty, so fork does not announce it."""
        self.set_vma_bits(hva, size, bits.VM_WIPEONFORK if on else 0, bits.VM_WIPEONFORK)

    def mlock(self, hva: int, size: int) -> None:
        """Mlock."""
        advice.mlock(self, hva, size)

    def munlock(self, hva: int, size: int) -> None:
        """Munlock."""
        advice.munlock(self, hva, size)

    def install_guards(self, hva: int, size: int) -> None:
        """MADV_GUARD_INSTALL."""
        advice.install_guards(self, hva, size)

    def remove_guards(self, hva: int, size: int) -> None:
        """MADV_GUARD_REMOVE."""
        advice.remove_guards(self, hva, size)

    def pageout(self, hva: int, size: int) -> None:
        """MADV_PAGEOUT."""
        advice.refuse_locked(self, hva, size, "MADV_PAGEOUT")
        pageout(self, hva, size)
