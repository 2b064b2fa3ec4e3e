"""kvm-5.15: the path of a vCPU's own faults in KVM of Linux 5.15 and 5.16 (2021), by David Matlack.

As in `kvm-3.19`, an array sorted by gfn with binary search, a scan of all slots for hvas, and a copy for each change.
Each vCPU first tests its own last-used slot (fe22ed827c5b), which is invalid once the generation of the slots has
changed. Published with it: 64 vCPUs on 64 slots dirtied their memory in 0.31 s instead of 2.83 s.

Approximated: lookups without a vCPU tested the last-used slot of the whole VM, as before; a strategy has one cache
here, so `kvm-3.19` is that path. The vCPUs' slots are in a table by vCPU number, which is empty in each new copy; vCPUs
whose numbers are equal modulo 1,024 share an entry. The rest is approximated as in `kvm-3.19`.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-5.15",
    spec="gfn=sorted,hva=linear,cache=per-vcpu,update=copy",
    summary="KVM of Linux 5.15 and 5.16 (2021), faults of vCPUs: array by gfn, a last-used slot each",
    source="Linux 5.15 (fe22ed827c5b)",
)
