"""radix-table: a page table over gfns, nine bits a level, after QEMU's PhysPageMap.

Structure: nodes of 512 entries of 4 bytes, up to six levels of them. An entry leads to a node, with the number of
levels it skips; or to a section {start, last, slot}; or nowhere. All sections stand in a table of their own, and, for
building, in an array in order of start.

Invariants:
  1. An entry's block is the gfns that share its bits. Where no section meets the block, the entry leads nowhere; where
     one does, it leads to the section, however much of the block that fills.
  2. Where two or more meet the block, it leads to a node: the lowest whose block holds all that the sections have of
     the entry's block. The levels between are skipped.
  3. A section has its slot's range. Sections ascend in the order and do not meet; those not in use are chained.
  4. Every node is reached by one entry.

By 1 and 2 an entry may be come to by gfns that lie in no section, so the section that is found must be tested, as in
QEMU: `slots_examined` is 1, or 0 where the way ends before.

Costs, in n slots:
  gfn lookup   O(1): at most six nodes, mostly two or three, then the section and the slot
  update       O(512) a level and O(n) for moving the order; the nodes in which one of the slot's ends lies beside
               another slot are edited, and no others; O(n log n) for a whole table at once

Bytes a slot: 2,048 for each node. A node stands where two slots meet one block and lie apart in it, so there are none
for one slot, at most one for each further slot that lies in pages of its own, and for slots that touch at an odd page
one a level, up to four. With the sections and the order, 48 to 96 more. 32,764 slots of up to 128 MiB at every 256 MiB
share the lowest nodes by fours and take 600 bytes beside the slot; 32,764 slots of a page, one behind the other, take
60. The worst, slots of many GiB that touch at odd pages, would take 8 KiB each. Nothing lies inside the slot.

Origin: QEMU's address space dispatch (Avi Kivity 2012), with paths compressed since 2013 (Michael Tsirkin). QEMU builds
the table anew for each memory map and compresses it once it is built; there an entry is skipped where it is the only
one of its node. This one is brought up to date in place, and goes one step further: a node in which all entries lead to
one section gives way to the section, so that a small slot in a wide space needs no node. (With QEMU's rule each slot of
two or more pages needs one of its own: 2 KiB a slot at least.)

Do not choose it where memory counts, or where slots change often and there are many.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="radix-table",
    summary="page table over gfns, nine bits a level, single ways skipped",
    costs=Costs(gfn="O(1)", hva="-", update="O(n)"),
    source="QEMU, system/physmem.c",
    roles=(Role.GFN,),
    partner="interval-tree",
)
