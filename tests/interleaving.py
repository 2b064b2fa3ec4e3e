"""Every possible order of the steps of faults, invalidations and slot changes.

A machine is a generator that yields where another vCPU or the host may run. `explore` runs all schedules of
some machines on the model's own parts, by depth-first search: a schedule is a list of choices, and the next one differs
from the last at the deepest place where another machine could have gone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from slotlookup.address import HOLE, Gfn
from slotlookup.model.host import Host, bits
from slotlookup.model.host.faults import get_page
from slotlookup.model.mmu.sptes import MAPS
from slotlookup.model.notifier import Retry
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGE = 4096
Machine = Generator[Callable[[], bool] | None, None, None]
"""Yields where others may come between; yields a condition where it must wait for one."""


class Race:
    """Slot 0 of four pages, slot 1 that maps the first two of them again, elsewhere."""

    ALIAS = 64

    def __init__(self, retry: Retry) -> None:
        self.host = Host(64 * PAGE)
        self.vm = Vm(make_strategy("linear"), self.host)
        self.hva = self.host.mmap(4 * PAGE)
        self.vm.set_user_memory_region(0, 0, 4 * PAGE, self.hva)
        self.vm.set_user_memory_region(1, self.ALIAS * PAGE, 2 * PAGE, self.hva)
        self.vm.notifier.state.retry = retry
        self.epoch = 0
        self.retries = 0
        self.reset()

    def reset(self) -> None:
        """All pages present in the host, none mapped for the guest, both slots there."""
        self.vm.sptes.zap_all()
        if self.vm.memslots.get(1) is None:
            self.vm.set_user_memory_region(1, self.ALIAS * PAGE, 2 * PAGE, self.hva)
        self.vm.notifier.state.in_progress = 0
        self.vm.notifier.state.start = None
        for page in range(4):
            if not self.host.pages.pte[self.host.pages.find_one(0, (self.hva >> 12) + page)]:
                self.host.write(self.hva + page * PAGE)

    def fault(self, gfn: int, attempts: int = 1) -> Machine:
        """A vCPU's fault: slot and sequence, then the page without a lock, then under the lock check and install."""
        vm = self.vm
        for _ in range(attempts):
            number = vm.strategy.lookup_gfn(Gfn(gfn))
            if number == HOLE:
                return
            snapshot, epoch = vm.notifier.state.seq, self.epoch
            page = int(vm.slots.hva_pages(np.array([number]), np.array([gfn]))[0])
            yield None
            got = get_page(self.host, page, write=True)
            yield None
            if got is not None and epoch == self.epoch and not vm.notifier.state.overtaken(snapshot, gfn):
                vm.sptes.table.ensure(0, gfn, gfn + 1)
                one = np.array([gfn])
                vm.mmu.install(np.array([number]), vm.sptes.table.find(0, one), one, *got, np.array([True]))
                return
            self.retries += 1

    def invalidate(self, first: int, count: int) -> Machine:
        """MADV_DONTNEED: announced, carried out, done."""
        start, end = self.hva + first * PAGE, self.hva + (first + count) * PAGE
        self.vm.notifier.invalidate_range_start(start, end)
        yield None
        self.host.zap(start, end)
        yield None
        self.vm.notifier.invalidate_range_end(start, end)

    def delete_slot(self) -> Machine:
        """Slot 1 goes: not while an invalidation is in progress, whose end would no longer find it."""
        yield lambda: not self.vm.notifier.state.in_progress
        self.vm.set_user_memory_region(1, self.ALIAS * PAGE, 0, self.hva)
        # kvm_mmu_zap_all_fast makes the roots obsolete: a fault that began before is stale.
        self.epoch += 1
        yield None

    def check(self, at_rest: bool) -> None:
        """No spte leads to a free frame, ever; at rest, each leads where the host's page table does."""
        table, pages = self.vm.sptes.table, self.host.pages
        for first, start in zip(*table.existing(0), strict=True):
            for at in np.flatnonzero(table.flags[start : start + 512] & MAPS).tolist():
                gfn, pfn = int(first) + at, int(table.pfn[start + at])
                assert self.host.frames.refs[pfn] > 0, f"gfn {gfn:#x} maps a frame that is free"
                if at_rest:
                    number = self.vm.strategy.lookup_gfn(Gfn(gfn))
                    assert number != HOLE, f"gfn {gfn:#x} is mapped and in no slot"
                    page = int(self.vm.slots.hva_pages(np.array([number]), np.array([gfn]))[0])
                    index = pages.find_one(0, page)
                    right = pages.pte[index] & bits.PRESENT and pages.num[index] == pfn
                    assert right, f"gfn {gfn:#x} maps a page that the host took"
        if at_rest:
            assert self.vm.notifier.state.in_progress == 0, "an invalidation never ended"


Case = Callable[[Race], Sequence[Machine]]

CASES: dict[str, Case] = {
    "fault, invalidate": lambda r: (r.fault(0, 3), r.invalidate(0, 1)),
    "fault, invalidate of others": lambda r: (r.fault(0, 3), r.invalidate(1, 2)),
    "fault at the last page of a range": lambda r: (r.fault(3, 3), r.invalidate(2, 2)),
    "fault, two invalidations": lambda r: (r.fault(0), r.invalidate(0, 1), r.invalidate(1, 1)),
    "fault, overlapping invalidations": lambda r: (r.fault(1), r.invalidate(0, 2), r.invalidate(1, 2)),
    "two faults, invalidate": lambda r: (r.fault(0), r.fault(1), r.invalidate(0, 2)),
    "faults in a slot and its alias": lambda r: (r.fault(0), r.fault(Race.ALIAS), r.invalidate(0, 1)),
    "fault, delete": lambda r: (r.fault(Race.ALIAS, 3), r.delete_slot()),
    "fault, delete, invalidate": lambda r: (r.fault(Race.ALIAS), r.delete_slot(), r.invalidate(0, 1)),
}


def explore(case: Case, retry: Retry) -> tuple[int, int]:
    """Run every schedule of a case: how many there are, and how often a fault tried again. AssertionError on a bug."""
    race = Race(retry)
    schedule: list[int] = []
    runs = 0
    while True:
        race.reset()
        alternatives = _run(race, case(race), schedule)
        runs += 1
        while alternatives and alternatives[-1][0] + 1 >= alternatives[-1][1]:
            alternatives.pop()
        if not alternatives:
            return runs, race.retries
        schedule = [chosen for chosen, _ in alternatives]
        schedule[-1] += 1


def _run(race: Race, machines: Sequence[Machine], schedule: list[int]) -> list[tuple[int, int]]:
    """One schedule, and beyond its end always the first machine: (choice, machines that could go) of each step."""
    waits: dict[Machine, Callable[[], bool] | None] = dict.fromkeys(machines)
    taken: list[tuple[int, int]] = []
    while waits:
        able = [machine for machine, ready in waits.items() if ready is None or ready()]
        assert able, "every machine waits for another"
        choice = schedule[len(taken)] if len(taken) < len(schedule) else 0
        taken.append((choice, len(able)))
        machine = able[choice]
        try:
            waits[machine] = next(machine)
        except StopIteration:
            del waits[machine]
        race.check(at_rest=False)
    race.check(at_rest=True)
    return taken
