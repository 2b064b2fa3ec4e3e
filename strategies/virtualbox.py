"""virtualbox: how VirtualBox finds a range of guest RAM (PGMAllPhys.cpp, as of the 2020s).

An array of ranges by guest address is searched by halving; in older versions it was a binary tree. In front stand
eight ranges, one for each value of bits 20 to 22 of the address, which every change of ranges empties.

Approximated: newer versions have eight such ranges for each vCPU besides those of the VM, here there are the VM's
alone. How changes reach readers under way is not in the facts at hand; here the array is edited in place. VirtualBox
looks nothing up by host address; for such visits an array in order of creation is scanned.
"""

from slotlookup.structure import Preset

PRESET = Preset(
    name="virtualbox",
    spec="gfn=sorted,hva=linear,cache=direct-mapped",
    summary="VirtualBox: array by address, eight ranges found last by place",
    source="VirtualBox, PGMAllPhys.cpp",
)
