"""nested-lists: lists in which no range encloses another; a range that encloses others has a list of them.

Structure: three arrays. Places hold {last} and, separately for the search, {start, pointer to the slot, number of the
list below}; a list is a sequence of places, {first, count, the list above, the place of its encloser}. In a list no
range encloses another, so starts and lasts both ascend, the ranges that overlap a question are consecutive, and the
first is found by binary search. A range that encloses others has a list of them. The top list is stored last, so that
it can grow.

Invariants:
  1. Every slot has one place, with its own range, and every place is in one list.
  2. In a list both starts and lasts ascend strictly.
  3. A range encloses those of the list below it; it is the nearest in order of start that does. Equal ranges enclose
     one another in the order of insertion.
  4. A list stores the place of its encloser and the list that contains the encloser.
  5. The top list is last, and no other list is empty.

Costs, for n slots and k slots visited:
  gfn lookup   not served; `rbtree` serves lookups if only this structure is named, O(log n)
  hva visit    O(log n) for the first list and at most O(log n) for the list below each slot visited; an encloser
               precedes the ranges that it encloses
  update       O(d) for d places after a slot that encloses none and fits between two others, and O(n) otherwise, since
               all lists are then rebuilt; O(n log n) for a whole table at once

Bytes per slot: 32 per slot set in arrays, which double as they grow, and 16 for each slot that encloses others; nothing
inside the slot.

Origin: nested containment lists (Alekseyenko and Lee, Bioinformatics 2007). Theirs recurse; here a list stores its
encloser, because slots can be nested as deep as there are slots, and a kernel's stack is small.

Do not choose it if slots change often, or if every slot encloses the next: each list is then searched for one
slot.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="nested-lists",
    summary="lists of ranges that do not enclose one another, each range with a list of those that it encloses",
    costs=Costs(gfn="-", hva="O(log n + k log n)", update="O(n)"),
    source="Alekseyenko and Lee 2007 (NCList)",
    roles=(Role.HVA,),
    partner="rbtree",
)
