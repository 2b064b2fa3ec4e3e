"""size-sorted: an array of slots by size, the largest first, scanned from the front.

Structure: the array of `linear`, entries {start, last, pointer to the slot} of 24 bytes, kept in descending order of
length. A VM has one or two slots that hold nearly all of its memory, so nearly all lookups end within two entries.

Invariants:
  1. The array holds one entry per slot, with the slot's own range.
  2. No entry is longer than the previous one; among equal lengths, the earlier slot is first.
  3. In the variant `size-sorted+unaliased` an entry is flagged exactly if no other entry's range overlaps its own.

Costs, for n slots and k slots visited:
  gfn lookup   O(n), but 1 or 2 entries if the large slots take most accesses; all n for a hole
  hva visit    O(n), always all of it; unaliased: until a flagged slot contains the whole range
  update       O(n); unaliased: O(n), and O(k n) if aliases are removed

Bytes per slot: 24 in the array, which doubles as it grows; nothing inside the slot.

Origin: proposed by Avi Kivity in June 2008 ("a sorted array gives an average of less than two lookups to find the slot,
with the smallest possible constant"); in Linux from 3.3, whose code comment says "so the larger slots will get better
fit", until 3.19 brought binary search. Published with that change for a Windows guest of 13 slots, in cycles: linear by
size 28 on average during boot and 30 randomised, binary search 30 and 40. For 117 slots: 30 and 460 against 35 and 180.

Do not choose it if slots are of equal size (memory of many DIMMs, virtio-mem), if small slots take most accesses,
if holes are looked up (MMIO), or if slots are created or deleted often.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="size-sorted",
    summary="array by size, largest first, scanned from the front",
    costs=Costs(gfn="O(n)", hva="O(n)", update="O(n)"),
    source="Avi Kivity, June 2008; Linux 3.3 to 3.18",
    unaliased=True,
)
