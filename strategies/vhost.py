"""vhost: the lookup of guest memory in vhost since 4.8 (a9709d6874d5, 2016); since 5.7 in drivers/vhost/iotlb.c.

Ranges of guest addresses are in the kernel's augmented interval tree. Before, they were in an array sorted by address,
with binary search; Jason Wang gave the cost of adding and removing single regions, the removal of ranges across
regions, and replacement by age as reasons for the tree.

Approximated: vhost translates byte addresses, and its lookups come from the rings of a device, not from faults; both
are gfn lookups here. It does not look up host addresses; the same tree, keyed by hva, is used for them here.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="vhost",
    spec="interval-tree",
    summary="vhost in Linux since 4.8: an interval tree over guest addresses",
    source="Linux 4.8 (a9709d6874d5), drivers/vhost",
)
