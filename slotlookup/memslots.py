"""Memory slots and the rules of KVM_SET_USER_MEMORY_REGION.

`Memslots` has the slot state of `struct kvm`: two address spaces, each with an active and an inactive slot set, and a
generation. A call is first checked against the rules of Linux (virt/kvm/kvm_main.c, 5.17 to 6.18), then prepared in the
inactive set, then published. Every refusal is a named error of `slotlookup.errors` with the offending values, and the
rules are checked in the kernel's order wherever the errno depends on it. `make kernel-rules` compares them with a
running kernel. Left out: refusals for lack of memory, and the tag bits of hvas, which depend on the process.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from slotlookup import errors
from slotlookup.address import (
    ADDRESS_LIMIT,
    PAGE_SHIFT,
    PAGE_SIZE,
    Gfn,
    Gpa,
    Hva,
    SlotNumber,
    gfn_to_gpa,
    gpa_to_gfn,
)
from slotlookup.architecture import X86_64, Architecture
from slotlookup.guest_memfd import Backing, GuestMemfd

LOG_DIRTY_PAGES = 1
READONLY = 2
GUEST_MEMFD = 4
"""KVM_MEM_GUEST_MEMFD, Linux 6.8: the slot has private memory too, which no host address maps."""

INVALID = 1 << 16
"""KVM_MEMSLOT_INVALID: readers see it while a slot is deleted or moved, from Linux 5.17 on in a copy of the slot."""

USER_SLOTS = 32_764
"""KVM_USER_MEM_SLOTS on x86: SHRT_MAX less three internal slots."""
ADDRESS_SPACES = 2
"""What slot sets and strategies have room for; a VM may have fewer (`Architecture.address_spaces`)."""
MAX_PAGES = (1 << 31) - 1

GENERATION_IN_PROGRESS = 1 << 63

# Constants with which every call is compared, computed once.
_MOST_BYTES = MAX_PAGES << PAGE_SHIFT
_IN_PAGE = PAGE_SIZE - 1
_OTHER_FLAGS = ~(LOG_DIRTY_PAGES | READONLY)


# A named tuple is created in half the time of a frozen dataclass, and a recording may have a hundred thousand changes.
class Memslot(NamedTuple):
    """One slot: `npages` pages from `base_gfn`, backed by host memory from `userspace_addr` on."""

    number: SlotNumber
    base_gfn: Gfn
    npages: int
    userspace_addr: Hva
    flags: int = 0

    @property
    def id(self) -> int:
        """The slot id within its address space."""
        return self.number & 0xFFFF

    @property
    def as_id(self) -> int:
        """The address space."""
        return self.number >> 16

    @property
    def end_gfn(self) -> Gfn:
        """One past the last gfn."""
        return Gfn(self.base_gfn + self.npages)

    @property
    def userspace_end(self) -> Hva:
        """One past the last byte of the backing host memory."""
        return Hva(self.userspace_addr + self.size)

    @property
    def gpa(self) -> Gpa:
        """The first guest-physical byte address."""
        return gfn_to_gpa(self.base_gfn)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.npages << PAGE_SHIFT

    def __str__(self) -> str:
        return f"slot {describe_number(self.number)} [{self.gpa:#x}, {self.gpa + self.size:#x})"


def describe_number(number: int) -> str:
    """A slot number in words: the id, and the address space if it is not 0."""
    as_id, slot_id = number >> 16, number & 0xFFFF
    return f"{slot_id}" if as_id == 0 else f"{slot_id} of address space {as_id}"


class ChangeKind(IntEnum):
    """The kind of a call, in KVM's own terms. The values are those of the native core."""

    CREATE = 0
    DELETE = 1
    MOVE = 2
    FLAGS_ONLY = 3


# Python 3.11 takes 0.1 us to find a member in its class, and a call of the ioctl would need ten.
_CREATE, _DELETE, _MOVE, _FLAGS_ONLY = ChangeKind


class SlotChange(NamedTuple):
    """A change that the rules accepted. `slot` is the slot as it is afterwards; for DELETE, as it was."""

    kind: ChangeKind
    slot: Memslot


def follow(held: dict[SlotNumber, Memslot], change: SlotChange) -> None:
    """Carry an accepted change out on the slots `held`, by number. A slot that is changed keeps its place in order."""
    if change.kind is _DELETE:
        del held[change.slot.number]
    else:
        held[change.slot.number] = change.slot


