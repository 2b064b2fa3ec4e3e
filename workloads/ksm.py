"""ksm: the host merges pages of equal content; guest writes separate some of them again.

ksmd write-protects each candidate and then replaces it by the shared page, with a pair of visits per step. The first
write to a merged page copies it. Every few rounds a range is excluded from merging, which separates all of its pages.
"""

from __future__ import annotations

from slotlookup.address import PAGE_SHIFT, PAGE_SIZE
from slotlookup.model.host import Host, ksm
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, lay_out, require_memory, vcpus, writes

_STRETCH = 64
"""Pages that ksmd looks at before it sleeps."""
_ALIKE = 8
"""Pages that have the same content, on average."""
_UNMERGE_EVERY = 16


class Ksm(Scenario):
    """Ranges of host memory in the order in which ksmd scans them."""

    name = "ksm"
    summary = "same-page merging: pages are merged, written to and separated again"
    stresses = "repeated visits of the same single page, a visit within each fault"
    slots = 16
    memory = 128 << 20
    default_events = 10_000

    def play(self, strategy: Strategy, size: Size) -> Vm:
        require_memory(self.name, size, 2 * PAGE_SIZE)  # a page alone merges with none
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        total = guest.total
        order = guest.by_hva()
        count = min(_STRETCH, total)
        turn = first = 0
        while not vm.recorder.full:
            first = first + count if first + 2 * count <= total else 0
            pages = order[first : first + count]
            # Slots are adjacent in the mapping, except for the last pages of shorter ones.
            hva = int(guest.hva_pages[pages[0]]) << PAGE_SHIFT
            length = (int(guest.hva_pages[pages[-1]]) + 1 << PAGE_SHIFT) - hva
            host.advise(hva, length, mergeable=True)
            vm.access(vcpus(draw, count), guest.gfns[pages], True)
            ksm.set_content(host, hva, draw.integers(1, 2 + count // _ALIKE, length >> PAGE_SHIFT))
            ksm.scan(host, hva, length >> PAGE_SHIFT)
            vm.access(vcpus(draw, count), guest.gfns[pages], writes(draw, pages))
            turn += 1
            if turn % _UNMERGE_EVERY == 0:
                ksm.unmerge(host, hva, length)
        return vm


SCENARIO = Ksm()
