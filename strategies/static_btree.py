"""static-btree: the starts of a sorted table under a B-tree that is built in one step, one node per cache line.

Structure: the two columns of `sorted-branchless`. The starts are the leaves, eight to a node of 64 bytes; above them
are nodes of eight keys and nine children, without pointers: child i of node k is node 9k + 1 + i. A search counts the
keys of a node that are not above the question; the count is the child, and in the leaf the rank.

Invariants:
  1. The columns hold one element per slot, in order of start; padding fills the last leaf.
  2. Key i of an inner node is the smallest start below its child i + 1, or padding where there is no such child.
  3. All leaves are at the same depth. Inner nodes are rebuilt whenever a slot is added or removed.

Costs, for n slots:
  gfn lookup   O(log n): one line per level and 1 + log9(n / 8) levels, rounded up: 2 at 16 slots, 3 at 512, 4 at 4,096,
               5 at 32,764; all eight keys of a node are compared, without branches
  update       O(n): the columns move, and the inner nodes, about a ninth of the starts, are written
Keys are compared and counted as compares, padding too; the one slot whose end is then tested is the one examined.

Bytes per slot: 24 in the columns, which double as they grow, and 1 to 9 in the inner nodes; nothing inside the slot.

Origin: the S+ tree of Sergey Slotin's Algorithms for Modern Hardware, which gives up to 15 times the throughput of
binary search in large arrays, with vector instructions.
Ragnar Groot Koerkamp went from 1,150 to 27 ns on 4 GB, most of it by batches. Those are throughputs; Slotin
writes that the gain in latency is smaller.

Do not choose it if slots change often, or for some tens of slots: eight comparisons for three bits are more
instructions than binary search, which the shallower tree compensates only from about a hundred slots on. For gfns only;
`interval-tree` serves hva visits unless the spec names another structure.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="static-btree",
    summary="B-tree built in one step, nodes of eight starts",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Algorithms for Modern Hardware (S+ tree)",
    roles=(Role.GFN,),
    partner="interval-tree",
)
