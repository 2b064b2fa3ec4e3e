"""rust-vmm: guest memory in the vm-memory crate (src/region.rs), which Firecracker and Cloud Hypervisor use.

Regions are in an array sorted by guest address, with binary search. To add or remove one, the array is copied and the
copy sorted; readers switch to it through an atomic pointer.

Approximated: the crate's array holds shared pointers to regions, so each step of the search follows one; here starts
and ends are in the array. The copy is edited instead of being sorted again. Left out: the crate does not look up host
addresses; an array in order of creation is scanned for them here.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="rust-vmm",
    spec="gfn=sorted,hva=linear,update=copy",
    summary="rust-vmm's vm-memory: array by address, copied for each change",
    source="rust-vmm, vm-memory, src/region.rs",
)
