"""prio-tree: the radix priority search tree of Linux 2.6 to 3.6, a heap on the end and a radix tree on the start.

Structure: a binary tree whose nodes of 48 bytes (left, right, parent, start, last, next of the same range) lie inside
the slots. Keys are page numbers, as a file's page offsets were in the kernel: gfns as they are, hvas without their low
12 bits. A slot holds whole pages, so a range of bytes meets it exactly if one of its pages does.

Invariants:
  1. Heap: a node's last is at least that of each child.
  2. Radix: at depth d a node's start has the d highest of the tree's index bits that the way to it spells, left for 0
     and right for 1.
  3. Overflow: where the index bits are used up, all starts below are equal; the bits of the size, from bit 63 on, lead
     from there.
  4. Equal ranges share one node of the tree: the others hang in its list.
  5. The index bits suffice for every last; they grow when a range needs more, and never shrink.

Costs, in n slots, k slots met and b index bits:
  gfn lookup   O(min(b, n)) nodes on the way, and those beside it that end late enough
  hva visit    O(b + k): whatever is entered is met, or lies on the way of the range's start or of its end
  update       O(b), or O(b + chain) where many slots share a start; growth by g bits takes off g roots, O(g b)

Bytes a slot: 48 a role and slot set, inside the slot.

Origin: McCreight's priority search trees (1985) in the radix form that Rajesh Venkatasubramanian wrote for the kernel's
reverse mapping of file pages (2.6.7); Linux 3.7 replaced it by the interval tree, which was 2.4 to 3 times faster to
search. In the thread of June 2008 Andrea Arcangeli calls it "the optimal structure" for the MMU notifier's question.

Do not choose it. Its depth goes by the bits of an address and not by the number of slots: host addresses of one mapping
agree in their first 20 bits or so, each of which costs a level, and the levels hold the slots that end last, whatever
is asked for. `interval-tree` has the same bounds in practice, and a balanced tree.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="prio-tree",
    summary="radix priority search tree: a heap on the end, a radix tree on the start",
    costs=Costs(gfn="O(b)", hva="O(b + k)", update="O(b), b index bits"),
    source="Linux 2.6.7 to 3.6, lib/prio_tree.c; McCreight 1985",
)
