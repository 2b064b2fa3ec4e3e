"""nested-lists: lists in which no range encloses another, and below a range the list of those that it encloses.

Structure: three arrays. Places hold {last} and, apart from it for the search, {start, pointer to the slot, number of
the list below}; a list is a run of places, {first, count, the list above, the place of its encloser}. Where no range
encloses another, both starts and lasts ascend, so that the ranges a question meets follow one another and the first is
found by halving. A range that encloses others has a list of them. The list that nothing encloses stands behind all
others, where it has room to grow.

Invariants:
  1. Every slot has one place, with its own range, and every place is in one list.
  2. In a list both starts and lasts ascend strictly.
  3. A range encloses those of the list below it; it is the nearest in order of start that does. Equal ranges enclose
     one another in the order in which they came.
  4. A list knows the place of its encloser and the list that this is in.
  5. The list that nothing encloses comes last, and no other is empty.

Costs, in n slots and k slots met:
  gfn lookup   not served; the name alone puts `rbtree` beside it, O(log n)
  hva visit    O(log n) for the first list and at most O(log n) for the list below each slot met; an encloser comes
               before what it encloses
  update       O(d) for d places behind a slot that encloses none and fits between two others, and O(n) otherwise, for
               the lists are then laid anew; O(n log n) for a whole table at once

Bytes a slot: 32 a slot set in arrays, which double as they grow, and 16 for each slot that encloses others; nothing
inside the slot.

Origin: nested containment lists (Alekseyenko and Lee, Bioinformatics 2007). Theirs recurse; here a list knows its
encloser, for slots can nest as deep as there are slots, and a kernel's stack is small.

Do not choose it where slots change often, or where every slot encloses the next: each list is then searched for one
slot.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="nested-lists",
    summary="lists of ranges that do not enclose one another, each with a list of what it encloses",
    costs=Costs(gfn="-", hva="O(log n + k log n)", update="O(n)"),
    source="Alekseyenko and Lee 2007 (NCList)",
    roles=(Role.HVA,),
    partner="rbtree",
)
