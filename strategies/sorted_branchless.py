"""sorted-branchless: starts in a column of their own, searched by halving without branches.

Structure: two columns in order of start: the starts, and beside them {last, pointer to the slot}. A step of the search
selects one of two halves by a conditional move, so that the only branch is the loop's, which depends on n alone.

Invariants:
  1. Both columns hold one element a slot, at the same place, with the slot's own range.
  2. The starts ascend.
  3. At each step the last start that is not above the question, if there is one, lies in the part that is left.

Costs, in n slots:
  gfn lookup   O(log n): always the same number of starts, eight of which share a line, and one {last, slot}
  update       O(n) for moving what stands behind, in both columns

Bytes a slot: 8 and 16 in the columns, which double as they grow; nothing inside the slot.

Origin: textbook; the form with a conditional move follows the discussion in Sergey Slotin's Algorithms for Modern
Hardware and in Khuong and Morin, Array Layouts for Comparison-Based Searching (2017), by which a sorted array so
searched is the fastest layout while it fits the nearer caches.

Do not choose it where the same few slots are asked for again and again, one after the other: a branch that is predicted
lets the next load begin early, a conditional move waits for the one before. The same goes for caches that are cold: no
two loads of one search overlap. For gfns only; hva visits go to `interval-tree` unless told otherwise.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="sorted-branchless",
    summary="column of starts in order, halved without branches",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Khuong and Morin, 2017; Algorithms for Modern Hardware",
    roles=(Role.GFN,),
    partner="interval-tree",
)
