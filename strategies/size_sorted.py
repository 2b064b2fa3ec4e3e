"""size-sorted: an array of slots by size, the largest first, scanned from the front.

Structure: the array of `linear`, entries {start, last, pointer to the slot} of 24 bytes, kept in descending order of
length. A VM has one or two slots that hold nearly all of its memory, so nearly all lookups end within two entries.

Invariants:
  1. The array holds one entry a slot, with the slot's own range.
  2. No entry is longer than the one before it; of equal length, the earlier stays in front.
  3. In the variant `size-sorted+unaliased` an entry is flagged exactly when no other entry's range meets its own.

Costs, in n slots and k slots met:
  gfn lookup   O(n), but 1 or 2 entries where the large slots take the traffic; all n for a hole
  hva visit    O(n), always all of it; unaliased: until a flagged slot holds the whole range
  update       O(n); unaliased: O(n), and O(k n) where aliases go

Bytes a slot: 24 in the array, which doubles as it grows; nothing inside the slot.

Origin: proposed by Avi Kivity in June 2008 ("a sorted array gives an average of less than two lookups to find the slot,
with the smallest possible constant"); in Linux from 3.3, whose code comment says "so the larger slots will get better
fit", until 3.19 brought binary search. Published with that change for a Windows guest of 13 slots, in cycles: linear by
size 28 on average during boot and 30 randomised, binary search 30 and 40. For 117 slots: 30 and 460 against 35 and 180.

Do not choose it where slots are of equal size (memory of many DIMMs, virtio-mem), where small slots take the traffic,
where holes are asked for (MMIO), or where a slot is created or deleted often.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="size-sorted",
    summary="array by size, largest first, scanned from the front",
    costs=Costs(gfn="O(n)", hva="O(n)", update="O(n)"),
    source="Avi Kivity, June 2008; Linux 3.3 to 3.18",
    unaliased=True,
)
