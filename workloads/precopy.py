"""precopy: live migration by dirty logging. Rounds collect the written pages while the guest continues to write.

Logging is enabled in every slot, which write-protects all of memory. Each round reads and clears every slot's log,
which protects the logged pages again. After the rounds logging is disabled, as after a cancelled migration, and the
next migration begins.
"""

from __future__ import annotations

from slotlookup.address import PAGE_SHIFT
from slotlookup.memslots import LOG_DIRTY_PAGES
from slotlookup.model.host import Host
from slotlookup.model.scenario import Scenario, Size
from slotlookup.model.vm import Vm
from slotlookup.strategy import Strategy

from ._guest import VCPUS, Guest, lay_out, near_and_far, vcpus, writes

_ROUNDS = 8
_BATCH = 1 << 13


class Precopy(Scenario):
    """Every write fault sets a bit in the slot's dirty log."""

    name = "precopy"
    summary = "live migration: dirty logging in rounds, enabled and disabled"
    stresses = "changes of flags on every slot, a lookup for each page written in a round"
    slots = 16

    def play(self, strategy: Strategy, size: Size) -> Vm:
        draw = size.draw()
        host = Host(2 * size.memory + (64 << 20))
        vm = Vm(strategy, host, vcpus=VCPUS, limit=size.events)
        guest = lay_out(vm, host, size, draw)
        vm.access(0, guest.gfns, True)
        vm.start()
        total = guest.total
        near = max(1, total // 4)
        base = 0
        while True:
            _log(vm, guest, on=True)
            for _ in range(_ROUNDS):
                pages = near_and_far(draw, _BATCH, total, base, near)
                vm.access(vcpus(draw, _BATCH), guest.gfns[pages], writes(draw, pages, one_in=2))
                if vm.recorder.full:
                    return vm
                for slot in range(guest.slots):
                    vm.get_dirty_log(slot)
                base = (base + near // 4) % total
            _log(vm, guest, on=False)


def _log(vm: Vm, guest: Guest, *, on: bool) -> None:
    for slot in range(guest.slots):
        hva, length = guest.slot_range(slot)
        gpa = int(guest.gfns[guest.before[slot]]) << PAGE_SHIFT
        vm.set_user_memory_region(slot, gpa, length, hva, LOG_DIRTY_PAGES if on else 0)


SCENARIO = Precopy()
