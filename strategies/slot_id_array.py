"""slot-id-array: an array with a place for each slot id, scanned from id 0.

Structure: a flat array of places {start, end, pointer to the slot}, 24 bytes each, indexed by slot id. A deleted slot
leaves an empty range, over which every scan still goes.

Invariants:
  1. The place of a slot's id holds its range and the slot.
  2. Any other place holds an empty range, which no question meets.
  3. The array is as long as the largest id that was ever held; it never becomes shorter.

Costs, in m places (the largest id ever held, and one):
  gfn lookup   O(m): up to the place of the slot that is found, all of them for a hole
  hva visit    O(m), always all of them
  update       O(1): the id is the place

Bytes per slot: 24 per place; nothing inside the slot.

Source: KVM until Linux 3.2 (virt/kvm/kvm_main.c): `gfn_to_memslot` went through `kvm->memslots[]` up to
`kvm->nmemslots`, which a deletion did not lower; a deleted slot had 0 pages.

Do not choose it where slot ids are large or sparse, or for more than some tens of slots: its cost follows the ids
that a VMM happens to give out, not the slots that there are.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="slot-id-array",
    summary="array indexed by slot id, scanned from id 0; deleted ids stay as gaps",
    costs=Costs(gfn="O(m), m the largest id", hva="O(m)", update="O(1)"),
    source="Linux 2.6.27 to 3.2, virt/kvm/kvm_main.c",
)
