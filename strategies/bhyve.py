"""bhyve: how bhyve's kernel part finds guest memory (FreeBSD, sys/dev/vmm/vmm_mem.c; in vmm.c before).

A short table of mappings, four at first and eight later, scanned from its front. All vCPUs are stopped for a change, so
that it is made in place.

Approximated: the table is of fixed size there, of as many entries as there are slots here. Left out: what follows the
scan, a fault in the host's own map of the guest's memory (an ordered tree of map entries); and bhyve needs no way back
from host addresses, for which the same array is scanned here.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="bhyve",
    spec="linear",
    summary="bhyve: a short table of mappings, scanned",
    source="FreeBSD, sys/dev/vmm/vmm_mem.c",
)
