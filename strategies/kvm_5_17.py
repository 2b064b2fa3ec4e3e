"""kvm-5.17: what KVM does since Linux 5.17, where no vCPU is at hand.

Slots are found by gfn in a red-black tree (a54d806688fe) and visited by hva in an interval tree (ed922739c919). A
last-used slot for the whole VM stands in front of gfn lookups; misses are not cached. Changes go through two slot sets
that share slot objects: the inactive set is edited and swapped in, then the other follows, and a deletion or move first
swaps in a copy marked invalid.

The faults of vCPUs take another path, past the VM-wide slot: `kvm-5.17-vcpu`.

Left out: the waiting for grace periods and for running invalidations, and the table from ids to slots, which no lookup
asks.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-5.17",
    spec="gfn=rbtree,hva=interval-tree,cache=last-used,update=two-sets",
    summary="KVM since Linux 5.17: last-used slot of the whole VM",
    source="Linux 5.17 (a54d806688fe, ed922739c919)",
)