def by_number(slots: Iterable[Memslot]) -> dict[SlotNumber, Memslot]:
    """Slots as `follow` takes them."""
    return {slot.number: slot for slot in slots}


class SlotSet:
    """The slots of one address space at one moment: by id, and by gfn in order."""

    def __init__(self) -> None:
        self._by_number: dict[SlotNumber, Memslot] = {}
        self._by_base: dict[int, Memslot] = {}
        # A plain list: at 32,764 slots an insertion moves 128 KiB, which is still faster than a tree in Python.
        self._bases: list[int] = []

    def get(self, number: SlotNumber) -> Memslot | None:
        """The slot of that number, or None."""
        return self._by_number.get(number)

    def overlapping(self, start: Gfn, end: Gfn, ignoring: SlotNumber) -> Memslot | None:
        """Some slot that overlaps [start, end) and is not `ignoring`, or None."""
        bases = self._bases
        at = bisect_left(bases, start)
        if at:
            slot = self._by_base[bases[at - 1]]
            if slot.base_gfn + slot.npages > start and slot.number != ignoring:
                return slot
        while at < len(bases) and bases[at] < end:
            slot = self._by_base[bases[at]]
            if slot.number != ignoring:
                return slot
            at += 1
        return None

    def apply(self, change: SlotChange) -> None:
        """Apply an accepted change."""
        slot, kind = change.slot, change.kind
        if kind is _FLAGS_ONLY:
            # Assigned in place: the slot keeps its rank in the order of creation.
            self._by_number[slot.number] = self._by_base[slot.base_gfn] = slot
            return
        if kind is not _CREATE:
            old = self._by_number.pop(slot.number)
            del self._by_base[old.base_gfn]
            del self._bases[bisect_left(self._bases, old.base_gfn)]
        if kind is not _DELETE:
            self._by_number[slot.number] = slot
            self._by_base[slot.base_gfn] = slot
            insort(self._bases, slot.base_gfn)

    def copy(self) -> SlotSet:
        """Another set of the same slots."""
        other = SlotSet()
        other._by_number = self._by_number.copy()
        other._by_base = self._by_base.copy()
        other._bases = self._bases.copy()
        return other

    def by_creation(self) -> list[Memslot]:
        """The slots in the order in which they were created; a moved slot counts as created when it was moved."""
        return list(self._by_number.values())

    def __iter__(self) -> Iterator[Memslot]:
        return iter([self._by_base[base] for base in self._bases])

    def __len__(self) -> int:
        return len(self._by_number)


@dataclass(frozen=True, slots=True)
class PendingChange:
    """A change in the inactive set, not yet visible to readers."""

    memslots: Memslots
    change: SlotChange

    def publish(self) -> SlotChange:
        """Swap the sets, apply the change to the other, and advance the generation."""
        self.memslots._publish(self.change)
        return self.change


