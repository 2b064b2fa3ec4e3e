"""kvm-2.6.27: what KVM did when it got its first MMU notifier, in Linux 2.6.27 (e930bffe95e1, 2008).

One array of slots in the order in which they came, scanned from the front for a gfn, and wholly for the hva of a
notifier. There was no cache, and a change edited the array where it stood.

Approximated: the array held the slots themselves, here it holds {start, last, pointer}, so that it can be set against
other structures over the same entries. Left out: the aliases of the x86 slots of that time, which were looked up in a
small table of their own before the array.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kvm-2.6.27",
    spec="linear",
    summary="KVM of Linux 2.6.27 (2008): one array, edited in place",
    source="Linux 2.6.27 (e930bffe95e1)",
)
