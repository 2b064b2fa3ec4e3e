"""The rules of KVM_SET_USER_MEMORY_REGION, each with its error and the values in the message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotlookup import errors
from slotlookup.address import Gfn, Hva, SlotNumber
from slotlookup.errors import EXIT_USAGE, RegionError
from slotlookup.memslots import (
    GENERATION_IN_PROGRESS,
    LOG_DIRTY_PAGES,
    MAX_PAGES,
    READONLY,
    USER_SLOTS,
    ChangeKind,
    Memslot,
    Memslots,
    find_aliased,
    make_memslot,
    with_flags,
)

M = 1 << 20
HVA = 0x7F00_0000_0000
SECOND = 1 << 16

Call = tuple[int, int, int, int, int]
"""Slot number, gpa, size, hva, flags."""

VALUES: list[tuple[Call, type[RegionError], list[str]]] = [
    ((0, 1, M, HVA, 0), errors.UnalignedRegion, ["gpa 0x1", "slot 0"]),
    ((3, 0, M + 8, HVA, 0), errors.UnalignedRegion, ["size 0x100008", "slot 3"]),
    ((SECOND + 3, 0, M, HVA + 0x800, 0), errors.UnalignedRegion, ["hva 0x7f0000000800", "slot 3 of address space 1"]),
    ((0, (1 << 64) - M, M, HVA, 0), errors.WrappedRegion, ["gpa 0xfffffffffff00000", "size 0x100000"]),
    ((0, (1 << 64) - M, 2 * M, HVA, 0), errors.WrappedRegion, ["gpa 0xfffffffffff00000", "size 0x200000"]),
    ((0, 0, M, (1 << 64) - M, 0), errors.WrappedRegion, ["hva 0xfffffffffff00000", "size 0x100000"]),
    ((0, 1 << 64, M, HVA, 0), errors.WrappedRegion, ["gpa 0x10000000000000000"]),
    ((0, -4096, M, HVA, 0), errors.WrappedRegion, ["gpa -0x1000"]),
    ((-1, 0, M, HVA, 0), errors.WrappedRegion, ["slot number -0x1"]),
    ((0, 0, M, 1 << 63, 0), errors.InaccessibleHva, ["hva 0x8000000000000000", "size 0x100000"]),
    ((0, 0, M, (1 << 63) - 4096, 0), errors.InaccessibleHva, ["hva 0x7ffffffffffff000"]),
    ((0, 0, M, (1 << 47) - M, 0), errors.InaccessibleHva, ["hva 0x7ffffff00000", "0x7ffffffff000", "x86-64"]),
    (
        (0, (1 << 52) - M + 4096, M, HVA, 0),
        errors.UnreachableGpa,
        ["gpa 0xffffffff01000", "0x10000000000000", "x86-64"],
    ),
    ((0, 0, 0, (1 << 63) + 4096, 0), errors.InaccessibleHva, ["hva 0x8000000000001000", "size 0x0"]),
    ((USER_SLOTS, 0, M, HVA, 0), errors.BadSlotId, ["slot id 32764", "32764"]),
    ((SECOND + 0xFFFF, 0, M, HVA, 0), errors.BadSlotId, ["slot id 65535"]),
    ((2 << 16, 0, M, HVA, 0), errors.BadAddressSpace, ["address space 2", "0x20000"]),
    ((0, 0, M, HVA, 8), errors.BadFlags, ["flags 0x8", "slot 0"]),
    ((0, 0, M, HVA, 1 << 31 | 1), errors.BadFlags, ["flags 0x80000001"]),
    ((0, 0, (MAX_PAGES + 1) << 12, 0, 0), errors.TooManyPages, ["2,147,483,648 pages", "2,147,483,647"]),
    ((7, 0, 0, HVA, 0), errors.UnknownSlot, ["slot 7", "does not exist"]),
]


@pytest.mark.parametrize(("call", "error", "words"), VALUES)
def test_refused_for_its_values(call: Call, error: type[RegionError], words: list[str]) -> None:
    memslots = Memslots()
    with pytest.raises(error) as caught:
        memslots.set_user_memory_region(*call)
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).endswith("(EINVAL)")
    assert caught.value.exit_code == EXIT_USAGE
    assert len(memslots) == 0
    assert memslots.generation(0) == 0


def two_slots() -> Memslots:
    """Slot 1 at gpa [1 MiB, 2 MiB), slot 2 at [2 MiB, 3 MiB); both read-write."""
    memslots = Memslots()
    memslots.set_user_memory_region(1, 1 * M, M, HVA, 0)
    memslots.set_user_memory_region(2, 2 * M, M, HVA + M, 0)
    return memslots


def test_a_deletion_needs_an_hva_of_user_space() -> None:
    """As KVM_SET_USER_MEMORY_REGION on Linux 6.18: EINVAL for an hva of the kernel's half, and the slot stays."""
    memslots = two_slots()
    with pytest.raises(errors.InaccessibleHva):
        memslots.set_user_memory_region(1, 0, 0, (1 << 64) - 4096, 0)
    assert [slot.number for slot in memslots] == [1, 2]
    change = memslots.set_user_memory_region(1, 0, 0, 4096, 0)
    assert change is not None and change.kind is ChangeKind.DELETE


