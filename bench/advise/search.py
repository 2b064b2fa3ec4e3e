"""The search: costs of parts are added, limits exclude combinations, and the best few are chosen for a trial.

All functions are arithmetic on figures that were measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from slotlookup.spec import StrategySpec
from slotlookup.vocabulary import Operation

from ..results.mix import Mix
from .space import MEMORY, Parts, Space, parts_of

FINALISTS = 6
"""The number of combinations that are built and measured whole."""
DIFFERENT = 0.1
"""A share of changes at which another combination costs less by this share would change the answer."""
LEAST_NS = 0.1
"""A predicted cost below this is noise, which ratios must not magnify."""
Figures = Mapping[str, Mapping[str, float]]
"""By role or MEMORY, and spec: nanoseconds per operation, or bytes per slot."""
Combine = Callable[[Sequence[float]], float]
"""What several traces make of the costs on each, relative to the same base: their mean, or the greatest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The constraints on figures; None for no limit. Changes are limited by their cost in the most expensive trace."""

    bytes_per_slot: float | None = None
    update_ns: float | None = None

    def permits(self, bytes_per_slot: float | None, update_ns: float) -> bool:
        """Whether figures are within the limits. A limit on unknown memory is not kept."""
        if self.bytes_per_slot is not None and (bytes_per_slot is None or bytes_per_slot > self.bytes_per_slot):
            return False
        return self.update_ns is None or update_ns <= self.update_ns


@dataclass(frozen=True, slots=True)
class Setting:
    """A trace for the search: its mix, the figures of the parts, and the predicted cost of the present strategy."""

    name: str
    mix: Mix
    parts: Figures


@dataclass(frozen=True, slots=True)
class Predicted:
    """A combination with the sums of its parts.

    `costs` are in nanoseconds per event, and `roles` in nanoseconds per operation, by trace. `score` combines the costs
    on all traces, each relative to the cheapest combination there; 1 is the least.
    """

    spec: StrategySpec
    costs: tuple[float, ...]
    roles: tuple[Mapping[str, float], ...]
    bytes_per_slot: float | None
    score: float = 0.0

    @property
    def update_ns(self) -> float:
        """The cost of a slot change in the trace where it is highest."""
        return max(roles[Operation.UPDATE] for roles in self.roles)


def predict(space: Space, settings: Sequence[Setting], combine: Combine) -> list[Predicted]:
    """Every combination whose parts are all known in each of `settings`, the cheapest first."""
    found: list[Predicted] = []
    for spec in space.combinations():
        parts = parts_of(spec, space.base)
        roles: list[Mapping[str, float]] = []
        for setting in settings:
            figures = {role: added(parts[role], setting.parts.get(role, {})) for role in Operation}
            known: dict[str, float] = {role: figure for role, figure in figures.items() if figure is not None}
            if len(known) == len(Operation):
                roles.append(known)
        if len(roles) < len(settings):
            continue
        costs = tuple(cost for s, r in zip(settings, roles, strict=True) if (cost := s.mix.cost(r)) is not None)
        sizes = [added(parts[MEMORY], setting.parts.get(MEMORY, {})) for setting in settings]
        size = None if None in sizes else max(one for one in sizes if one is not None)
        found.append(Predicted(spec, costs, tuple(roles), size))
    return _scored(found, combine)


def _scored(found: Sequence[Predicted], combine: Combine) -> list[Predicted]:
    if not found:
        return []
    best = [min(one.costs[i] for one in found) for i in range(len(found[0].costs))]
    scored = [
        Predicted(one.spec, one.costs, one.roles, one.bytes_per_slot, _score(one.costs, best, combine)) for one in found
    ]
    return sorted(scored, key=lambda one: (one.score, one.bytes_per_slot or 0.0, str(one.spec)))


def _score(costs: Sequence[float], best: Sequence[float], combine: Combine) -> float:
    return combine([cost / max(least, LEAST_NS) for cost, least in zip(costs, best, strict=True)])


def added(parts: Parts, figures: Mapping[str, float]) -> float | None:
    """The sum of parts; None if the figure of one is unknown. What noise makes negative is 0."""
    total = 0.0
    for spec, sign in parts:
        if spec not in figures:
            return None
        total += sign * figures[spec]
    return max(total, 0.0)


def within(found: Iterable[Predicted], limits: Limits) -> list[Predicted]:
    """Those of `found` within the limits, in their order."""
    return [one for one in found if limits.permits(one.bytes_per_slot, one.update_ns)]


def finalists(found: Sequence[Predicted], count: int = FINALISTS) -> list[Predicted]:
    """The cheapest `count` of `found`, which is in order.

    Of combinations that differ in the update discipline alone, only the cheapest takes part: most differ by less than
    a timing can distinguish.
    """
    chosen: dict[tuple[object, ...], Predicted] = {}
    for one in found:
        spec = one.spec
        chosen.setdefault((spec.gfn, spec.hva, spec.cache, spec.unaliased), one)
        if len(chosen) == count:
            break
    return list(chosen.values())


def pareto(found: Iterable[Predicted]) -> list[Predicted]:
    """Those of which no other is at least as good in cost, memory and changes, and better in one.

    Unknown memory counts as none: it is unknown for all of a family. Of equals, the first in the order of names stays.
    """
    front: list[Predicted] = []
    for one in sorted(found, key=lambda one: (*_axes(one), str(one.spec))):
        axes = _axes(one)
        if not any(all(a <= b for a, b in zip(_axes(other), axes, strict=True)) for other in front):
            front.append(one)
    return front


def _axes(one: Predicted) -> tuple[float, float, float]:
    return one.score, one.bytes_per_slot or 0.0, one.update_ns


@dataclass(frozen=True, slots=True)
class Change:
    """A share of slot changes among all events from which on `spec` costs less than the choice by DIFFERENT."""

    share: float
    spec: StrategySpec


def changed_by(choice: Predicted, found: Iterable[Predicted], mix: Mix, trace: int = 0) -> Change | None:
    """The least share of slot changes above that of `mix` at which another combination is cheaper.

    Lookups and visits keep their ratio. None if there is none up to a share of 1.
    """
    best: Change | None = None
    read, changes = _read(choice, mix, trace)
    for other in found:
        other_read, other_changes = _read(other, mix, trace)
        # (1 - s) * other_read + s * other_changes = (1 - DIFFERENT) * ((1 - s) * read + s * changes)
        at_none = other_read - (1 - DIFFERENT) * read
        at_all = other_changes - (1 - DIFFERENT) * changes
        if at_all >= 0:
            continue
        share = 0.0 if at_none <= 0 else at_none / (at_none - at_all)
        if share > mix.share(Operation.UPDATE) and (
            best is None or (share, str(other.spec)) < (best.share, str(best.spec))
        ):
            best = Change(share, other.spec)
    return best


def _read(one: Predicted, mix: Mix, trace: int) -> tuple[float, float]:
    """The cost of a lookup or visit, by their shares, and of a slot change."""
    roles = one.roles[trace]
    gfn, hva = mix.share(Operation.GFN), mix.share(Operation.HVA)
    both = gfn + hva
    read = (gfn * roles[Operation.GFN] + hva * roles[Operation.HVA]) / both if both else 0.0
    return read, roles[Operation.UPDATE]
