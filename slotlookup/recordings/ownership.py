"""Separates the events of one VM from those of others in a recording of a whole machine.

The kernel records the thread that caused an event, and in some recordings its process, but not the VM. Rules:

- Faults belong to the VM whose thread faults. Threads that fault inside one of its slots must be one process; if
  processes are not recorded, one thread, or threads of different names like `CPU 0/KVM` and `CPU 1/KVM`. Otherwise the
  process whose notifier calls overlap the slots' host addresses is selected, and if that is not exactly one, the user
  must choose.
- A vCPU whose faults all miss, as those of MMIO do, belongs to the VM if it is of the same process; if processes are
  not recorded, if its name is like those of the VM's threads and no two faulting threads share a name.
- Notifier calls belong to the process whose memory changes, whichever thread causes them. Those of the VM's own threads
  are all kept, as the kernel searches the slots each time; those of other threads (ksmd, kdamond, khugepaged, kswapd
  and others) are kept if their range overlaps a slot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from slotlookup.arrays import Bools, Words
from slotlookup.errors import InputFileError, present
from slotlookup.memslots import Memslot
from slotlookup.recordings.importing import Origins, Recording, Thread
from slotlookup.trace import EventKind

_KERNEL_THREADS = re.compile(r"(kdamond|ksmd|khugepaged|kswapd|kcompactd|kworker|migration|oom_reaper)(?![a-z]).*")
"""Kernel threads that change other processes' memory, for recordings without processes."""
_LISTED = 8


@dataclass(frozen=True)
class Chosen:
    """The user's selection of the VM's threads, by thread or process id, or by name with wildcards."""

    pids: frozenset[int] = frozenset()
    comms: tuple[str, ...] = ()
    required: bool = True
    """Whether it is an error if none of them has events."""

    def __bool__(self) -> bool:
        return bool(self.pids or self.comms)

    def matches(self, thread: Thread) -> bool:
        """Whether a thread is selected."""
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
        # An empty range precedes the first.
        self._ends = np.concatenate([np.zeros(1, dtype=np.uint64), table[:, 1]])

    def meets(self, starts: Words, ends: Words) -> Bools:
        """Which of the half-open ranges have an address in common with the union."""
        # There is an overlap if the last range that begins before the question's end ends after the question's start.
        met: Bools = self._ends[np.searchsorted(self._starts, ends, side="left")] > starts
        return met


@dataclass
class Claim:
    """The VM's events of a recording, the numbers of dropped events by kind, and remarks."""

    kept: Bools
    dropped: Counter[str]
    remarks: list[str]


def claim(recording: Recording, slots: Sequence[Memslot], chosen: Chosen) -> Claim:
    """Select the events of the VM with `slots` (all slots that it ever had).

    Raises InputFileError if there are several VMs and the rules do not decide, or if the selected threads have no
    events.
    """
    origins = present(recording.origins, "the origin of the events")
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
            raise InputFileError(
                recording.path, None, f"no event is from a selected thread; the recording has {listed}"
            )
        faulting, asked = own, own
        if chosen.required and bool(threads.inside.any()) and not bool((own & (threads.lookups > 0)).any()):
            listed = threads.listed(np.flatnonzero(threads.lookups > 0))
            remarks.append(f"no fault is from a selected thread; the faulting threads are {listed}")
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
        remarks.append(f"{int(others.sum()):,} notifier calls that overlap a slot are from other threads: {listed}")
    return Claim(kept, dropped, remarks)


class _Threads:
    """The counts of each thread: lookups, lookups inside a slot, and visits that overlap a slot."""

    def __init__(self, origins: Origins, lookup: Bools, inside: Bools, met: Bools) -> None:
        self.all = origins.threads
        n = len(self.all)
        self.present = np.bincount(origins.thread, minlength=n) > 0
        self.lookups = np.bincount(origins.thread[lookup], minlength=n)
        self.inside = np.bincount(origins.thread[inside], minlength=n)
        self.met = np.bincount(origins.thread[met], minlength=n)

    def listed(self, indices: npt.NDArray[np.intp]) -> str:
        """The names of the first threads, and the number of others."""
        names = [str(self.all[i]) for i in indices[:_LISTED].tolist()]
        return ", ".join(names) + (f" and {len(indices) - _LISTED:,} more" if len(indices) > _LISTED else "")

    def one_vm(self, recording: Recording) -> tuple[Bools, list[str]]:
        """The threads of the one VM that faults, with remarks. Raises InputFileError if there are several VMs."""
        candidates = np.flatnonzero(self.inside)
        own = np.zeros(len(self.all), dtype=bool)
        if not len(candidates):
            # VMs cannot be distinguished; lookups that all miss are reported or refused elsewhere.
            own[:] = True
            return own, []
        processes = {self.all[i].tgid for i in candidates.tolist()}
        if len(processes) == 1 and None not in processes:
            own[self._faulting_of(processes)] = True
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
            own[self._alike(stems)] = True
            return own, []
        meeting = {t.tgid for t, met in zip(self.all, self.met.tolist(), strict=True) if met} & processes
        if len(meeting) != 1:
            raise InputFileError(
                recording.path,
                None,
                f"contains faults of {len(processes)} VMs, and it is unknown which has these slots; choose with --pid: "
                f"{self.listed(candidates)}",
            )
        process = meeting.pop()
        own[self._faulting_of({process})] = True
        return own, [f"of {len(processes)} VMs, process {process} is selected: its notifier calls overlap the slots"]

    def _faulting_of(self, processes: set[int | None]) -> list[int]:
        """The threads of some processes that fault, wherever."""
        return [i for i in np.flatnonzero(self.lookups).tolist() if self.all[i].tgid in processes]

    def _alike(self, stems: set[str]) -> list[int]:
        """The threads that fault and are named like the VM's; none where a name is not unique: there are more VMs."""
        faulting = np.flatnonzero(self.lookups).tolist()
        names = [self.all[i].comm for i in faulting]
        if len(set(names)) < len(names):
            return []
        return [
            i for i in faulting if re.sub(r"\d+", "#", self.all[i].comm) in stems and re.search(r"\d", self.all[i].comm)
        ]

    def companions(self, faulting: Bools) -> Bools:
        """The threads of the VM's process, as far as known."""
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
