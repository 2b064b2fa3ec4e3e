"""guest_memfd: files of private guest memory (KVM_CREATE_GUEST_MEMFD), and the slots that are bound to their ranges.

The rules are those of `kvm_gmem_bind` and `kvm_gmem_release` in Linux 6.18 (virt/kvm/guest_memfd.c).
"""

from __future__ import annotations

from typing import NamedTuple

from slotlookup import errors
from slotlookup.address import ADDRESS_LIMIT, PAGE_SIZE, SlotNumber

_MOST_BYTES = 1 << 63  # sizes and offsets are signed


class GuestMemfd:
    """`size` bytes of private memory of the VM `vm`. A slot is bound to a range of it, a byte to one slot at most."""

    def __init__(self, vm: object, size: int) -> None:
        """Raises BadGuestMemfd if the size is not a positive multiple of 4096 below 2^63."""
        if not 0 < size < _MOST_BYTES or size % PAGE_SIZE:
            raise errors.BadGuestMemfd(f"a guest_memfd of {size:#x} bytes; it takes a positive multiple of {PAGE_SIZE}")
        self.size = size
        self.closed = False
        self._vm = vm
        self._bound: dict[SlotNumber, range] = {}

    def close(self) -> None:
        """Close the only descriptor. A slot keeps its flag and range of gfns but does not keep the file."""
        self.closed = True
        self._bound.clear()

    def check(self, vm: object, offset: int, size: int) -> None:
        """Raise RegionError unless a new slot of `vm` can be bound to `size` bytes from `offset` on."""
        if self.closed:
            raise errors.ClosedGuestMemfd("the guest_memfd is closed")
        if self._vm is not vm:
            raise errors.BadGuestMemfd("the guest_memfd is of another VM")
        # The kernel adds them as signed numbers, so a range that crosses 2^63 is not found to exceed the file.
        if offset + size > self.size and not offset < _MOST_BYTES <= offset + size:
            raise errors.BadGuestMemfd(f"guest_memfd range {_range(offset, size)} exceeds its {self.size:#x} bytes")
        for number, bound in self._bound.items():
            if offset < bound.stop and bound.start < offset + size:
                raise errors.BadGuestMemfd(f"guest_memfd range {_range(offset, size)} is bound to slot {number:#x}")

    def bind(self, number: SlotNumber, offset: int, size: int) -> None:
        """Bind a slot, after `check`."""
        self._bound[number] = range(offset, offset + size)

    def unbind(self, number: SlotNumber) -> None:
        """Unbind a slot that is deleted."""
        self._bound.pop(number, None)


class Backing(NamedTuple):
    """The file and offset of a call with KVM_MEM_GUEST_MEMFD; `file` is None if the descriptor is none."""

    file: GuestMemfd | None
    offset: int

    def check_values(self, size: int) -> None:
        """Raise BadGuestMemfd for what is refused whatever the file is: an offset unaligned or that wraps."""
        if self.offset % PAGE_SIZE:
            raise errors.BadGuestMemfd(f"guest_memfd offset {self.offset:#x} is not a multiple of {PAGE_SIZE}")
        if not 0 <= self.offset < ADDRESS_LIMIT - size:
            raise errors.BadGuestMemfd(f"guest_memfd offset {self.offset:#x} + size {size:#x} wraps")

    def check(self, vm: object, size: int) -> GuestMemfd:
        """The file, if a new slot of `vm` can be bound to `size` bytes of it. Raises RegionError."""
        if self.file is None:
            raise errors.ClosedGuestMemfd("there is no guest_memfd")
        self.file.check(vm, self.offset, size)
        return self.file


def _range(offset: int, size: int) -> str:
    return f"[{offset:#x}, {offset + size:#x})"
