"""max-array: a sorted array in which each entry names the nearest one before it that ends later.

Structure: an array of starts in order, for a search by halving without branches, and at the same places entries of 24
bytes {last, pointer to the slot, branch}. A visit begins at the last entry that starts in time and goes towards the
front; where an entry ends too early, so do all between it and its branch, and it goes on there.

Invariants:
  1. Both arrays hold one element a slot, with the slot's own range.
  2. Starts ascend; of two equal starts the longer range comes first.
  3. A branch is the place of the nearest entry before its own that ends later; where there is none it is 0.
  4. Readers never see a new range out of its place: what waits is sorted in when the change settles.

Costs, in n slots and k slots met:
  gfn lookup   not served; the name alone puts `rbtree` beside it, O(log n)
  hva visit    O(log n + k + c), where c entries are met in vain along branches: at most 1 where no range encloses
               another or aliases end together, up to n for ranges one inside the other that all end before the question
  update       O(d) for d entries behind the place of the change; O(log n) at the end; O(n log n) for a whole table at
               once

Bytes a slot: 32 a slot set in arrays, which double as they grow; nothing inside the slot.

Origin: SuperIntervals (Kez Cleal), whose branch is the nearest interval before that encloses; of equal ends that one
goes on at the equal, this one behind it.

Do not choose it where slots change often, nor where an attacker chooses the slots: nesting makes visits linear.
`implicit-intervals` bounds them for 8 bytes more.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="max-array",
    summary="sorted array whose entries name the nearest before that ends later",
    costs=Costs(gfn="-", hva="O(log n + k) to O(n)", update="O(n)"),
    source="SuperIntervals, Kez Cleal",
    roles=(Role.HVA,),
    partner="rbtree",
)
