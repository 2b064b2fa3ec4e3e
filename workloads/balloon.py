"""balloon: a guest returns memory page by page and takes it back; it also reports free ranges.

The balloon drops pages in the order of the guest's free lists, which is random to the host: each page is one
MADV_DONTNEED. Free page reporting drops whole ranges, with MADV_FREE every other time.
"""

from __future__ import annotations

from slotlookup.address import HUGE_PAGES, PAGE_SHIFT
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, VCPUS, lay_out, vcpus, writes

_SHARE = 8
"""One page in this many enters the balloon at a time."""
_REPORTS = 8


class Balloon(Scenario):
    """Inflation, accesses to the remaining memory, reports of free ranges, deflation; repeatedly."""

    name = "balloon"
    summary = "a balloon inflates and deflates; free ranges are reported"
    stresses = "visits of single pages in all slots, each faulted in again"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.start()
        total = guest.total
        taken = max(1, total // _SHARE)
        turn = 0
        while not vm.recorder.full:
            free = draw.permutation(total)
            given, kept = free[:taken], free[taken:]
            vm.access(vcpus(draw, taken), guest.gfns[given], True)
            for at in range(0, taken, BATCH):
                host.dontneed_pages(guest.hva_pages[given[at : at + BATCH]])
            work = kept[:BATCH]
            vm.access(vcpus(draw, len(work)), guest.gfns[work], writes(draw, work))
            for slot in draw.integers(0, guest.slots, min(_REPORTS, guest.slots)).tolist():
                hva, length = guest.slot_range(slot)
                length = min(length, HUGE_PAGES << PAGE_SHIFT)
                host.free(hva, length) if turn % 2 else host.dontneed(hva, length)
            vm.access(vcpus(draw, taken), guest.gfns[given], True)
            turn += 1
        return vm


SCENARIO = Balloon()
