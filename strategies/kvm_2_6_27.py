"""kvm-2.6.27: KVM with its first MMU notifier, in Linux 2.6.27 (e930bffe95e1, 2008).

One array of slots indexed by slot id, scanned from id 0 up to the largest id ever used: up to the slot found for a gfn,
and completely for the hva of a notifier. Deleted slots stayed in it with 0 pages. There was no cache, and a change
edited the array in place. The scan by id stayed until Linux 3.2; from 2.6.34 (bc6678a33d9b) on, a change made a copy of
the array.

Approximated: the array held the slots themselves; here it holds {start, end, pointer}, so that it can be compared with
other structures over similar entries. A notifier call for a range was processed page by page, with a scan of all slots
for each page; here it is one scan. Left out: the aliases of the x86 slots of that time, which were looked up in a
separate small table before the array.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-2.6.27",
    spec="slot-id-array",
    summary="KVM of Linux 2.6.27 (2008): one array by slot id, edited in place",
    source="Linux 2.6.27 (e930bffe95e1)",
)
