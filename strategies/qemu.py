"""qemu: how QEMU dispatches a guest-physical address (system/physmem.c, exec.c in versions of the 2010s).

A radix tree over page numbers leads to a section of memory, with levels that have one way on skipped. The section
found last (mru_section) stands in front. Every change of the memory map makes a new map, tree and all, which readers
under RCU then switch to. For host addresses, the blocks of RAM are gone through one by one.

Approximated: the tree there also tells MMIO regions and pieces of pages apart, so that it always answers; here it
holds memory slots and may answer with a hole. A change there is one transaction of many region changes, and costs one
map; here each change of a slot costs one. The list of RAM blocks is kept with the largest first and ends at the first
hit, with the block hit last (mru_block) in front; here an array in order of creation is scanned to its end, because
slots may share host memory. It finds blocks of RAM, not slots, of which one block can have several.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="qemu",
    spec="gfn=radix-table,hva=linear,cache=mru-section,update=rebuild",
    summary="QEMU's memory dispatch: a radix tree, the section found last, a new map for each change",
    source="QEMU, system/physmem.c",
)
