"""crosvm: guest memory in crosvm (the vm_memory crate; as of the 2020s).

Regions stand in a shared slice that is not changed once it is made, and a guest address is looked for from its front. A
VM has a handful of regions.

Approximated: a new slice is a copy with the change made. Left out: crosvm looks nothing up by host address; for such
visits the same array is scanned. Its memory slots beyond guest RAM, whose numbers it hands out from a heap of gaps, are
found by number and so are no part of this.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="crosvm",
    spec="linear,update=copy",
    summary="crosvm: a shared slice of regions, scanned",
    source="crosvm, vm_memory",
)
