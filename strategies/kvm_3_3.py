"""kvm-3.3: KVM from Linux 3.3 to 3.18 (2012 to 2014), by Xiao Guangrong.

The array of slots is sorted by size, the largest first, and scanned for a gfn; a notifier's hva scans all of the same
array. Since 2.6.34 (bc6678a33d9b) a change makes a copy of the array, to which readers under SRCU then switch.

Approximated: the array held the slots themselves, here {start, last, pointer}. Each change included a heap sort of the
copy; here it is an insertion into the sorted array, which costs less. A deletion or move first published a copy with
the slot marked invalid; here the slot is marked, and one copy is made for each change. Left out: the table from ids to
places in the array, which lookups do not use, and the waiting for grace periods.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-3.3",
    spec="size-sorted,update=copy",
    summary="KVM of Linux 3.3 to 3.18 (2012): one array by size, copied for each change",
    source="Linux 3.3, virt/kvm/kvm_main.c",
)
