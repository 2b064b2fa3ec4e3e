"""rbtree: a red-black tree by start address, its nodes inside the slots.

Structure: a binary search tree whose node of 24 bytes (parent and colour, left, right) precedes the slot's
`base_gfn`, as the kernel's `gfn_node` does, so that a node's links and its range share a cache line.

Invariants:
  1. Starts ascend from left to right; equal starts (possible for hvas only) are in the order of insertion.
  2. The root is black, and a red node has no red child.
  3. Every path from the root to a missing child passes the same number of black nodes.
  4. A child's parent link points at its parent.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n), at most 2 log2(n + 1) nodes
  hva visit    O(number of slots that start at or before the range's end): the tree does not index ends
  update       O(log n); replacing a slot by one of the same range O(1)

Bytes per slot: 24 per role and slot set, inside the slot.

Origin: Linux has found slots by gfn in this way since 5.17 (a54d806688fe); from 3.19 to 5.16 it searched an array. For
hva visits Andrea Arcangeli named it in June 2008 as the next best after a priority search tree, for it would "at least
eliminate all the memslots that have a start address higher than the end of the invalidate range".

Do not choose it for hva visits of many slots: half of the tree is walked on average through pointers, which costs more
than scanning an array. For gfn lookups of two or three slots, an array or a last-used cache needs fewer loads.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="rbtree",
    summary="red-black tree by start, nodes inside the slots",
    costs=Costs(gfn="O(log n)", hva="O(n)", update="O(log n)"),
    source="Linux 5.17 (a54d806688fe), gfn lookups",
)
