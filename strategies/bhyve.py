"""bhyve: the lookup of guest memory in bhyve's kernel module (FreeBSD, sys/dev/vmm/vmm_mem.c; formerly vmm.c).

A short table of mappings, four at first and eight later, is scanned from its front. All vCPUs are stopped for a change,
so the table is changed in place.

Approximated: the table has a fixed size in bhyve, and one entry per slot here. Left out: the fault in the host's own
map of the guest's memory (an ordered tree of map entries) that follows the scan. bhyve does not look up host addresses;
the same array is scanned for them here.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="bhyve",
    spec="linear",
    summary="bhyve: a short table of mappings, scanned",
    source="FreeBSD, sys/dev/vmm/vmm_mem.c",
)
