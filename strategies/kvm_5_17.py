"""kvm-5.17: lookups without a vCPU in KVM since Linux 5.17.

Slots are found by gfn in a red-black tree (a54d806688fe) and visited by hva in an interval tree (ed922739c919). A
last-used slot for the whole VM is tested before gfn lookups; misses are not cached. Changes go through two slot sets
that share slot objects: the inactive set is edited and swapped in, then the other set is updated; a deletion or
move first swaps in a copy marked invalid.

The faults of vCPUs take another path, without the VM-wide slot: `kvm-5.17-vcpu`.

Left out: the waiting for grace periods and for running invalidations, and the table from ids to slots, which lookups
do not use.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-5.17",
    spec="gfn=rbtree,hva=interval-tree,cache=last-used,update=two-sets",
    summary="KVM since Linux 5.17: last-used slot of the whole VM",
    source="Linux 5.17 (a54d806688fe, ed922739c919)",
)
