"""maple-tree: a B-tree of ranges that cover every gfn, holes included, after Linux's.

Structure: leaves of up to 16 pointers, parted by 15 pivots, and inner nodes of up to 10 children, parted by 9. A
pointer leads to the slot of its range or is NULL for a hole; a range runs from behind the pivot before it up to its own
pivot. A node has 256 bytes and begins a line. A lookup compares with pivots only and ends at a slot or at NULL: the
slot's own range is never tested, so `slots_examined` is 0.

Invariants:
  1. The ranges of all leaves, in order, cover every gfn from 0 to 2^64 - 1, each once: pivots ascend, and lie within
     what the nodes above allot.
  2. An entry with a slot has exactly the slot's range.
  3. No two neighbouring entries of a leaf are holes. (Across two leaves they may be.)
  4. All leaves are equally deep.
  5. Every node but the root is at least two fifths full: leaves 6 of 16, inner nodes 4 of 10. An inner root has two
     children at least. (A node that overflows is halved, but at the end of which slots are added in order it keeps
     what it may.)
  6. Pivots that are not in use are 2^64 - 1, so that a search compares all that there is room for and branches on none.

Costs, in n slots:
  gfn lookup   O(log n), the same for hits and holes: with holes between the slots 2 levels up to about
               40, 3 up to 300, 5 or 6 for 32 thousand
  update       O(log n), by way of a copy of the leaf

Bytes a slot: 16 to 43 an entry, 22 where slots came in order, and one entry or two a slot, as it stands next to another
or behind a hole; up to a quarter more above the leaves; nothing inside the slot. Slot sets double it.

Origin: Linux 6.1's maple tree (Liam Howlett, Matthew Wilcox), whose fan-outs and node size these are; by its
announcement of March 2019 a thousand entries take 5 levels instead of an rbtree's 10. Nobody is known to have proposed
it for slots. It holds one entry for each address, so it can serve gfns and not hvas, which slots may share.

What differs from Linux's:
  - No RCU mode: nodes are edited in place. Linux's readers run without locks, so it replaces a node instead of moving
    entries in it, and marks the old one dead. (`update=two-sets` keeps readers apart here.)
  - Rebalancing is plain: a leaf that overflows is split in two, one that falls below two fifths shares with one
    neighbour or is joined with it. Linux gathers the nodes concerned and may spread them over three.
  - A hole may go on across the boundary of two leaves; an insertion there moves the boundary. Linux stores ranges that
    span nodes by rewriting all of them.
  - The largest gap below each child, by which Linux finds room for mappings, is not kept, though its place in the node
    is.
  - Of Linux's node types only two: 16 ranges, and 10 children. No tagged pointers, no root entry without a node, and a
    node counts its entries instead of deriving their number.
  - An insertion only ever fills a hole. Linux stores over whatever is there.

Do not choose it where slots lie apart: each hole takes an entry. `bplus-tree` keeps no holes and is as fast.
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
