"""kvm-3.19: KVM from Linux 3.19 to 5.14 (2015 to 2021), by Igor Mammedov.

The array of slots is sorted by gfn and searched by binary search (0e60b0799fed, 9c1a5d38780e); one last-used slot for
the whole VM is tested first (d4ae84a02bc6). A notifier's hva scans the whole array. A change is made in a copy, to
which readers then switch; one pass of an insertion sort moves the changed slot to its place (063584d44377). Published
with the series: the last-used slot reduced an average lookup from 46 to 28 cycles, and binary search the slowest lookup
among 117 slots from 13,000 to 2,000.

Approximated: the array was in descending order and held the slots themselves; here it is in ascending order and
holds {start, last, pointer}. There, one array served both roles; here, hvas are searched in a second array in order of
creation, and both are copied. The last-used slot was an index into the array and was copied with it; here the copy
starts without one. A deletion or move first published a copy with the slot marked invalid; here the slot is marked, and
one copy is made.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-3.19",
    spec="gfn=sorted,hva=linear,cache=last-used,update=copy",
    summary="KVM of Linux 3.19 to 5.14 (2015): array by gfn, last-used slot of the whole VM",
    source="Linux 3.19 (0e60b0799fed, 9c1a5d38780e, d4ae84a02bc6, 063584d44377)",
)
