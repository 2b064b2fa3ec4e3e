"""virtualbox: the lookup of a range of guest RAM in VirtualBox (PGMAllPhys.cpp, as of the 2020s).

An array of ranges by guest address has a binary search; older versions had a binary tree. A cache of eight ranges, one
for each value of bits 20 to 22 of the address, is searched first; every change of ranges empties it.

Approximated: newer versions have eight such ranges for each vCPU in addition to those of the VM; here there are only
the VM's. How VirtualBox publishes changes to concurrent readers is not known here; the array is edited in place.
VirtualBox does not look up host addresses; an array in order of creation is scanned for them here.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="virtualbox",
    spec="gfn=sorted,hva=linear,cache=direct-mapped",
    summary="VirtualBox: array by address, eight ranges cached by address bits",
    source="VirtualBox, PGMAllPhys.cpp",
)