AGAINST_OTHERS: list[tuple[Call, type[RegionError], list[str], str]] = [
    ((1, 1 * M, 2 * M, HVA, 0), errors.ImmutableRegion, ["slot 1", "0x100000", "0x200000"], "EINVAL"),
    ((1, 1 * M, M, HVA + M, 0), errors.ImmutableRegion, ["slot 1", "hva 0x7f0000000000", "0x7f0000100000"], "EINVAL"),
    ((1, 1 * M, M, HVA, READONLY), errors.ImmutableRegion, ["slot 1", "READONLY", "0x0 to 0x2"], "EINVAL"),
    ((3, 0, 2 * M, HVA, 0), errors.GfnOverlap, ["slot 3 [0x0, 0x200000)", "slot 1 [0x100000, 0x200000)"], "EEXIST"),
    ((3, 3 * M - 4096, M, HVA, 0), errors.GfnOverlap, ["slot 3 [0x2ff000,", "slot 2 [0x200000, 0x300000)"], "EEXIST"),
    ((3, 1 * M + 4096, 4096, HVA, 0), errors.GfnOverlap, ["slot 1"], "EEXIST"),
    ((3, 0, 8 * M, HVA, 0), errors.GfnOverlap, ["slot 3 [0x0, 0x800000)"], "EEXIST"),
    ((1, 2 * M - 4096, M, HVA, 0), errors.GfnOverlap, ["slot 1 [0x1ff000,", "slot 2"], "EEXIST"),
    ((1, 0, M, HVA + M, 0), errors.ImmutableRegion, ["slot 1"], "EINVAL"),
]


@pytest.mark.parametrize(("call", "error", "words", "errno"), AGAINST_OTHERS)
def test_refused_for_the_slots_there(call: Call, error: type[RegionError], words: list[str], errno: str) -> None:
    memslots = two_slots()
    before, generation = list(memslots), memslots.generation()
    with pytest.raises(error) as caught:
        memslots.set_user_memory_region(*call)
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).endswith(f"({errno})")
    assert list(memslots) == before
    assert memslots.generation() == generation


def test_what_no_other_slot_concerns_passes() -> None:
    """The largest values that pass on x86-64: the last page of 52-bit gpas, and that below the guard page of hvas."""
    memslots = Memslots()
    memslots.set_user_memory_region(
        USER_SLOTS - 1, (1 << 52) - 4096, 4096, (1 << 47) - 2 * 4096, LOG_DIRTY_PAGES | READONLY
    )
    memslots.set_user_memory_region(0, 0, MAX_PAGES << 12, 0, 0)
    assert [slot.number for slot in memslots] == [0, USER_SLOTS - 1]


def test_kinds_of_change() -> None:
    memslots = two_slots()
    set_region = memslots.set_user_memory_region
    change = set_region(1, 1 * M, M, HVA, LOG_DIRTY_PAGES)
    assert change is not None and change.kind is ChangeKind.FLAGS_ONLY and change.slot.flags == LOG_DIRTY_PAGES
    assert set_region(1, 1 * M, M, HVA, LOG_DIRTY_PAGES) is None
    change = set_region(1, 8 * M, M, HVA, 0)
    assert change is not None and change.kind is ChangeKind.MOVE
    assert (change.slot.base_gfn, change.slot.flags) == (8 * M >> 12, 0)
    change = set_region(1, 0xDEAD000, 0, 0, 0)  # where the size is 0, the other values must be valid and have no effect
    assert change is not None and change.kind is ChangeKind.DELETE
    assert change.slot == Memslot(SlotNumber(1), Gfn(8 * M >> 12), 256, Hva(HVA))
    change = set_region(1, 1 * M, M, HVA + 5 * M, READONLY)
    assert change is not None and change.kind is ChangeKind.CREATE


