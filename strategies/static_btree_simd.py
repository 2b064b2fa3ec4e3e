"""static-btree-simd: the nodes of `static-btree` compared by vector instructions.

Structure: that of `static-btree`. A node is compared by one AVX-512 comparison or two of AVX2, depending on the CPU at
creation; without either, the scalar code of `static-btree` runs.

Invariants: those of `static-btree`, and
  1. Every key and every question searched for is below 2^63, so that signed and unsigned comparison agree.

Costs, for n slots: those of `static-btree`, in fewer instructions. The counts are the same, whichever instructions run:
a node counts as eight compares.

Bytes per slot: 24 in the columns, which double as they grow, and 1 to 9 in the inner nodes; nothing inside the slot.

Origin: the S+ tree of Sergey Slotin's Algorithms for Modern Hardware, with sixteen 32-bit keys per node; gfns have 52
bits, so here a node has eight keys and the tree is deeper.

Do not choose it for a kernel, which must save vector registers at a higher cost than a lookup. Do not choose it if
slots change often, or for a handful of slots: the call of the CPU's variant costs as much as two or three comparisons.
For gfns only; `interval-tree` serves hva visits unless the spec names another structure.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="static-btree-simd",
    summary="B-tree built in one step, nodes compared by vectors",
    costs=Costs(gfn="O(log n)", hva="-", update="O(n)"),
    source="Algorithms for Modern Hardware (S+ tree)",
    kernel=False,
    simd=True,
    roles=(Role.GFN,),
    partner="interval-tree",
)
