"""eytzinger: the starts of a sorted table in breadth-first order of a search tree.

Structure: the two columns of `sorted-branchless`, and a copy of the starts laid out as a full binary search tree in
breadth-first order: the children of place k are 2k and 2k + 1. The tree is padded with keys above every gfn, so
every search takes the same number of steps and ends at a number that is the rank itself: the number of starts that are
not above the question. The eight possible keys three levels below share a line, which is prefetched.

Invariants:
  1. The columns hold one element per slot, in order of start.
  2. The tree has as many levels as n has bits; in order, its keys are the starts and then padding.
  3. A search for a start ends at that slot's rank. The tree is rebuilt whenever a slot is added or removed.

Costs, for n slots:
  gfn lookup   O(log n): as many keys as n has bits, and one {last, slot}
  update       O(n): the columns move, and the whole tree is written
Keys in the tree are compared and counted as compares, padding too; the one slot whose end is then tested is the one
examined. Prefetched lines are not counted unless they are read.

Bytes per slot: 24 in the columns, which double as they grow, and 8 to 16 in the tree; nothing inside the slot.

Origin: the numbering is Michael Eytzinger's of ancestors (1590). Khuong and Morin, Array Layouts for Comparison-Based
Searching (2017), found it the fastest layout for large arrays, and sorted order for small ones; Algorithms for Modern
Hardware gives 3 times over plain binary search for small arrays and 2 times for large ones. Slot tables are small.

Do not choose it for few slots, for which it gains nothing over `sorted-branchless`, or if slots change often: every
change writes the whole tree. For gfns only; `interval-tree` serves hva visits unless the spec names another structure.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="eytzinger",
    summary="starts in breadth-first order, prefetched",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Khuong and Morin, 2017; Algorithms for Modern Hardware",
    roles=(Role.GFN,),
    partner="interval-tree",
)