class Memslots:
    """A VM's memory slots, which the ioctl edits and lookups read."""

    def __init__(self, slots: Iterable[Memslot] = (), architecture: Architecture = X86_64) -> None:
        """Start from `slots`, each checked against the rules; a refusal raises RegionError."""
        self.architecture = architecture
        self._sets = [(SlotSet(), SlotSet()) for _ in range(ADDRESS_SPACES)]
        self._active = [0] * ADDRESS_SPACES
        self._generations = list(range(ADDRESS_SPACES))
        self._pages = 0
        self._aliased: frozenset[SlotNumber] | None = None
        self._backed: dict[SlotNumber, GuestMemfd] = {}
        for slot in slots:
            self.set_recorded(slot.number, slot.gpa, slot.size, slot.userspace_addr, slot.flags)

    def active(self, as_id: int = 0) -> SlotSet:
        """The set that lookups read."""
        return self._sets[as_id][self._active[as_id]]

    def inactive(self, as_id: int = 0) -> SlotSet:
        """The set in which a change is prepared; equal to the active one if none is pending."""
        return self._sets[as_id][1 - self._active[as_id]]

    def generation(self, as_id: int = 0) -> int:
        """Even numbers for address space 0, odd for 1; GENERATION_IN_PROGRESS is set while a change is pending."""
        return self._generations[as_id]

    def prepare(
        self, number: int, gpa: int, size: int, hva: int, flags: int, backing: Backing | None = None
    ) -> PendingChange | None:
        """Check a call and prepare it in the inactive set; None if nothing would change.

        `number` is `as_id << 16 | id`; `gpa`, `size` and `hva` are bytes. `backing` counts only with GUEST_MEMFD; None
        is one that is not known, of which nothing is checked. Raises RegionError if KVM refuses the call.
        """
        if not flags & GUEST_MEMFD:
            backing = None
        change = self._classify(number, gpa, size, hva, flags, backing)
        if change is None:
            return None
        as_id = change.slot.as_id
        if self._generations[as_id] & GENERATION_IN_PROGRESS:
            raise RuntimeError(f"a change of address space {as_id} is pending already")
        self._generations[as_id] |= GENERATION_IN_PROGRESS
        self.inactive(as_id).apply(change)
        if backing is not None and backing.file is not None and change.kind is _CREATE:
            backing.file.bind(change.slot.number, backing.offset, size)
            self._backed[change.slot.number] = backing.file
        return PendingChange(self, change)

    def set_user_memory_region(self, number: int, gpa: int, size: int, hva: int, flags: int) -> SlotChange | None:
        """KVM_SET_USER_MEMORY_REGION: prepare and publish. None if the call changes nothing."""
        if flags & GUEST_MEMFD:
            raise errors.BadFlags(f"flags {flags:#x}: only KVM_SET_USER_MEMORY_REGION2 takes GUEST_MEMFD")
        return self.set_recorded(number, gpa, size, hva, flags)

    def set_user_memory_region2(
        self,
        number: int,
        gpa: int,
        size: int,
        hva: int,
        flags: int,
        guest_memfd: GuestMemfd | None = None,
        guest_memfd_offset: int = 0,
    ) -> SlotChange | None:
        """KVM_SET_USER_MEMORY_REGION2 (Linux 6.8). The last two count only with GUEST_MEMFD; None is no open file."""
        pending = self.prepare(number, gpa, size, hva, flags, Backing(guest_memfd, guest_memfd_offset))
        return None if pending is None else pending.publish()

    def set_recorded(self, number: int, gpa: int, size: int, hva: int, flags: int) -> SlotChange | None:
        """A recorded call of either ioctl. Recordings do not say which guest_memfd it names, so none is checked."""
        pending = self.prepare(number, gpa, size, hva, flags)
        return None if pending is None else pending.publish()

    def create_guest_memfd(self, size: int) -> GuestMemfd:
        """KVM_CREATE_GUEST_MEMFD: a file of `size` bytes. Raises BadGuestMemfd."""
        return GuestMemfd(self, size)

    def play(self, calls: Iterable[tuple[int, int, int, int, int]]) -> Generator[SlotChange | None, None, None]:
        """Apply (slot number, gpa, size, hva, flags) calls without concurrent readers: the change of each, or None.

        The result is that of set_recorded on each, at half the cost: the inactive sets are updated once, at
        the end. A refusal raises RegionError; the calls before it stay applied. No other method may be called until
        the iterator is exhausted or closed.
        """
        if any(generation & GENERATION_IN_PROGRESS for generation in self._generations):
            raise RuntimeError("a change is pending")
        played = [0] * ADDRESS_SPACES
        try:
            for number, gpa, size, hva, flags in calls:
                change = self._classify(number, gpa, size, hva, flags)
                if change is not None:
                    as_id = number >> 16
                    self._sets[as_id][self._active[as_id]].apply(change)
                    self._settle(change)
                    played[as_id] += 1
                yield change
        finally:
            for as_id, times in enumerate(played):
                if times:
                    self._generations[as_id] += times * ADDRESS_SPACES
                    pair = (self.active(as_id), self.active(as_id).copy())
                    self._active[as_id] = (self._active[as_id] + times) % 2
                    self._sets[as_id] = pair if self._active[as_id] == 0 else (pair[1], pair[0])
                    self._aliased = None

    def aliased(self) -> frozenset[SlotNumber]:
        """The slots whose host memory another slot also maps, in any address space."""
        if self._aliased is None:
            self._aliased = frozenset(find_aliased(self))
        return self._aliased

    def get(self, number: int) -> Memslot | None:
        """The active slot of that number, or None."""
        as_id = number >> 16
        return self.active(as_id).get(SlotNumber(number)) if as_id < ADDRESS_SPACES else None

    def by_creation(self) -> list[Memslot]:
        """The active slots by address space, then in the order in which they were created or moved."""
        return [slot for as_id in range(ADDRESS_SPACES) for slot in self.active(as_id).by_creation()]

    def __iter__(self) -> Iterator[Memslot]:
        """The active slots, by address space and gfn."""
        for as_id in range(ADDRESS_SPACES):
            yield from self.active(as_id)

    def __len__(self) -> int:
        return sum(len(self.active(as_id)) for as_id in range(ADDRESS_SPACES))

    def _publish(self, change: SlotChange) -> None:
        as_id = change.slot.as_id
        if not self._generations[as_id] & GENERATION_IN_PROGRESS:
            raise RuntimeError(f"no change of address space {as_id} is pending")
        self._active[as_id] ^= 1
        self.inactive(as_id).apply(change)
        self._generations[as_id] = (self._generations[as_id] & ~GENERATION_IN_PROGRESS) + ADDRESS_SPACES
        self._settle(change)
        self._aliased = None

    def _settle(self, change: SlotChange) -> None:
        """What a change does beside the slot sets: the VM's pages, and a deleted slot's part of a guest_memfd."""
        if change.kind is _CREATE:
            self._pages += change.slot.npages
        elif change.kind is _DELETE:
            self._pages -= change.slot.npages
            if self._backed and (file := self._backed.pop(change.slot.number, None)) is not None:
                file.unbind(change.slot.number)

    def _classify(
        self, number: int, gpa: int, size: int, hva: int, flags: int, backing: Backing | None = None
    ) -> SlotChange | None:
        _check_values(number, gpa, size, hva, flags, self.architecture)
        if backing is not None:
            backing.check_values(size)
        slot_number = SlotNumber(number)
        slots = self._sets[number >> 16][self._active[number >> 16]]
        old = slots.get(slot_number)
        if size == 0:
            if old is None:
                name = describe_number(number)
                raise errors.UnknownSlot(f"slot {name} does not exist, so size 0 cannot delete it")
            return SlotChange(_DELETE, old)
        wanted = Memslot(slot_number, Gfn(gpa >> PAGE_SHIFT), size >> PAGE_SHIFT, Hva(hva), flags)
        if old is None:
            if self._pages + wanted.npages >= ADDRESS_LIMIT:
                name = describe_number(number)
                raise errors.TooManyPages(f"slot {name} brings the VM to {self._pages + wanted.npages:,} pages")
            kind = _CREATE
        else:
            name = describe_number(number)
            if (wanted.flags | old.flags) & GUEST_MEMFD:
                raise errors.ImmutableRegion(f"slot {name} has or asks for GUEST_MEMFD, so it can only be deleted")
            if wanted.npages != old.npages:
                raise errors.ImmutableRegion(f"slot {name} has {old.size:#x} bytes and cannot have {size:#x}")
            if wanted.userspace_addr != old.userspace_addr:
                raise errors.ImmutableRegion(f"slot {name} is at hva {old.userspace_addr:#x} and cannot be at {hva:#x}")
            if (wanted.flags ^ old.flags) & READONLY:
                raise errors.ImmutableRegion(f"slot {name} cannot change READONLY (flags {old.flags:#x} to {flags:#x})")
            if wanted.base_gfn != old.base_gfn:
                kind = _MOVE
            elif wanted.flags != old.flags:
                kind = _FLAGS_ONLY
            else:
                return None
        if kind is not _FLAGS_ONLY:
            other = slots.overlapping(wanted.base_gfn, wanted.end_gfn, slot_number)
            if other is not None:
                raise errors.GfnOverlap(f"{wanted} meets {other}")
            # The file is bound before the architecture sees the slot, so its errno comes first.
            if backing is not None:
                backing.check(self, size)
            _check_gpa(number, gpa, size, self.architecture)
        return SlotChange(kind, wanted)


