"""crosvm: guest memory in crosvm (the vm_memory crate; as of the 2020s).

Regions are in a shared, immutable slice, which is scanned from its front for a guest address. A VM has a handful of
regions.

Approximated: a new slice is a copy with the change applied. Left out: crosvm does not look up host addresses; the same
array is scanned for them here. Memory slots beyond guest RAM, whose numbers come from a heap of free numbers, are found
by number and are not modelled.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="crosvm",
    spec="linear,update=copy",
    summary="crosvm: a shared slice of regions, scanned",
    source="crosvm, vm_memory",
)
