"""Whose events a recording of a whole machine holds: those of one VM are told from those of others.

The kernel tells the thread that caused an event, and of some recordings its process; it does not tell the VM. Rules:

- Faults belong to the VM whose thread faults. Threads that never fault inside one of its slots are not its. What
  remains must be one process; where processes are not told, one thread, or threads of different names like `CPU 0/KVM`
  and `CPU 1/KVM`. Otherwise the process whose notifier calls meet the slots' host addresses is taken, and where that
  tells not just one, the user must choose.
- Notifier calls belong to the process whose memory changes, whoever causes it: those of the VM's own threads all count,
  as the kernel asks its slots each time; those of other threads (ksmd, kdamond, khugepaged, kswapd, or whoever) where
  their range meets a slot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from slotlookup.errors import InputFileError
from slotlookup.memslots import Memslot
from slotlookup.recordings.importing import Origins, Recording, Thread
from slotlookup.trace import EventKind

Flags = npt.NDArray[np.bool_]
_KERNEL_THREADS = re.compile(r"(kdamond|ksmd|khugepaged|kswapd|kcompactd|kworker|migration|oom_reaper)(?![a-z]).*")
"""Threads of the kernel that change other processes' memory, for recordings that tell of no processes."""
_LISTED = 8


@dataclass(frozen=True)
class Chosen:
    """The threads that the user says are the VM's, by thread or process id, or by name with wildcards."""

    pids: frozenset[int] = frozenset()
    comms: tuple[str, ...] = ()
    required: bool = True
    """Whether it is an error that none of them did anything."""

    def __bool__(self) -> bool:
        return bool(self.pids or self.comms)

    def matches(self, thread: Thread) -> bool:
        """Whether a thread is chosen."""
        by_id = thread.tid in self.pids or thread.tgid in self.pids
        return by_id or any(fnmatchcase(thread.comm, comm) for comm in self.comms)


class Ranges:
    """A union of half-open ranges of uint64."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        merged: list[list[int]] = []
        for start, end in sorted(ranges):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(end, merged[-1][1])
            else:
                merged.append([start, end])
        table = np.array(merged, dtype=np.uint64).reshape(-1, 2)
        self._starts = np.ascontiguousarray(table[:, 0])
        # Before the first range lies an empty one.
        self._ends = np.concatenate([np.zeros(1, dtype=np.uint64), table[:, 1]])

    def meets(self, starts: npt.NDArray[np.uint64], ends: npt.NDArray[np.uint64]) -> Flags:
        """Which of the half-open ranges have an address in common with the union."""
        # The last range that begins before the question ends must end after it begins.
        met: Flags = self._ends[np.searchsorted(self._starts, ends, side="left")] > starts
        return met


@dataclass
class Claim:
    """Which events of a recording are the VM's, how many of what were dropped, and what the reader must know."""

    kept: Flags
    dropped: Counter[str]
    remarks: list[str]


def claim(recording: Recording, slots: Sequence[Memslot], chosen: Chosen) -> Claim:
    """Tell the events of the VM that ever had `slots` from those of others.

    Raises InputFileError where there are several VMs and nothing tells which is meant, or nothing of the chosen is
    there.
    """
    origins = recording.origins
    assert origins is not None
    events = recording.events
    gfns = Ranges((s.base_gfn, s.base_gfn + s.npages) for s in slots)
    hvas = Ranges((s.userspace_addr, s.userspace_addr + s.size) for s in slots)
    lookup, visit = events["kind"] == EventKind.GFN_LOOKUP, events["kind"] == EventKind.HVA_VISIT
    a, b = np.ascontiguousarray(events["a"]), np.ascontiguousarray(events["b"])
    inside = lookup & gfns.meets(a, a + np.uint64(1))
    met = visit & hvas.meets(a, b)
    threads = _Threads(origins, lookup, inside, met)
    remarks: list[str] = []
    if chosen:
        own = np.array([chosen.matches(thread) for thread in origins.threads], dtype=bool)
        if chosen.required and not own.any():
            listed = threads.listed(np.flatnonzero(threads.present))
            raise InputFileError(recording.path, None, f"no event is by a thread that was chosen; it has {listed}")
        faulting, asked = own, own
        if chosen.required and bool(threads.inside.any()) and not bool((own & (threads.lookups > 0)).any()):
            listed = threads.listed(np.flatnonzero(threads.lookups > 0))
            remarks.append(f"no fault is by a thread that was chosen; those that fault are {listed}")
    else:
        faulting, told = threads.one_vm(recording)
        remarks += told
        asked = threads.companions(faulting)
    at = origins.thread
    kept = ~(lookup | visit) | (lookup & faulting[at]) | (visit & (asked[at] | met))
    dropped: Counter[str] = Counter()
    for flags, what in ((lookup, "faults of other VMs' threads"), (visit, "notifier calls for other processes")):
        gone = np.bincount(at[flags & ~kept], minlength=len(origins.threads))
        if gone.any():
            dropped[f"{what} ({threads.listed(np.flatnonzero(gone))})"] = int(gone.sum())
    others = visit & kept & ~asked[at]
    if bool(others.any()):
        listed = threads.listed(np.unique(at[others]))
        remarks.append(f"{int(others.sum()):,} notifier calls that meet a slot are by other threads: {listed}")
    return Claim(kept, dropped, remarks)


