"""What a file in the workloads folder declares: slots plus activity, as a trace that its seed makes again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum

from slotlookup.trace import Trace


class Origin(StrEnum):
    """Where a workload's activity comes from."""

    RECORDED = "recorded"
    SYNTHETIC = "synthetic"
    MODELLED = "modelled"


class Workload(ABC):
    """A named source of traces. The registry finds module-level instances.

    `slots` is the number of slots where nothing else is asked for; `sizable` says whether another number may be asked.
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

        `slots` and `events` are wishes; a workload that cannot meet one raises UsageError. None takes the default.
        """
