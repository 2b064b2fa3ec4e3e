"""kivity-2008: the proposal of Avi Kivity on the KVM list on 6 June 2008.

An array sorted by size answers a gfn lookup with "an average of less than two lookups to find the slot, with the
smallest possible constant". For lookups by hva, for which a loop cannot in general end at the first match, "we can
add an unaliased flag to the memslot and set it for slots which do not have aliases. That makes the loop terminate soon
again."

Linux 3.3 sorted by size; the flag was never merged.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="kivity-2008",
    spec="size-sorted,unaliased",
    summary="the array by size with an unaliased flag, proposed in 2008",
    source="kvm@vger.kernel.org, 6 June 2008, <484967DC.901@qumranet.com>",
)