def _check_gpa(number: int, gpa: int, size: int, architecture: Architecture) -> None:
    """The limit of gpas, which is not that of a deletion and comes after the other slots."""
    if gpa + size > architecture.gpa_limit:
        raise errors.UnreachableGpa(
            f"gpa {gpa:#x} + size {size:#x} of slot {describe_number(number)} is above {architecture.gpa_limit:#x}, "
            f"the most that a guest on {architecture.name} can address",
            architecture.gpa_errno,
        )


def _check_values(number: int, gpa: int, size: int, hva: int, flags: int, architecture: Architecture) -> None:
    """The rules that do not depend on other slots, but for the limit of gpas."""
    if (
        number >= 0
        and number >> 16 < architecture.address_spaces
        and number & 0xFFFF < USER_SLOTS
        and 0 <= gpa < ADDRESS_LIMIT - size
        and 0 <= hva <= architecture.hva_limit - size
        and 0 <= size <= _MOST_BYTES
        and not (gpa | size | hva) & _IN_PAGE
        and not flags & _OTHER_FLAGS
    ):
        return  # true for nearly every call; the rest of this function finds the rule that a bad one breaks
    for what, value in (("slot number", number), ("gpa", gpa), ("size", size), ("hva", hva)):
        if not 0 <= value < ADDRESS_LIMIT:
            raise errors.WrappedRegion(f"{what} {value:#x} is not an unsigned 64-bit value")
    if number >> 16 >= architecture.address_spaces:
        raise errors.BadAddressSpace(
            f"address space {number >> 16} of slot number {number:#x} is not below {architecture.address_spaces}, the "
            f"number that a VM on {architecture.name} has"
        )
    if number & 0xFFFF >= USER_SLOTS:
        raise errors.BadSlotId(f"slot id {number & 0xFFFF} is not below {USER_SLOTS}")
    for what, value in (("gpa", gpa), ("size", size), ("hva", hva)):
        if value % PAGE_SIZE:
            raise errors.UnalignedRegion(
                f"{what} {value:#x} of slot {describe_number(number)} is not a multiple of {PAGE_SIZE}"
            )
    if flags & ~(LOG_DIRTY_PAGES | READONLY | GUEST_MEMFD):
        raise errors.BadFlags(
            f"flags {flags:#x} of slot {describe_number(number)} contain more than LOG_DIRTY_PAGES, READONLY and "
            "GUEST_MEMFD"
        )
    if flags & GUEST_MEMFD and flags != GUEST_MEMFD:
        raise errors.BadFlags(
            f"flags {flags:#x} of slot {describe_number(number)}: GUEST_MEMFD cannot be combined with other flags"
        )
    if gpa + size >= ADDRESS_LIMIT:
        raise errors.WrappedRegion(f"gpa {gpa:#x} + size {size:#x} wraps")
    if hva + size >= ADDRESS_LIMIT:
        raise errors.WrappedRegion(f"hva {hva:#x} + size {size:#x} wraps")
    # Linux checks the hva before it looks at the size, so that of a deletion counts too.
    if hva + size > architecture.hva_limit:
        raise errors.InaccessibleHva(
            f"hva {hva:#x} + size {size:#x} is above {architecture.hva_limit:#x}, the end of user space on "
            f"{architecture.name}"
        )
    if size >> PAGE_SHIFT > MAX_PAGES:
        raise errors.TooManyPages(
            f"slot {describe_number(number)} has {size >> PAGE_SHIFT:,} pages, more than {MAX_PAGES:,}"
        )


