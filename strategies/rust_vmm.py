"""rust-vmm: guest memory in the vm-memory crate (src/region.rs), which Firecracker and Cloud Hypervisor use.

Regions stand in an array sorted by guest address, which is searched by halving. To add or remove one, the array is
copied and the copy sorted; readers switch to it by an atomic pointer.

Approximated: the array holds shared pointers to regions there, so that each step of the search follows one; here
starts and ends stand in the array. The copy is changed in place of being sorted anew. Left out: the crate finds
nothing by host address; for such visits an array in order of creation is scanned.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="rust-vmm",
    spec="gfn=sorted,hva=linear,update=copy",
    summary="rust-vmm's vm-memory: array by address, copied for each change",
    source="rust-vmm, vm-memory, src/region.rs",
)
