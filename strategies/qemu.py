"""qemu: the dispatch of a guest-physical address in QEMU (system/physmem.c; exec.c in versions of the 2010s).

A radix tree over page numbers, in which levels with a single child are skipped, finds a section of memory. The section
found last (mru_section) is tested first. Every change of the memory map builds a new map with a new tree, to which
readers under RCU then switch. For host addresses, the blocks of RAM are searched one by one.

Approximated: QEMU's tree also distinguishes MMIO regions and parts of pages, so it always has an answer; here it holds
memory slots and may answer with a hole. A change in QEMU is one transaction of many region changes, and builds one map;
here each change of a slot builds one. QEMU's list of RAM blocks has the largest first, is searched up to the first hit,
and tests the block found last (mru_block) first; here an array in order of creation is scanned to its end, because
slots may share host memory. QEMU finds blocks of RAM, not slots; one block can have several slots.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="qemu",
    spec="gfn=radix-table,hva=linear,cache=mru-section,update=rebuild",
    summary="QEMU's memory dispatch: a radix tree, the section found last, a new map for each change",
    source="QEMU, system/physmem.c",
)
