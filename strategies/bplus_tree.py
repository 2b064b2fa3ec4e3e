"""bplus-tree: a B+-tree by start in nodes of four cache lines, updated in place.

Structure: leaves of up to 10 entries {start}[10] {last}[10] {slot}[10], and inner nodes of up to 16 children with the
15 starts that separate them; for hvas, inner nodes of up to 10 children, each with the largest last below it. A node
has 256 bytes and starts on a line boundary. A search touches only the slots that it finds. Leaves are not linked to
each other: a gfn lookup never leaves its leaf, and an hva visit descends by the largest lasts, so neither would use a
link.

Invariants:
  1. Starts ascend through a leaf and from leaf to leaf; equal starts (possible for hvas only) are in the order of
     insertion.
  2. An entry has its slot's range.
  3. All leaves are equally deep.
  4. Every node but the root is at least two fifths full: leaves 4 of 10, inner nodes 6 of 16 (hvas 4 of 10). An inner
     root has at least two children. (A node that overflows is split in half; but if it overflows at its end, as when
     slots are added in order, the lower node keeps as many entries as allowed.)
  5. Key i of an inner node is exactly the least start below child i + 1, also after that start was removed.
  6. For hvas, an inner node's `largest` is the largest last below each child.
  7. Unused keys and starts are 2^64 - 1.

By 7 a search in a node compares all keys of the node, used or not, and sums the results: it has no branch that could be
mispredicted. That takes more comparisons than binary search (`compares`), and less time. By 5 the slot with the largest
start up to a gfn is in the leaf at which the search ends. `slots_examined` is therefore 1, or 0 before the first slot.

Costs, for n slots and k slots visited:
  gfn lookup   O(log n): 2 levels up to about 100 slots, 3 up to 1,000, 4 or 5 for 32 thousand
  hva visit    O(log n) for the first slot and at most O(log n) for each further one, in order of start
  update       O(log n); insertion and removal move all later entries of the leaf

Bytes per slot: 26 to 64 in leaves, 37 if slots were added in order, and 2 to 9 above them, for each role and slot set;
nothing inside the slot.

Origin: textbooks (Bayer and McCreight 1972, Comer's survey of 1979); keys padded so that a search need not branch are
known from the layouts of static search trees. The node size is that of Linux's maple tree. The augmentation is that of
an interval tree. In published comparisons over 200 million keys a B-tree took 510 ns per lookup and binary search 670.

Do not choose it for a handful of slots, for which an array fits one or two lines, or if a slot must be removed without
a search: the links of `rbtree` are in the slot, here the leaf must be searched for.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="bplus-tree",
    summary="B+-tree by start, nodes of four lines, the largest end below each child",
    costs=Costs(gfn="O(log n)", hva="O(log n + k log n)", update="O(log n)"),
    source="textbooks; Comer 1979",
)
