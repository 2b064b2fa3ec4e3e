"""kvm-3.19: what KVM did from Linux 3.19 to 5.14 (2015 to 2021), by Igor Mammedov.

The array of slots is sorted by gfn and searched by halving (0e60b0799fed, 9c1a5d38780e); one last-used slot for the
whole VM stands in front (d4ae84a02bc6). A notifier's hva scans the whole array. A change is made in a copy, which
readers then switch to; one pass of an insertion sort puts the changed slot into its place (063584d44377). Published
with the series: an average lookup fell from 46 to 28 cycles by the last-used slot, and the worst of 117 slots from
13,000 to 2,000 by halving.

Approximated: the array was sorted downwards and held the slots themselves, here it is sorted upwards and holds
{start, last, pointer}. There, one array served both roles; here, the scan for hvas goes through an array of its own,
in order of creation, and both are copied. The last-used slot was an index into the array and went along with the
copy; here the copy starts without one. A deletion or move first published a copy with the slot marked invalid; here
one copy is made.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-3.19",
    spec="gfn=sorted,hva=linear,cache=last-used,update=copy",
    summary="KVM of Linux 3.19 to 5.14 (2015): array by gfn, last-used slot of the whole VM",
    source="Linux 3.19 (0e60b0799fed, 9c1a5d38780e, d4ae84a02bc6, 063584d44377)",
)
