"""Events of several recordings in one order: by time if their clocks can be the same, else one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slotlookup.arrays import Ints
from slotlookup.trace import Events

_EPOCH = 10**18
"""A time in ns from this value on is a time of day (2001 and later): no machine has run for thirty years."""


@dataclass
class Merged:
    """The events in order, the recording of each, and remarks on each recording."""

    events: Events
    origin: npt.NDArray[np.uint32]
    remarks: list[list[str]]


def merge(events: Sequence[Events], times: Sequence[Ints | None], paths: Sequence[Path]) -> Merged:
    """Put the recordings' events in order.

    `times` (ns, ascending) are None for a recording without times. Recordings with clocks of one kind, since boot or of
    day, are merged by time, equal times in the order of the recordings, at the place of the first of them. Others stay
    whole and in the given order.
    """
    remarks: list[list[str]] = [[] for _ in events]
    told = [None if t is None or not len(t) else "time of day" if t[0] >= _EPOCH else "time since boot" for t in times]
    groups: dict[str | int, list[int]] = {}
    for index, clock in enumerate(told):
        groups.setdefault(clock or index, []).append(index)
    pieces: list[Events] = []
    origins: list[npt.NDArray[np.uint32]] = []
    for key, members in groups.items():
        together = np.concatenate([events[i] for i in members])
        origin = np.repeat(np.array(members, dtype=np.uint32), [len(events[i]) for i in members])
        if len(members) > 1:
            order = np.argsort(np.concatenate([t for i in members if (t := times[i]) is not None]), kind="stable")
            together, origin = together[order], origin[order]
            for i in members:
                others = ", ".join(paths[j].name for j in members if j != i)
                remarks[i].append(f"merged by {key} with {others}")
        pieces.append(together)
        origins.append(origin)
    filled = [i for i, e in enumerate(events) if len(e)]
    clocks = {told[i] for i in filled}
    if len(clocks - {None}) > 1 or (None in clocks and len(clocks) > 1):
        for i in filled:
            if len(groups[told[i] or i]) == 1:
                remarks[i].append(
                    f"not merged by time: it has {told[i] or 'no time'}; recordings are placed one after another"
                )
    return Merged(np.concatenate(pieces), np.concatenate(origins), remarks)
