"""interval-tree: a red-black tree by start in which every node stores the largest last address below it.

Structure: the red-black tree of `rbtree` with a node of 48 bytes: links, start, inclusive last, and the largest last of
the subtree. The leftmost node is stored, so that a range before all slots misses at once; a range after all slots
misses at the root.

Invariants:
  1. Starts ascend from left to right; equal starts are in the order of insertion.
  2. The tree is balanced as a red-black tree is (see `rbtree`).
  3. A node's subtree_last is the largest `last` at or below the node.
  4. The stored leftmost node is the leftmost node of the tree.
  5. A node's start and last are its slot's.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n)
  hva visit    O(log n) for the first slot and at most O(log n) for each further one; O(1) before the first start and
               after the last end; answers are in order of start
  update       O(log n); there is no O(1) replacement, as in the kernel

Bytes per slot: 48 per role and slot set, inside the slot.

Origin: the kernel's interval_tree_generic.h, which replaced the priority search tree in Linux 3.7 (Michel Lespinasse:
about 25 % faster insertion and removal, 2.4 to 3 times faster search in synthetic tests). KVM visits hvas with it since
5.17 (ed922739c919); by the series' own figures unmapping took 2.2 microseconds per page before and less than 1 after
with 509 slots, and 118 before and about 1 after with 32 thousand slots.

Do not choose it for gfn lookups: the ranges do not overlap there, so the larger node and the second comparison gain
nothing over `rbtree`. For a handful of slots a flat array touches fewer lines.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="interval-tree",
    summary="red-black tree by start with the largest end below each node",
    costs=Costs(gfn="O(log n)", hva="O(log n + k log n)", update="O(log n)"),
    source="Linux 5.17 (ed922739c919), hva visits; interval_tree_generic.h",
)
