"""bplus-tree: a B+-tree by start in nodes of four cache lines, updated in place.

Structure: leaves of up to 10 entries {start}[10] {last}[10] {slot}[10], and inner nodes of up to 16 children with the
15 starts that part them; where hvas are visited, of up to 10 children, each with the largest last below it. A node has
256 bytes and begins a line. Slots are not touched by a search before they are found. Leaves are not linked to each
other: a gfn lookup never leaves its leaf, and an hva visit is led from above by the largest lasts, so nothing would
follow a link.

Invariants:
  1. Starts ascend through a leaf and from leaf to leaf; equal starts (possible for hvas only) stand in the order of
     insertion.
  2. An entry has its slot's range.
  3. All leaves are equally deep.
  4. Every node but the root is at least two fifths full: leaves 4 of 10, inner nodes 6 of 16 (hvas 4 of 10). An inner
     root has two children at least. (A node that overflows is halved, but at the end of which slots are added in order
     it keeps what it may.)
  5. Key i of an inner node is exactly the least start below child i + 1, also after that start has gone.
  6. For hvas, an inner node's `largest` is the largest last below each child.
  7. Keys and starts that are not in use are 2^64 - 1.

By 7 a search in a node compares all keys that there is room for and adds up the outcomes: no branch of it can be
mispredicted. That is more comparisons than halving would take (`compares`), and less time. By 5 the slot with the
largest start up to a gfn stands in the one leaf that the search comes to. `slots_examined` is therefore 1, or 0 before
the first slot.

Costs, in n slots and k slots met:
  gfn lookup   O(log n): 2 levels up to about 100 slots, 3 up to 1,000, 4 or 5 for 32 thousand
  hva visit    O(log n) for the first slot and at most O(log n) for each further one, in order of start
  update       O(log n); an entry's removal and insertion move what stands behind it in its leaf

Bytes a slot: 26 to 64 in leaves, 37 where slots came in order, and 2 to 9 above them, for each role and slot set;
nothing inside the slot.

Origin: textbooks (Bayer and McCreight 1972, Comer's survey of 1979); keys padded so that a search need not branch are
known from the layouts of static search trees. The node size is that of Linux's maple tree. The augmentation is that of
an interval tree. In published comparisons over 200 million keys a B-tree took 510 ns a lookup and binary search 670.

Do not choose it for a handful of slots, where an array fits a line or two, or where a slot must be removed without
searching for it: the links of `rbtree` lie in the slot, here the leaf must be found first.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="bplus-tree",
    summary="B+-tree by start, nodes of four lines, the largest end below each child",
    costs=Costs(gfn="O(log n)", hva="O(log n + k log n)", update="O(log n)"),
    source="textbooks; Comer 1979",
)
