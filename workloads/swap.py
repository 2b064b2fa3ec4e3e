"""swap: a guest whose memory exceeds the host's, so that reclaim ages, unmaps and writes out its pages.

The host has five eighths of the guest's memory. Most accesses stay in a working set that fits; the others evict it.
Reclaim queries the age of each page that it scans, and unmaps old pages one by one. The EPT of 2008 has no accessed
bits; each of the policies that were discussed then has a scenario of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from slotlookup.model.host import Host
from slotlookup.model.mmu.settings import Paging, YoungPolicy, find_paging
from slotlookup.model.scenario import PolicyScenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import BATCH, VCPUS, lay_out, near_and_far, require_memory, vcpus, writes

_LEAST = 2 << 20


class Swap(PolicyScenario):
    """Reclaim runs by itself whenever frames run low."""

    slots = 16

    def __init__(self, name: str, policy: str, summary: str, stresses: str, paging: Paging, era: str) -> None:
        self.name, self.policy, self.summary, self.stresses = name, policy, summary, stresses
        self._paging, self._era = paging, era

    def play(self, strategy: Strategy, size: Size) -> Vm:
        return self._play(strategy, size, size.events, lambda vm: vm.recorder.full)

    def play_accesses(self, strategy: Strategy, size: Size, accesses: int, progress: Callable[[float], None]) -> Vm:
        def done(vm: Vm) -> bool:
            made = vm.outcome().accesses
            progress(min(made / accesses, 1.0))
            return made >= accesses

        return self._play(strategy, size, 0, done)

    def _play(self, strategy: Strategy, size: Size, events: int, done: Callable[[Vm], bool]) -> Vm:
        require_memory(self.name, size, _LEAST)
        draw = size.draw()
        host = Host(size.memory * 5 // 8)
        vm = Vm(strategy, host, paging=self._paging, era=self._era, vcpus=VCPUS, limit=events)
        guest = lay_out(vm, host, size, draw)
        total = guest.total
        # The host's memory is full, and reclaim begins with the next page.
        there = draw.permutation(total)[: host.spare]
        for at in range(0, len(there), BATCH):
            vm.access(0, guest.gfns[there[at : at + BATCH]], True)
        vm.start()
        near = total // 2
        count = min(BATCH, total // 8)
        base = 0
        while not done(vm):
            pages = near_and_far(draw, count, total, base, near)
            vm.access(vcpus(draw, count), guest.gfns[pages], writes(draw, pages))
            base = (base + near // 8) % total
        return vm


SWAP = (
    Swap(
        "swap",
        "accessed bits",
        "a guest larger than its host: reclaim ages pages, unmaps and swaps them",
        "ageing and visits in the order of the host's lists, lookups of pages that return",
        find_paging("ept"),
        "6.18",
    ),
    Swap(
        "swap-2008-always-young",
        "always young",
        "the same on EPT without accessed bits: mapped pages count as used",
        "ageing without information: more of it for each evicted page",
        find_paging("ept-2008", YoungPolicy.ALWAYS_YOUNG),
        "2.6.27",
    ),
    Swap(
        "swap-2008-unmap",
        "young and unmap",
        "the same on EPT without accessed bits: a queried page counts as used and is unmapped",
        "ageing that costs the guest a lookup each time",
        find_paging("ept-2008", YoungPolicy.YOUNG_AND_UNMAP),
        "2.6.27",
    ),
    Swap(
        "swap-2008-not-young",
        "not young",
        "the same on EPT without accessed bits: nothing counts as used",
        "visits of pages in use, which return from the swap cache",
        find_paging("ept-2008", YoungPolicy.NOT_YOUNG),
        "2.6.27",
    ),
)
