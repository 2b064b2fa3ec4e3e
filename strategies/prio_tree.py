"""prio-tree: the radix priority search tree of Linux 2.6 to 3.6, a heap on the end and a radix tree on the start.

Structure: a binary tree whose nodes of 48 bytes (left, right, parent, start, last, next of the same range) are inside
the slots. Keys are page numbers, as a file's page offsets were in the kernel: gfns unchanged, hvas without their low 12
bits. A slot consists of whole pages, so a range of bytes overlaps it exactly if one of its pages does.

Invariants:
  1. Heap: a node's last is at least that of each child.
  2. Radix: the path to a node at depth d is the d highest index bits of its start, left for 0 and right for 1.
  3. Overflow: below the last index bit all starts are equal; from there the path is the bits of the size, from bit 63
     on.
  4. Equal ranges share one node of the tree: the others are in its list.
  5. The number of index bits suffices for every last; it grows when a range needs more, and never shrinks.

Costs, for n slots, k slots visited and b index bits:
  gfn lookup   O(min(b, n)) nodes on the path, and nodes next to it that end late enough
  hva visit    O(b + k): every node entered is an answer, or is on the path of the range's start or end
  update       O(b), or O(b + chain) if many slots share a start; growth by g bits removes and reinserts g roots, O(g b)

Bytes per slot: 48 per role and slot set, inside the slot.

Origin: McCreight's priority search trees (1985) in the radix form that Rajesh Venkatasubramanian wrote for the kernel's
reverse mapping of file pages (2.6.7); Linux 3.7 replaced it with the interval tree, which was 2.4 to 3 times faster to
search. In the thread of June 2008 Andrea Arcangeli calls it "the optimal structure" for the MMU notifier's question.

Do not choose it. Its depth depends on the bits of an address and not on the number of slots: host addresses of one
mapping agree in about their first 20 bits, each of which costs a level, and these levels hold the slots that end last,
whatever the question. `interval-tree` has the same bounds in practice, and is balanced.
"""

from slotlookup.structure import Costs, NativeStructure

STRUCTURE = NativeStructure(
    name="prio-tree",
    summary="radix priority search tree: a heap on the end, a radix tree on the start",
    costs=Costs(gfn="O(b)", hva="O(b + k)", update="O(b), b index bits"),
    source="Linux 2.6.7 to 3.6, lib/prio_tree.c; McCreight 1985",
)
