"""The memory of slots."""

from __future__ import annotations

import pytest
from specs import native_specs

from slotlookup import registry
from slotlookup.memslots import USER_SLOTS, ChangeKind, SlotChange, make_memslot
from slotlookup.stream import creation_table

HVA = 0x7F00_0000_0000
FULL = 1 << 44
"""The first hva of a VM with all slots, whose last one then ends far below the end of user space."""


def test_the_specs_hold_the_two_sets() -> None:
    assert [spec for spec in native_specs() if "two-sets" in spec]


# A node of the radix table has 2 KiB, and here four slots share one: strategies/radix_table.py. With two sets there are
# two tables.
MOST = {"radix-table": 1000}


# A copy exists during a change only, and a cache has the same bytes whatever the number of slots.
OF_SLOTS = [s for s in native_specs() if not any(part in s for part in (",unaliased", "cache=", "update=copy"))]


@pytest.mark.parametrize("spec", OF_SLOTS)
def test_bytes_a_slot_of_a_full_vm(spec: str) -> None:
    """At most 400, arrays that have just doubled and the nodes of two sets included, but for what MOST names."""
    parsed = registry.parse_spec(spec)
    most = MOST.get(parsed.gfn, 400) * (2 if parsed.gfn in MOST and parsed.update == "two-sets" else 1)
    strategy = registry.make_strategy(spec)
    # Descending sizes: a structure in order of size, or of anything that goes with it, then inserts at its end.
    strategy.load_table(
        creation_table(make_memslot(n, (n << 28), (USER_SLOTS - n) << 12, FULL + (n << 28)) for n in range(USER_SLOTS))
    )
    used = strategy.bytes()
    assert len(strategy) == USER_SLOTS
    assert used is not None
    assert 120 < used / USER_SLOTS <= most


# In front of the Slot of 88 bytes lie 32 bytes of id nodes and a node for each role and set. What lies in front of the
# gfn nodes is padded to lines of 64 bytes, and so is the whole.
SIZES = {
    "linear": 192,  # 32 -> 64, + 88 = 152
    "size-sorted": 192,
    "rbtree": 192,  # 32 + 24 -> 64, + 24 + 88 = 176
    "interval-tree": 320,  # 32 + 48 -> 128, + 48 + 88 = 264
    "gfn=rbtree,hva=interval-tree": 256,  # 32 + 48 -> 128, + 24 + 88 = 240
    "rbtree,update=two-sets": 320,  # 32 + 2 * 24 -> 128, + 2 * 24 + 88 = 264
    "kvm-5.17": 320,  # 32 + 2 * 48 = 128, + 2 * 24 + 88 = 264
}


@pytest.mark.parametrize(("spec", "size"), SIZES.items())
def test_the_size_of_one_slot_object(spec: str, size: int) -> None:
    """Two slots more in a structure whose arrays have room take two objects more."""
    strategy = registry.make_strategy(spec)
    strategy.apply_table(creation_table(make_memslot(n, n << 12, 4096, HVA + (n << 12)) for n in range(2, 6)))
    before = strategy.bytes()
    # Slots 0 and 1 have their places in the table of ids already.
    strategy.apply_table(creation_table(make_memslot(n, n << 12, 4096, HVA + (n << 12)) for n in range(2)))
    after = strategy.bytes()
    assert before is not None and after is not None
    assert after - before == 2 * size


@pytest.mark.parametrize("placement", ["packed", "scattered", "slab"])
@pytest.mark.parametrize("spec", native_specs())
def test_deletion_gives_back_what_creation_took(spec: str, placement: str) -> None:
    strategy = registry.make_strategy(spec, placement=placement, seed=3)
    slots = [make_memslot(n, n << 12, 4096, HVA + (n << 12)) for n in range(8)]
    strategy.apply_table(creation_table(slots[:4]))
    full = strategy.bytes()
    for _ in range(50):
        strategy.apply(SlotChange(ChangeKind.DELETE, slots[2]))
        less = strategy.bytes()
        strategy.apply(SlotChange(ChangeKind.CREATE, slots[2]))
        assert strategy.bytes() == full
        assert less is not None and full is not None and less < full


@pytest.mark.parametrize("spec", native_specs())
def test_changes_that_undo_each_other_take_no_memory(spec: str) -> None:
    strategy = registry.make_strategy(spec)
    slots = [make_memslot(n, n << 28, 4096, HVA + (n << 28)) for n in range(40)]
    strategy.load_table(creation_table(slots))
    there = creation_table(slots[:1])
    gone = there.copy()
    gone[0, 0] = ChangeKind.DELETE
    used = []
    for _ in range(6):
        strategy.apply_table(gone)
        strategy.apply_table(there)
        used.append(strategy.bytes())
    # The first rounds may grow an array for good; after that nothing may.
    assert used[2:] == used[2:3] * 4


# kmalloc's size classes: what the kernel allocates for a slot, whose 264 bytes become 512, and for smaller objects.
CLASSES = {"linear": 192, "rbtree": 192, "interval-tree": 512, "gfn=rbtree,hva=interval-tree": 256, "kvm-5.17": 512}


@pytest.mark.parametrize(("spec", "size"), CLASSES.items())
def test_slabs_round_up_to_the_size_classes_of_kmalloc(spec: str, size: int) -> None:
    strategy = registry.make_strategy(spec, placement="slab")
    strategy.apply_table(creation_table(make_memslot(n, n << 12, 4096, HVA + (n << 12)) for n in range(2, 6)))
    before = strategy.bytes()
    strategy.apply_table(creation_table(make_memslot(n, n << 12, 4096, HVA + (n << 12)) for n in range(2)))
    after = strategy.bytes()
    assert before is not None and after is not None
    assert after - before == 2 * size
