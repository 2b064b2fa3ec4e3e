"""radix-table: a page table over gfns, nine bits per level, modelled on QEMU's PhysPageMap.

Structure: nodes of 512 entries of 4 bytes, up to six levels of them. An entry points to a node, with the number of
levels that it skips; or to a section {start, last, slot}; or is empty. All sections are in a separate table, and, for
building, in an array in order of start.

Invariants:
  1. An entry's block is the gfns that share its bits. If no section overlaps the block, the entry is empty; if one
     does, the entry points to it, whatever part of the block it covers.
  2. If two or more overlap the block, the entry points to a node: the lowest whose block contains all that the sections
     cover of the entry's block. The levels between are skipped.
  3. A section has its slot's range. Sections ascend and do not overlap; unused ones are chained.
  4. Exactly one entry points to each node.

By 1 and 2 gfns in no section may reach an entry with a section, so the section must be tested, as in QEMU:
`slots_examined` is 1, or 0 if the path ends at an empty entry.

Costs, for n slots:
  gfn lookup   O(1): at most six nodes, mostly two or three, then the section and the slot
  update       O(512) per level, and O(n) to move the order; only the nodes in which one end of the slot is next to
               another slot are edited; O(n log n) for a whole table at once

Bytes per slot: 2,048 for each node. A node exists where two slots overlap one block in different places: none for one
slot, at most one for each further slot in separate pages, and for slots that are adjacent at an odd page one per level,
up to four. Sections and order take 48 to 96 more. 32,764 slots of up to 128 MiB at every 256 MiB share the lowest nodes
by fours and take 600 bytes outside the slot; 32,764 adjacent slots of one page take 60. The worst case, slots of many
GiB that are adjacent at odd pages, would take 8 KiB each. Nothing is inside the slot.

Origin: QEMU's address space dispatch (Avi Kivity 2012), with paths compressed since 2013 (Michael Tsirkin). QEMU builds
a new table for each memory map and compresses it afterwards; it skips an entry that is the only one of its node. This
structure is updated in place, and compresses more: a node in which all entries point to one section is replaced by the
section, so that a small slot in a large space needs no node. (With QEMU's rule each slot of two or more pages needs a
node of its own: at least 2 KiB per slot.)

Do not choose it if memory is limited, or if there are many slots that change often.
"""

from slotlookup.structure import Costs, NativeStructure
from slotlookup.vocabulary import Role

STRUCTURE = NativeStructure(
    name="radix-table",
    summary="page table over gfns, nine bits per level, levels with one child skipped",
    costs=Costs(gfn="O(1)", hva="-", update="O(n)"),
    source="QEMU, system/physmem.c",
    roles=(Role.GFN,),
    partner="interval-tree",
)
