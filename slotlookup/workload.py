"""The declarations of files in the workloads folder: slots plus activity, as a trace that its seed reproduces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

from slotlookup.trace import Trace


class Origin(StrEnum):
    """The source of a workload's activity."""

    RECORDED = "recorded"
    SYNTHETIC = "synthetic"
    MODELLED = "modelled"


class Workload(ABC):
    """A named source of traces. The registry finds module-level instances.

    `slots` is the default number of slots; `sizable` says whether another number is possible.
    """

    name: str
    summary: str
    stresses: str
    origin: Origin
    slots: int
    sizable: bool = False

    @abstractmethod
    def build(self, *, slots: int | None = None, events: int | None = None, seed: int = 0) -> Trace:
        """The trace. The same arguments give the same trace on every machine.

        A workload that cannot have the given `slots` or `events` raises UsageError. None takes the default.
        """
