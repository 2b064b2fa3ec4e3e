"""kvm-2.6.27: KVM with its first MMU notifier, in Linux 2.6.27 (e930bffe95e1, 2008).

One array of slots in the order of their creation is scanned from the front for a gfn, and completely for the hva of a
notifier. There was no cache, and a change edited the array in place.

Approximated: the array held the slots themselves; here it holds {start, last, pointer}, so that it can be compared with
other structures over the same entries. Left out: the aliases of the x86 slots of that time, which were looked up in a
separate small table before the array.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-2.6.27",
    spec="linear",
    summary="KVM of Linux 2.6.27 (2008): one array, edited in place",
    source="Linux 2.6.27 (e930bffe95e1)",
)
