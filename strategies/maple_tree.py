"""maple-tree: a B-tree of ranges that cover every gfn, including holes, modelled on Linux's maple tree.

Structure: leaves of up to 16 pointers, separated by 15 pivots, and inner nodes of up to 10 children, separated by 9. A
pointer points to the slot of its range or is NULL for a hole; a range extends from after the previous pivot up to its
own pivot. A node has 256 bytes and starts on a line boundary. A lookup compares with pivots only and ends at a slot or
at NULL: the slot's own range is never tested, so `slots_examined` is 0.

Invariants:
  1. The ranges of all leaves, in order, cover every gfn from 0 to 2^64 - 1, each once: pivots ascend, and are within
     the range of the node in the level above.
  2. An entry with a slot has exactly the slot's range.
  3. No two neighbouring entries of a leaf are holes. (Across two leaves they may be.)
  4. All leaves are equally deep.
  5. Every node but the root is at least two fifths full: leaves 6 of 16, inner nodes 4 of 10. An inner root has at
     least two children. (A node that overflows is split in half; but if it overflows at its end, as when slots are
     added in order, the lower node keeps as many entries as allowed.)
  6. Unused pivots are 2^64 - 1, so that a search compares all pivots of a node without branches.

Costs, for n slots:
  gfn lookup   O(log n), the same for hits and holes: with holes between the slots 2 levels up to about
               40, 3 up to 300, 5 or 6 for 32 thousand
  update       O(log n), through a copy of the leaf

Bytes per slot: 16 to 43 per entry, 22 if slots were added in order; one entry per slot, or two if a hole precedes it;
up to a quarter more above the leaves; nothing inside the slot. Slot sets double it.

Origin: Linux 6.1's maple tree (Liam Howlett, Matthew Wilcox), with the same fan-outs and node size. According to its
announcement of March 2019 a thousand entries take 5 levels instead of an rbtree's 10. No proposal to use it for slots
is known. It stores one entry for each address, so it can serve gfns but not hvas, which slots may share.

Differences from Linux's:
  - No RCU mode: nodes are edited in place. Linux's readers run without locks, so it replaces a node instead of moving
    entries in it, and marks the old one dead. (`update=two-sets` separates readers from changes here.)
  - Rebalancing is simple: a leaf that overflows is split in two; one that falls below two fifths takes entries from
    one neighbour or is merged with it. Linux collects the affected nodes and may distribute them over three.
  - A hole may extend across the boundary of two leaves; an insertion there moves the boundary. Linux stores ranges that
    span nodes by rewriting all of them.
  - The largest gap below each child, with which Linux finds room for mappings, is not maintained, though its place in
    the node is reserved.
  - Only two of Linux's node types: 16 ranges, and 10 children. No tagged pointers, no root entry without a node, and a
    node stores the number of its entries instead of deriving it.
  - An insertion only fills a hole. Linux overwrites existing ranges.

Do not choose it if there are holes between slots: each takes an entry. `bplus-tree` stores no holes and is as fast.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="maple-tree",
    summary="B-tree of ranges with holes, as Linux's maple tree",
    costs=Costs(gfn="O(log n)", hva="-", update="O(log n)"),
    source="Linux 6.1, lib/maple_tree.c",
    roles=(Role.GFN,),
    partner="interval-tree",
)
