"""Selects the page faults among the events of a thread. Each fault looks up a gfn once.

A fault is reported by up to three events, in this order: `kvm_page_fault` (address), `kvm_mmu_pagetable_walk` (under
shadow paging only), `kvm_mmu_spte_requested` (gfn), and in the TDP MMU `kvm_tdp_mmu_spte_changed` (gfn) if it installs
an spte. The user chooses which of them are recorded. Rules, for each thread separately:

- `kvm_mmu_spte_requested` directly after `kvm_page_fault` (ignoring walks) is the same fault. If the two agree on the
  gfn, the address is guest-physical; otherwise the VM uses shadow paging and the address is guest-virtual. In a thread
  in which most pairs disagree, `kvm_page_fault` has no guest-physical addresses: its lookups are the gfns requested.
- Without such a pair, every `kvm_page_fault` is a lookup, and so is every `kvm_mmu_spte_requested`.
- `kvm_tdp_mmu_spte_changed` is a lookup only in threads without any other event of a fault.
- `kvm_mmu_pagetable_walk` is never a lookup: it is the walk of the guest's tables before a fault. Without one, it
  belongs to a fault that the guest handles, to an emulated access, or to MMIO, none of which installs an spte.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slotlookup.arrays import Bools, Bytes, Words
from slotlookup.recordings.importing import Recording

from ._trace_lines import Told


def faults(told: Bytes, thread: npt.NDArray[np.uint32], a: Words, recording: Recording) -> Bools:
    """Which events are gfn lookups: bool[n]. `recording` counts the others by kind, with remarks."""
    threads = int(thread.max()) + 1 if len(thread) else 0
    lookup = np.zeros(len(told), dtype=bool)
    paired, agree = _pairs(told, thread, a)

    requested, page_fault = told == Told.REQUESTED, told == Told.PAGE_FAULT
    agreeing = np.bincount(thread[paired & agree], minlength=threads)
    disagreeing = np.bincount(thread[paired & ~agree], minlength=threads)
    virtual = (disagreeing > agreeing)[thread] if threads else np.zeros(0, dtype=bool)
    lookup |= requested & (~paired | virtual)
    lookup |= page_fault & ~virtual
    lookup |= (told == Told.GUEST_FAULT) | (told == Told.RISCV_EXIT)

    changed = told == Told.SPTE_CHANGED
    faulting = np.bincount(thread[requested | page_fault], minlength=threads) > 0
    alone = changed & ~faulting[thread] if threads else changed
    lookup |= alone

    walk = told == Told.WALK
    answered = _answered(told, thread)
    counted = recording.counted
    counted["kvm_mmu_spte_requested of faults in kvm_page_fault"] += int((requested & paired & ~virtual).sum())
    counted["kvm_page_fault of guest-virtual addresses"] += int((page_fault & virtual).sum())
    counted["kvm_tdp_mmu_spte_changed of faults in other events"] += int((changed & ~alone).sum())
    counted["page walks before a fault"] += int((walk & answered).sum())
    counted["page walks without an spte (MMIO, emulation or the guest's own faults)"] += int((walk & ~answered).sum())
    if bool(page_fault.any()) and not bool(requested.any()):
        recording.remarks.append(
            "addresses of kvm_page_fault are taken as guest-physical; if the VM uses shadow paging, also record "
            "kvmmmu:kvm_mmu_spte_requested"
        )
    if bool(alone.any()):
        recording.remarks.append(
            "only kvm_tdp_mmu_spte_changed reports faults: faults that found their spte present are missing"
        )
    return lookup


def _pairs(told: Bytes, thread: npt.NDArray[np.uint32], a: Words) -> tuple[Bools, Bools]:
    """Which requests follow a kvm_page_fault of their thread, and which of these agree with it on the gfn."""
    paired, agree = np.zeros(len(told), dtype=bool), np.zeros(len(told), dtype=bool)
    before, after = _neighbours(told, thread, (Told.PAGE_FAULT, Told.REQUESTED))
    pair = (told[before] == Told.PAGE_FAULT) & (told[after] == Told.REQUESTED)
    paired[after[pair]] = True
    agree[after[pair]] = a[after[pair]] == a[before[pair]]
    return paired, agree


def _answered(told: Bytes, thread: npt.NDArray[np.uint32]) -> Bools:
    """Which walks are followed by a request of their thread before its next walk."""
    answered = np.zeros(len(told), dtype=bool)
    before, after = _neighbours(told, thread, (Told.WALK, Told.REQUESTED))
    answered[before[(told[before] == Told.WALK) & (told[after] == Told.REQUESTED)]] = True
    return answered


def _neighbours(
    told: Bytes, thread: npt.NDArray[np.uint32], kinds: tuple[Told, Told]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pairs of indices: events of two given kinds that are neighbours in a thread once all other kinds are left out."""
    where = np.flatnonzero((told == kinds[0]) | (told == kinds[1]))
    where = where[np.argsort(thread[where], kind="stable")]
    same = thread[where[1:]] == thread[where[:-1]]
    return where[:-1][same], where[1:][same]
