"""kvm-5.17-vcpu: the path of a vCPU's own faults in KVM since Linux 5.17.

A vCPU keeps the slot that it found last (fe22ed827c5b, Linux 5.15; a pointer since a54d806688fe). It tests that first,
if the generation of the slots has not changed, and on a miss searches the tree without touching the VM-wide slot of
`kvm-5.17`. Everything else is as in that preset, which is the path of lookups without a vCPU.

Approximated: the vCPU's slot is in struct kvm_vcpu in Linux, and in a table by vCPU number here, one for each slot set
and address space; vCPUs whose numbers are equal modulo 1,024 share an entry. The table of 16 KiB is included in the
bytes per slot.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-5.17-vcpu",
    spec="gfn=rbtree,hva=interval-tree,cache=per-vcpu,update=two-sets",
    summary="KVM since Linux 5.17, faults of vCPUs: each has its own last-used slot",
    source="Linux 5.17 (a54d806688fe, ed922739c919), Linux 5.15 (fe22ed827c5b)",
)
