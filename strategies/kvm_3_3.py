"""kvm-3.3: what KVM did from Linux 3.3 to 3.18 (2012 to 2014), by Xiao Guangrong.

The array of slots is sorted by size, the largest first, and scanned for a gfn; a notifier's hva scans all of the same
array. Since 2.6.34 (bc6678a33d9b) a change makes a copy of the array, which readers under SRCU then switch to.

Approximated: the array held the slots themselves, here {start, last, pointer}. Of the copy's price, the heap sort that
went with each change is an insertion into the sorted array here, which is cheaper. A deletion or move first published a
copy with the slot marked invalid; here one copy is made for each change. Left out: the table from ids to places in the
array, which no lookup asks, and the waiting for grace periods.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-3.3",
    spec="size-sorted,update=copy",
    summary="KVM of Linux 3.3 to 3.18 (2012): one array by size, copied for each change",
    source="Linux 3.3, virt/kvm/kvm_main.c",
)
