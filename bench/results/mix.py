"""The mix of a workload: the shares of lookups, visits and slot changes among its events, and the cost of an event.

The cost of a mix is the mean over its events. In nanoseconds per event, it is also in milliseconds per million events.
Every command that adds the costs of different roles uses this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slotlookup.errors import UsageError
from slotlookup.questions import Questions
from slotlookup.registry import unknown
from slotlookup.vocabulary import Operation


@dataclass(frozen=True, slots=True)
class Weight:
    """A role's events, relative to those of the other roles. `derived`: the trace has none, they are substitutes."""

    events: float
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Mix:
    """The weight of each role. `given`: weights of the user's, not those of the events.

    At least one role has a weight above 0.
    """

    weights: Mapping[Operation, Weight]
    given: bool = False

    @property
    def roles(self) -> tuple[Operation, ...]:
        """The roles that have a weight above 0."""
        return tuple(role for role in Operation if role in self.weights and self.weights[role].events > 0)

    @property
    def derived(self) -> tuple[Operation, ...]:
        """Those of `roles` whose events are not the trace's own."""
        return tuple(role for role in self.roles if self.weights[role].derived)

    @property
    def own(self) -> Mix | None:
        """The same mix without derived roles; None if nothing remains."""
        kept = {role: self.weights[role] for role in self.roles if not self.weights[role].derived}
        return replace(self, weights=kept) if kept else None

    def share(self, role: str) -> float:
        """The share of a role among all events, from 0 to 1."""
        weight = self.weights.get(Operation(role))
        return 0.0 if weight is None else weight.events / sum(one.events for one in self.weights.values())

    def cost(self, per_operation: Mapping[str, float | None]) -> float | None:
        """The mean over all events of a figure per operation, by role; None if a role of the mix has none."""
        total = 0.0
        for role in self.roles:
            figure = per_operation.get(role)
            if figure is None:
                return None
            total += self.share(role) * figure
        return total

    def costs(self, samples: Mapping[str, Sequence[float]]) -> list[float]:
        """The same for series of samples by role, of which those at the same place are added.

        With one sample per process the sums are samples of a process too, so an interval over them holds between runs.
        Empty if a role of the mix has no samples; as long as the shortest series.
        """
        series = [samples.get(role, ()) for role in self.roles]
        shares = [self.share(role) for role in self.roles]
        return [
            sum(share * value for share, value in zip(shares, values, strict=True))
            for values in zip(*series, strict=False)
        ]

    def weighted(self, weights: Mapping[Operation, float]) -> Mix:
        """The same roles with weights of the user's. Roles that are not named have none."""
        derived = {role: self.weights[role].derived for role in self.weights}
        return Mix({role: Weight(weights.get(role, 0.0), derived.get(role, False)) for role in Operation}, given=True)


def mix_of(questions: Questions) -> Mix:
    """The mix of a trace's events, with as many events of a derived role as were derived."""
    counts = {
        Operation.GFN: len(questions.gfn),
        Operation.HVA: len(questions.hva),
        Operation.UPDATE: len(questions.update),
    }
    return Mix({role: Weight(count, role in questions.derived) for role, count in counts.items()})


def parse_weights(text: str) -> dict[Operation, float]:
    """Weights from `gfn=90,hva=9,update=1`. Raises UsageError."""
    found: dict[Operation, float] = {}
    for item in text.split(","):
        name, equals, value = (part.strip() for part in item.partition("="))
        if name not in list(Operation):
            raise UsageError(f"--mix {text}: {unknown('role', name, list(Operation))}")
        try:
            weight = float(value)
        except ValueError:
            weight = math.nan
        if not equals or not (0 <= weight < math.inf):
            raise UsageError(f"--mix {text}: {name} needs a weight of 0 or more, as in gfn=90,hva=9,update=1")
        if name in found:
            raise UsageError(f"--mix {text}: '{name}' is given twice")
        found[Operation(name)] = weight
    if not sum(found.values()) > 0:
        raise UsageError(f"--mix {text}: all weights are 0; give at least one role a weight above 0")
    return found