def make_memslot(
    number: int, gpa: int, size: int, hva: int, flags: int = 0, *, architecture: Architecture = X86_64
) -> Memslot:
    """A slot from byte addresses, checked against the rules that do not depend on other slots. Raises RegionError."""
    _check_values(number, gpa, size, hva, flags, architecture)
    if size == 0:
        raise errors.ZeroSizeRegion(f"slot {describe_number(number)} at gpa {gpa:#x} has no pages")
    _check_gpa(number, gpa, size, architecture)
    return Memslot(SlotNumber(number), gpa_to_gfn(Gpa(gpa)), size >> PAGE_SHIFT, Hva(hva), flags)


def with_flags(slot: Memslot, flags: int) -> Memslot:
    """The same slot with other flags."""
    return slot._replace(flags=flags)


def find_aliased(slots: Iterable[Memslot]) -> set[SlotNumber]:
    """The slots whose host memory overlaps another's: one sweep over the starts."""
    aliased: set[SlotNumber] = set()
    furthest: Memslot | None = None
    for slot in sorted(slots, key=lambda s: s.userspace_addr):
        if furthest is not None and slot.userspace_addr < furthest.userspace_end:
            aliased |= {furthest.number, slot.number}
        if furthest is None or slot.userspace_end > furthest.userspace_end:
            furthest = slot
    return aliased