def test_a_slot_does_not_overlap_itself() -> None:
    memslots = two_slots()
    change = memslots.set_user_memory_region(1, 1 * M - 4096, M, HVA, 0)
    assert change is not None and change.kind is ChangeKind.MOVE


def test_hvas_may_overlap_and_address_spaces_are_apart() -> None:
    memslots = two_slots()
    memslots.set_user_memory_region(3, 16 * M, M, HVA, 0)
    memslots.set_user_memory_region(SECOND + 1, 1 * M, M, HVA, 0)
    assert [slot.number for slot in memslots] == [1, 2, 3, SECOND + 1]
    assert memslots.get(SECOND + 1) == make_memslot(SECOND + 1, 1 * M, M, HVA)
    assert memslots.get(SECOND + 2) is None
    assert memslots.get(2 << 16) is None


def test_generations() -> None:
    """Address space 0 counts 0, 2, 4 and so on, address space 1 counts 1, 3, 5; refusals and no-ops do not count."""
    memslots = Memslots()
    assert (memslots.generation(0), memslots.generation(1)) == (0, 1)
    memslots.set_user_memory_region(0, 0, M, HVA, 0)
    assert (memslots.generation(0), memslots.generation(1)) == (2, 1)
    memslots.set_user_memory_region(SECOND, 0, M, HVA, 0)
    memslots.set_user_memory_region(SECOND, 0, M, HVA, LOG_DIRTY_PAGES)
    assert (memslots.generation(0), memslots.generation(1)) == (2, 5)
    memslots.set_user_memory_region(0, 0, M, HVA, 0)
    assert memslots.generation(0) == 2
    memslots.set_user_memory_region(0, 0, 0, 0, 0)
    assert memslots.generation(0) == 4


def test_active_and_inactive() -> None:
    memslots = two_slots()
    pending = memslots.prepare(3, 16 * M, M, HVA + 2 * M, 0)
    assert pending is not None
    assert memslots.generation(0) == 4 | GENERATION_IN_PROGRESS
    assert memslots.get(3) is None
    assert [slot.number for slot in memslots.active()] == [1, 2]
    assert [slot.number for slot in memslots.inactive()] == [1, 2, 3]
    with pytest.raises(RuntimeError, match="address space 0 is pending"):
        memslots.set_user_memory_region(4, 32 * M, M, HVA, 0)
    memslots.set_user_memory_region(SECOND, 0, M, HVA, 0)  # the other address space goes its own way
    assert pending.publish().kind is ChangeKind.CREATE
    assert memslots.generation(0) == 6
    assert memslots.get(3) is not None
    assert list(memslots.active()) == list(memslots.inactive())
    with pytest.raises(RuntimeError, match="no change of address space 0 is pending"):
        pending.publish()
    assert list(memslots.active()) == list(memslots.inactive())


@pytest.mark.parametrize("call", [(1, 0, 0, 0, 0), (1, 8 * M, M, HVA, 0), (1, 1 * M, M, HVA, 1)])
def test_a_prepared_change_is_not_seen(call: Call) -> None:
    memslots = two_slots()
    before = list(memslots)
    pending = memslots.prepare(*call)
    assert pending is not None
    assert list(memslots) == before
    assert list(memslots.inactive()) != before
    pending.publish()
    assert list(memslots.active()) == list(memslots.inactive()) != before


def test_a_slot_and_its_words() -> None:
    slot = make_memslot(SECOND + 5, 3 * M, M, HVA, READONLY)
    assert (slot.id, slot.as_id) == (5, 1)
    assert (slot.gpa, slot.size, slot.end_gfn) == (3 * M, M, 1024)
    assert slot.userspace_end == HVA + M
    assert str(slot) == "slot 5 of address space 1 [0x300000, 0x400000)"
    assert str(make_memslot(5, 0, M, HVA)) == "slot 5 [0x0, 0x100000)"
    assert with_flags(slot, 0).flags == 0


