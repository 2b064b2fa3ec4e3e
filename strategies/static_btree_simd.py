"""static-btree-simd: the nodes of `static-btree` compared by vector instructions.

Structure: that of `static-btree`. A node is compared by one AVX-512 comparison or two of AVX2, whichever the CPU has
when the structure is made; without either, the scalar code of `static-btree` runs.

Invariants: those of `static-btree`, and
  1. Every key and every question searched for is below 2^63, so that signed and unsigned comparison agree.

Costs, in n slots: those of `static-btree`, in fewer instructions. The counts are the same, whichever instructions run:
a node counts as eight compares.

Bytes a slot: 24 in the columns, which double as they grow, and 1 to 9 in the inner nodes; nothing inside the slot.

Origin: the S+ tree of Sergey Slotin's Algorithms for Modern Hardware, whose 32-bit keys come sixteen to a node; gfns
have 52 bits, so here they come eight to a node and the tree is deeper.

Do not choose it for a kernel: vector registers are not its own there, and saving them costs more than a lookup. Not for
changing slots either, nor for a handful: the call of a function for the CPU at hand costs as much as two or three
comparisons. For gfns only; hva visits go to `interval-tree` unless told otherwise.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="static-btree-simd",
    summary="B-tree built in one go, nodes compared by vectors",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Algorithms for Modern Hardware (S+ tree)",
    kernel=False,
    simd=True,
    roles=(Role.GFN,),
    partner="interval-tree",
)
