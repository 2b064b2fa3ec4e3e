"""max-array: a sorted array in which each entry points to the nearest earlier one that ends later.

Structure: an array of starts in order, for a branchless binary search, and at the same indices entries of 24
bytes {last, pointer to the slot, branch}. A visit begins at the last entry that starts before the end of the range and
goes towards the front. If an entry ends too early, so do all entries between it and its branch, and the visit continues
at the branch.

Invariants:
  1. Both arrays hold one element per slot, with the slot's own range.
  2. Starts ascend; of two equal starts the longer range comes first.
  3. A branch is the index of the nearest earlier entry that ends later, or 0 if there is none.
  4. Readers never see a new range out of order: pending ranges are sorted in when the change settles.

Costs, for n slots and k slots visited:
  gfn lookup   not served; `rbtree` serves lookups if only this structure is named, O(log n)
  hva visit    O(log n + k + c), where c entries along branches are no answers: at most 1 if no range encloses another
               or if aliases have one end, up to n for nested ranges that all end before the question
  update       O(d) for d entries after the place of the change; O(log n) at the end; O(n log n) for a whole table at
               once

Bytes per slot: 32 per slot set in arrays, which double as they grow; nothing inside the slot.

Origin: SuperIntervals (Kez Cleal), whose branch is the nearest earlier interval that encloses this one; among equal
ends that structure continues at the equal one, this one after it.

Do not choose it if slots change often, or if an attacker can choose the slots: nesting makes visits linear.
`implicit-intervals` bounds them at the cost of 8 bytes more.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="max-array",
    summary="sorted array with a link to the nearest earlier entry that ends later",
    costs=Costs(gfn="-", hva="O(log n + k) to O(n)", update="O(n)"),
    source="SuperIntervals, Kez Cleal",
    roles=(Role.HVA,),
    partner="rbtree",
)