def test_make_memslot_refuses_no_pages() -> None:
    with pytest.raises(errors.ZeroSizeRegion, match="slot 4 at gpa 0x1000 has no pages"):
        make_memslot(4, 0x1000, 0, HVA)
    with pytest.raises(errors.UnalignedRegion):
        make_memslot(4, 0x1001, M, HVA)


ranges = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12), st.integers(0, 1)), max_size=12)


@given(ranges)
@settings(deadline=None, derandomize=True)
def test_aliases(drawn: list[tuple[int, int, int]]) -> None:
    """Against each pair, compared byte range by byte range; gfns are laid out apart."""
    slots = [
        Memslot(SlotNumber(as_id << 16 | i), Gfn(64 * i), npages, Hva(HVA + at * 4096))
        for i, (at, npages, as_id) in enumerate(drawn)
    ]
    aliased = set()
    for a in slots:
        for b in slots:
            pages_of_a = set(range(a.userspace_addr, a.userspace_addr + 4096 * a.npages, 4096))
            pages_of_b = set(range(b.userspace_addr, b.userspace_addr + 4096 * b.npages, 4096))
            if a is not b and pages_of_a & pages_of_b:
                aliased.add(a.number)
    assert find_aliased(slots) == aliased
    memslots = Memslots(slots)
    assert memslots.aliased() == aliased
    if slots:
        memslots.set_user_memory_region(slots[0].number, 0, 0, 0, 0)
        assert memslots.aliased() == find_aliased(slots[1:])


calls = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, SECOND, SECOND + 1]),  # number
        st.integers(0, 12),  # first gfn
        st.integers(0, 4),  # pages
        st.integers(0, 2),  # hva
        st.integers(0, 3),  # flags
    ),
    max_size=30,
)


@given(calls)
@settings(deadline=None, derandomize=True, max_examples=300)
def test_against_a_model_of_pages(drawn: list[tuple[int, int, int, int, int]]) -> None:
    """A model that knows for each page of each address space whose it is, and for each slot its last values."""
    memslots = Memslots()
    owner: dict[tuple[int, int], int] = {}
    values: dict[int, tuple[int, int, int, int]] = {}
    published = [0, 1]
    for number, gfn, npages, hva, flags in drawn:
        as_id = number >> 16
        wanted = {(as_id, page) for page in range(gfn, gfn + npages)}
        old = values.get(number)
        taken = any(owner.get(page, number) != number for page in wanted)
        expected: ChangeKind | type[RegionError] | None
        if npages == 0:
            expected = errors.UnknownSlot if old is None else ChangeKind.DELETE
        elif old is None:
            expected = errors.GfnOverlap if taken else ChangeKind.CREATE
        elif old[1] != npages or old[2] != hva or (old[3] & READONLY) != (flags & READONLY):
            expected = errors.ImmutableRegion
        elif old[0] != gfn:
            expected = errors.GfnOverlap if taken else ChangeKind.MOVE
        else:
            expected = None if old[3] == flags else ChangeKind.FLAGS_ONLY

        call = (number, gfn << 12, npages << 12, HVA + (hva << 12), flags)
        if isinstance(expected, type):
            with pytest.raises(expected):
                memslots.set_user_memory_region(*call)
            continue
        change = memslots.set_user_memory_region(*call)
        assert (None if change is None else change.kind) == expected
        if change is not None:
            owner = {page: who for page, who in owner.items() if who != number}
            values.pop(number, None)
            if npages:
                owner |= dict.fromkeys(wanted, number)
                values[number] = (gfn, npages, hva, flags)
            published[as_id] += 2
        assert [memslots.generation(0), memslots.generation(1)] == published
        held = {
            slot.number: (slot.base_gfn, slot.npages, (slot.userspace_addr - HVA) >> 12, slot.flags)
            for slot in memslots
        }
        assert held == values
        assert len(memslots) == len(values)
        for as_id in range(2):
            bases = [slot.base_gfn for slot in memslots.active(as_id)]
            assert bases == sorted(bases)
            assert list(memslots.active(as_id)) == list(memslots.inactive(as_id))
