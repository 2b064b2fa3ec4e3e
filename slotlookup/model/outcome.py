"""What a modelled workload costs its guest and its host, whatever strategy finds the slots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

Report = Mapping[str, Mapping[str, int]]
"""Every counter of a VM, by the part that counts (`Vm.report`)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counters from the start of the trace on.

    `exits` are the guest's exits for faults, their retries and MMIO. `minor_faults` were resolved without reading,
    `major_faults` were read from swap. `ageing_calls` are the pages whose age the host asked the MMU for; `young` of
    them were reported as used. `pinned` were reported young though not used since the last request, `wrongly_evicted`
    were reported old though used since then. `forced` were evicted although young, because nothing was old.
    """

    accesses: int
    exits: int
    minor_faults: int
    major_faults: int
    ageing_calls: int
    young: int
    pinned: int
    wrongly_evicted: int
    evicted: int
    forced: int

    @classmethod
    def between(cls, before: Report, after: Report) -> Outcome:
        """What was counted between two reports of one VM."""

        def counted(part: str, name: str) -> int:
            return after[part][name] - before[part][name]

        return cls(
            accesses=counted("guest", "accesses"),
            exits=counted("guest", "exits"),
            minor_faults=counted("host", "minor"),
            major_faults=counted("host", "major"),
            ageing_calls=counted("notifier", "aged"),
            young=counted("notifier", "young"),
            pinned=counted("notifier", "pinned"),
            wrongly_evicted=counted("notifier", "wrongly_evicted"),
            evicted=counted("host", "evicted"),
            forced=counted("host", "forced"),
        )

    def as_json(self) -> dict[str, int]:
        """All counters."""
        return asdict(self)

    @classmethod
    def from_text(cls, text: str) -> Outcome:
        """The outcome in a JSON text of `as_json`. Raises ValueError for any other text."""
        held = json.loads(text)
        names = [field.name for field in fields(cls)]
        if not isinstance(held, dict) or sorted(held) != sorted(names):
            raise ValueError("not the counters of a modelled workload")
        if not all(isinstance(held[name], int) and held[name] >= 0 for name in names):
            raise ValueError("a counter is not a whole number")
        return cls(**held)
