"""Accesses in batches have the outcome of the same accesses one at a time: state, counters and trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slotlookup.memslots import LOG_DIRTY_PAGES, READONLY
from slotlookup.model.host import Host, ksm, userfault
from slotlookup.model.host.reclaim import Watermarks
from slotlookup.model.host.vmas import File
from slotlookup.model.vm import Vm
from slotlookup.registry import make_strategy

PAGES = 600
ALL = (0, 1 << 12, 2 << 12, 3 << 12)
PAGINGS = ["ept", "ept-no-ad", "ept-2008", "shadow"]


def prepared(paging: str, era: str, frames: int) -> Vm:
    """A VM that meets every kind of fault: a log, a read-only slot, an alias, a file, merged, shared, hinted pages."""
    host = Host(frames << 12, Watermarks(8, 24, 8))
    vm = Vm(make_strategy("kvm-5.17"), host, paging=paging, era=era, vcpus=3)
    hva = host.mmap(PAGES << 12)
    file = host.mmap(8 << 12, file=File(8))
    vm.set_user_memory_region(0, 0, 300 << 12, hva)
    vm.set_user_memory_region(1, 1 << 24, 250 << 12, hva + (300 << 12), LOG_DIRTY_PAGES)
    vm.set_user_memory_region(2, 2 << 24, 50 << 12, hva + (550 << 12), READONLY)
    vm.set_user_memory_region(3, 3 << 24, 8 << 12, file)
    vm.set_user_memory_region(4, (3 << 24) + (8 << 12), 4 << 12, hva)
    vm.start()
    vm.access(0, np.arange(0, 200), True)
    host.advise(hva, 16 << 12, mergeable=True)
    ksm.set_content(host, hva, np.arange(16) % 3 + 1)
    ksm.scan(host, hva, 16)
    host.pageout(hva + (96 << 12), 8 << 12)
    host.fork()
    vm.access(0, np.arange(150, 200), True)
    host.clear_refs(4)
    host.numa_scan(hva + (64 << 12), 16 << 12)
    host.free(hva + (80 << 12), 8 << 12)
    userfault.register(host, hva + (250 << 12), 20 << 12, missing=True)
    userfault.register(host, hva + (120 << 12), 4 << 12, wp=True)
    userfault.protect(host, hva + (120 << 12), 4 << 12, on=True)
    host.clear_refs(1)
    return vm


def outcome(vm: Vm) -> tuple[object, ...]:
    return vm.digest(), vm.report(), vm.trace("t", "modelled").fingerprint


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(PAGINGS),
    st.sampled_from(["2.6.32", "6.18"]),
    st.sampled_from([700, 900]),
    st.integers(0, 2**32),
    st.sampled_from([3, 40, 400]),
)
def test_batches_are_their_accesses(paging: str, era: str, frames: int, seed: int, batch: int) -> None:
    draw = np.random.Generator(np.random.PCG64(seed))
    together, alone = prepared(paging, era, frames), prepared(paging, era, frames)
    for _ in range(2):
        where = draw.integers(0, 4, batch)
        gfns = np.array(ALL)[where] + draw.integers(0, np.array([310, 260, 60, 14])[where])
        writes, vcpus = draw.integers(0, 2, batch) == 1, draw.integers(0, 3, batch)
        together.access(vcpus, gfns, writes)
        for vcpu, gfn, write in zip(vcpus.tolist(), gfns.tolist(), writes.tolist(), strict=True):
            alone.access(vcpu, gfn, write)
        assert outcome(together) == outcome(alone)


@pytest.mark.parametrize("paging", PAGINGS)
def test_the_worlds_meet_what_cuts_batches(paging: str) -> None:
    vm = prepared(paging, "6.18", 1100)
    draw = np.random.Generator(np.random.PCG64(0))
    for _ in range(6):
        where = draw.integers(0, 4, 1000)
        gfns = np.array(ALL)[where] + draw.integers(0, np.array([310, 260, 60, 14])[where])
        vm.access(0, gfns, draw.integers(0, 2, 1000) == 1)
    host, guest = vm.report()["host"], vm.report()["guest"]
    met = {key: host[key] for key in ("major", "cow", "reused", "zero_page", "uffd_missing", "uffd_wp", "numa_hints")}
    met |= {key: guest[key] for key in ("retries", "mmio_known", "readonly_writes", "logged")}
    assert all(met.values()), met
