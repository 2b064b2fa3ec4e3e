"""sorted-branchless: starts in a separate column, with a branchless binary search.

Structure: two columns in order of start: the starts, and at the same index {last, pointer to the slot}. A step of the
search selects one of two halves by a conditional move, so that the only branch is the loop's, which depends on n alone.

Invariants:
  1. Both columns hold one element per slot, at the same place, with the slot's own range.
  2. The starts ascend.
  3. At each step the last start that is not above the question, if there is one, is in the remaining part.

Costs, for n slots:
  gfn lookup   O(log n): always the same number of starts, eight of which share a line, and one {last, slot}
  update       O(n) to move all later elements of both columns

Bytes per slot: 8 and 16 in the columns, which double as they grow; nothing inside the slot.

Origin: textbook; the form with a conditional move follows the discussion in Sergey Slotin's Algorithms for Modern
Hardware and in Khuong and Morin, Array Layouts for Comparison-Based Searching (2017), according to which
this is the fastest layout while the array fits the nearer caches.

Do not choose it if the same few slots are looked up repeatedly in sequence: a predicted branch lets the next load begin
early, but a conditional move waits for the previous load. The same holds for cold caches: no two loads of one search
overlap. For gfns only; `interval-tree` serves hva visits unless the spec names another structure.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="sorted-branchless",
    summary="column of starts in order, branchless binary search",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Khuong and Morin, 2017; Algorithms for Modern Hardware",
    roles=(Role.GFN,),
    partner="interval-tree",
)
