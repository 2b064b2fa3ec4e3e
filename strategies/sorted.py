"""sorted: an array of slots in order of their start, with a branching binary search.

Structure: a flat array of entries {start, last, pointer to the slot}, 24 bytes each. For hva visits, in which ranges
may overlap, a second array holds the largest `last` up to each entry.

Invariants:
  1. The array holds one entry per slot, with the slot's own range.
  2. The starts ascend; equal starts (possible for hvas only) are in the order of insertion.
  3. For hvas, element i of the second array is the largest `last` of entries 0 to i, so it never decreases.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n): one entry per step, and a branch that is mispredicted half of the time for random questions
  hva visit    O(log n + m): two searches, and the m entries from the first with a largest `last` in or after the range
  to
               the last that starts by its end; m is k if ranges do not overlap, and up to n after a long one
  update       O(n) to move all later entries, with one memmove; finding the place is O(log n)

Bytes per slot: 24 in the array, which doubles as it grows, and for hvas 8 more; nothing inside the slot.

Origin: Linux found slots by gfn in this way from 3.19 (9c1a5d38780e) until 5.16, in an array in descending order of
base_gfn and with a last-used slot; 5.17 replaced it with a red-black tree. According to the figures of that change the
slowest lookup among 117 slots fell from 13,000 cycles, scanning, to 2,000, while at 13 slots scanning was faster on
average. rust-vmm, libvhost-user and newer VirtualBox search sorted arrays too. The kernel never visited hvas in
this way: the second array is the usual addition for ranges that overlap.

Do not choose it if slots change frequently, for random questions with many slots (`sorted-branchless` and the static
trees do not mispredict), or for hva visits if a slot with a low address spans many others.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="sorted",
    summary="array in order of start, branching binary search",
    costs=Costs(gfn="O(log n)", hva="O(log n + m)", update="O(n)"),
    source="Linux 3.19 (9c1a5d38780e), gfn lookups",
)