class _Threads:
    """What each thread did: how many lookups, lookups inside a slot, and visits that met one."""

    def __init__(self, origins: Origins, lookup: Flags, inside: Flags, met: Flags) -> None:
        self.all = origins.threads
        n = len(self.all)
        self.present = np.bincount(origins.thread, minlength=n) > 0
        self.lookups = np.bincount(origins.thread[lookup], minlength=n)
        self.inside = np.bincount(origins.thread[inside], minlength=n)
        self.met = np.bincount(origins.thread[met], minlength=n)

    def listed(self, indices: npt.NDArray[np.intp]) -> str:
        """Threads by name, the first of them."""
        names = [str(self.all[i]) for i in indices[:_LISTED].tolist()]
        return ", ".join(names) + (f" and {len(indices) - _LISTED:,} more" if len(indices) > _LISTED else "")

    def one_vm(self, recording: Recording) -> tuple[Flags, list[str]]:
        """The threads whose faults are the one VM's, with remarks. Raises InputFileError where there are several."""
        candidates = np.flatnonzero(self.inside)
        own = np.zeros(len(self.all), dtype=bool)
        if not len(candidates):
            # Nothing tells VMs apart; that every lookup misses is told, or refused, elsewhere.
            own[:] = True
            return own, []
        processes = {self.all[i].tgid for i in candidates.tolist()}
        if len(processes) == 1 and None not in processes:
            own[candidates] = True
            return own, []
        if None in processes:
            names = [self.all[i].comm for i in candidates.tolist()]
            stems = {re.sub(r"\d+", "#", name) for name in names}
            if len(names) > 1 and (len(stems) > 1 or len(set(names)) < len(names)):
                raise InputFileError(
                    recording.path,
                    None,
                    f"the threads {self.listed(candidates)} all fault inside the slots and may be several VMs'; choose "
                    "with --pid or --comm, more than once for the threads of one VM",
                )
            own[candidates] = True
            return own, []
        meeting = {t.tgid for t, met in zip(self.all, self.met.tolist(), strict=True) if met} & processes
        if len(meeting) != 1:
            raise InputFileError(
                recording.path,
                None,
                f"holds faults of {len(processes)} VMs and nothing tells which one has these slots; choose with --pid: "
                f"{self.listed(candidates)}",
            )
        process = meeting.pop()
        own[[i for i in candidates.tolist() if self.all[i].tgid == process]] = True
        return own, [f"of {len(processes)} VMs, process {process} is taken: its notifier calls meet the slots"]

    def companions(self, faulting: Flags) -> Flags:
        """The threads of the VM's process, as far as can be told."""
        processes = {self.all[i].tgid for i in np.flatnonzero(faulting & (self.inside > 0)).tolist()} - {None}
        own = np.zeros(len(self.all), dtype=bool)
        for i, thread in enumerate(self.all):
            if processes and thread.tgid is not None:
                own[i] = thread.tgid in processes
            else:
                own[i] = bool(self.inside[i] and faulting[i]) or (
                    bool(self.met[i]) and _KERNEL_THREADS.fullmatch(thread.comm) is None
                )
        return own
