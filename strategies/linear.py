"""linear: an array of slots in the order of their creation, scanned from the front.

Structure: a flat array of entries {start, last, pointer to the slot}, 24 bytes each. The range is in the entry, as
in the kernel's arrays of whole slots, so a scan follows no pointer until it has found its slot.

Invariants:
  1. The array holds one entry per slot, with the slot's own range.
  2. A new slot is appended; removal closes the gap and keeps the order of the others.
  3. In the variant `linear+unaliased` an entry is flagged exactly if no other entry's range overlaps its own.

Costs, for n slots and k slots visited:
  gfn lookup   O(n): half the array on average for a hit, all of it for a hole
  hva visit    O(n), always all of it; unaliased: until a flagged slot contains the whole range
  update       insertion O(1), removal O(n); unaliased: O(n), and O(k n) if aliases are removed

Bytes per slot: 24 in the array, which doubles as it grows; nothing inside the slot.

Source: the list of the 2008 discussion on KVM's slots, an array in which a new slot goes to the end. KVM itself
scanned by slot id until Linux 3.2 (`slot-id-array`), which is the same order only where ids are given out in turn and
never used again. The early stop is Avi Kivity's proposal of June 2008: mark slots without aliases, and a reverse
lookup may end at the first match.

Do not choose it for more than some tens of slots, for a VM whose busiest slot was created late, or if most notifier
events miss guest memory: every miss examines all slots.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="linear",
    summary="array in order of creation, scanned from the front",
    costs=Costs(gfn="O(n)", hva="O(n)", update="O(n)"),
    source="the 2008 discussion on kvm@vger.kernel.org",
    unaliased=True,
)
