"""vhost: how Linux's vhost finds guest memory since 4.8 (a9709d6874d5, 2016), in drivers/vhost/iotlb.c since 5.7.

Ranges of guest addresses stand in the kernel's augmented interval tree. Before, they stood in an array sorted by
address and searched by halving; Jason Wang gave the cost of adding and removing single regions, the removal of ranges
across regions, and replacement by age as reasons for the tree.

Approximated: vhost translates byte addresses, and rings of a device rather than faults ask; both are gfn lookups here.
It looks nothing up by host address; for such visits the same tree, keyed by hva, stands in.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="vhost",
    spec="interval-tree",
    summary="vhost in Linux since 4.8: an interval tree over guest addresses",
    source="Linux 4.8 (a9709d6874d5), drivers/vhost",
)
