"""Crossovers: the slot counts at which another strategy becomes cheaper, and their uncertainty.

At each slot count the ratio of two strategies has an interval: below 1, above 1, or containing 1, which is a tie. A
crossover lies between a slot count with an interval below 1 and the next one with an interval above 1, or the reverse;
there may be ties between them. Its estimate is the point at which the straight line between neighbouring medians, both
axes logarithmic, meets a ratio of 1. Its interval is placed in the same way from the ends of the ratios' intervals. A
point without an interval bounds nothing: the interval of the crossover then extends to the point's neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from slotlookup.errors import present

from ..results.statistics import Interval
from ..results.verdict import enumerated

_LARGE = 1e9
_FEW = 3
"""At most this many slot counts are listed one by one."""

Ratio = Callable[[str, str], Interval | None]
"""The cost of the first strategy divided by the second's at one slot count; None if they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """`below` is cheaper with fewer slots, `above` with more.

    `after` and `before` are measured slot counts: at `after`, `below` is known to be cheaper; at `before`, `above` is.
    `low` <= `estimate` <= `high` lie between them.
    """

    below: str
    above: str
    estimate: float
    low: float
    high: float
    after: int
    before: int


@dataclass(frozen=True, slots=True)
class Standing:
    """At `slots` slots `best` has the lowest figure, and the strategies of `level` are tied with it."""

    slots: int
    best: str
    level: tuple[str, ...]

    @property
    def contenders(self) -> tuple[str, ...]:
        """The strategies tied for the cheapest, the one with the lowest figure first."""
        return (self.best, *self.level)


@dataclass(frozen=True, slots=True)
class Reign:
    """A stretch of slot counts, `first` to `last`, and the strategies that are cheapest there.

    `names` has one name if one strategy is known to be the cheapest, else all that are tied. `doubts` are slot counts,
    fewer than half of the stretch, at which further strategies, the `rivals`, are tied with them as well.
    """

    first: int
    last: int
    names: tuple[str, ...]
    doubts: tuple[int, ...] = ()
    rivals: tuple[str, ...] = ()


def side(ratio: Interval | None) -> int:
    """-1 if the ratio is known to be below 1, 1 if it is known to be above, 0 if neither is known: a tie."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return 0
    return -1 if ratio.high < 1 else 1 if ratio.low > 1 else 0


def crossings(a: str, b: str, slots: Sequence[int], ratios: Sequence[Interval | None]) -> list[Crossing]:
    """Every crossover of `a` and `b`; `ratios` are the costs of `a` divided by those of `b` at `slots`, ascending."""
    known = [(i, side(ratio)) for i, ratio in enumerate(ratios) if side(ratio)]
    found: list[Crossing] = []
    for (i, before), (j, after) in pairwise(known):
        if before == after:
            continue
        below, above = (a, b) if before < 0 else (b, a)
        estimate, low, high = _place(slots[i : j + 1], ratios[i : j + 1], before)
        found.append(Crossing(below, above, estimate, low, high, slots[i], slots[j]))
    return found


def _place(slots: Sequence[int], ratios: Sequence[Interval | None], before: int) -> tuple[float, float, float]:
    """Estimate, low and high of the crossover between the first and the last point; `before` is the first's side."""
    x = [math.log(n) for n in slots]
    low: list[float | None] = []
    high: list[float | None] = []
    medians: list[tuple[float, float]] = []
    for at, ratio in zip(x, ratios, strict=True):
        if ratio is not None:
            medians.append((at, -before * _log(ratio.median)))
        if ratio is None or ratio.low is None or ratio.high is None:
            low.append(None)
            high.append(None)
            continue
        # Relative to the strategy that is cheaper at first, so that the ratio rises through 1.
        ends = sorted((-before * _log(ratio.low), -before * _log(ratio.high)))
        low.append(ends[0])
        high.append(ends[1])
    known, middle = [at for at, _ in medians], [y for _, y in medians]
    # If noise takes the line through 1 more than once, the estimate is half way between the first and the last time.
    estimate = (_first_root(known, middle) + _last_root(known, middle)) / 2
    # The same root found from either end may differ in its last digit.
    first, last = min(_first_root(x, high), estimate), max(_last_root(x, low), estimate)
    return math.exp(estimate), math.exp(first), math.exp(last)


def _log(ratio: float) -> float:
    """The logarithm; if a count is 0, so that the ratio is 0 or infinite, that of a very small or large ratio."""
    return math.log(min(max(ratio, 1 / _LARGE), _LARGE))


def _first_root(x: Sequence[float], y: Sequence[float | None]) -> float:
    """Where the line through the points first reaches 0 from below; an unknown point may already be at 0."""
    for k in range(1, len(x)):
        here, there = present(y[k - 1], "the point before"), y[k]
        if here >= 0:
            raise RuntimeError("the line does not begin below 0")
        if there is None:
            return x[k - 1]
        if there >= 0:
            return x[k - 1] + (x[k] - x[k - 1]) * here / (here - there)
    raise RuntimeError("the line does not reach 0")


def _last_root(x: Sequence[float], y: Sequence[float | None]) -> float:
    """Where the line last leaves 0: the same, from the other end."""
    return _first_root(x[::-1], [None if value is None else -value for value in reversed(y)])


def standing(slots: int, values: Mapping[str, float], ratio: Ratio) -> Standing:
    """The strategy that is cheapest by `values`, and those that `ratio` does not distinguish from it."""
    best = min(values, key=lambda name: values[name])
    return Standing(slots, best, tuple(name for name in values if name != best and side(ratio(best, name)) == 0))


def reigns(standings: Sequence[Standing]) -> list[Reign]:
    """The slot counts divided into few stretches; in each, at least one strategy is among the cheapest throughout.

    Between two stretches, slot counts at which the strategies of both are tied belong to neither.
    """
    stretches: list[list[Standing]] = []
    for now in standings:
        if stretches and _always([*stretches[-1], now]):
            stretches[-1].append(now)
        else:
            stretches.append([now])
    found: list[Reign] = []
    for i, stretch in enumerate(stretches):
        own = set(_always(stretch))
        before = set(_always(stretches[i - 1])) if i else set()
        after = set(_always(stretches[i + 1])) if i + 1 < len(stretches) else set()
        head = _shared(stretch, own, before)
        tail = _shared(stretch[::-1], own, after) if head < len(stretch) else 0
        parts = (stretch[:head], stretch[head : len(stretch) - tail], stretch[len(stretch) - tail :])
        for part, settled in zip(parts, (False, True, False), strict=True):
            if part:
                found.append(_settle(part) if settled else _leave_open(part))
    return _joined(found)


def _always(stretch: Sequence[Standing]) -> tuple[str, ...]:
    """The strategies that are among the cheapest at every slot count of the stretch."""
    return tuple(name for name in stretch[0].contenders if all(name in s.contenders for s in stretch))


def _shared(stretch: Sequence[Standing], own: set[str], neighbours: set[str]) -> int:
    """The number of slot counts, from the first on, at which the neighbouring stretch's strategies are tied as well."""
    count = 0
    for standing_ in stretch:
        contenders = set(standing_.contenders)
        if not (contenders > own and contenders & neighbours):
            break
        count += 1
    return count


def _settle(stretch: Sequence[Standing]) -> Reign:
    names = _always(stretch)
    # A strategy that is tied with them at most slot counts is named with them: one slot count decides nothing.
    everyone = dict.fromkeys(name for s in stretch for name in s.contenders)
    often = [n for n in everyone if n not in names and 2 * sum(n in s.contenders for s in stretch) > len(stretch)]
    names += tuple(often)
    doubts = [s for s in stretch if not set(s.contenders) <= set(names)]
    if len(doubts) == len(stretch):
        return _leave_open(stretch)  # at no slot count are they distinguished from all others
    rivals = dict.fromkeys(name for s in doubts for name in s.contenders if name not in names)
    return Reign(stretch[0].slots, stretch[-1].slots, names, tuple(s.slots for s in doubts), tuple(rivals))


def _leave_open(stretch: Sequence[Standing]) -> Reign:
    names = dict.fromkeys(name for s in stretch for name in s.contenders)
    return Reign(stretch[0].slots, stretch[-1].slots, tuple(names))


def _joined(found: Sequence[Reign]) -> list[Reign]:
    """The same, with neighbours of equal names merged."""
    joined: list[Reign] = []
    for reign in found:
        last = joined[-1] if joined else None
        if last and set(last.names) == set(reign.names):
            rivals = tuple(dict.fromkeys((*last.rivals, *reign.rivals)))
            joined[-1] = Reign(last.first, reign.last, last.names, last.doubts + reign.doubts, rivals)
        else:
            joined.append(reign)
    return joined


def describe(found: Sequence[Reign]) -> str:
    """The stretches in words: "up to 4 slots linear; at 8 slots linear and rbtree tied; from 16 slots on rbtree"."""
    parts: list[str] = []
    for i, reign in enumerate(found):
        words = _where(reign, first=i == 0, last=i + 1 == len(found))
        words += f" {enumerated(reign.names)}{' tied' if len(reign.names) > 1 else ''}"
        if reign.doubts:
            words += f" ({_at(reign.doubts)} tied with {enumerated(reign.rivals)})"
        parts.append(words)
    return "; ".join(parts)


def _where(reign: Reign, *, first: bool, last: bool) -> str:
    if reign.first == reign.last:
        return f"at {count_of_slots(reign.first)}"
    if first and not last:
        return f"up to {count_of_slots(reign.last)}"
    return (
        f"from {count_of_slots(reign.first)} on"
        if last and not first
        else f"from {reign.first:,} to {count_of_slots(reign.last)}"
    )


def _at(slots: Sequence[int]) -> str:
    return f"at {', '.join(f'{n:,}' for n in slots)}" if len(slots) <= _FEW else f"at {len(slots)} of the slot counts"


def count_of_slots(slots: int) -> str:
    """A number of slots in words: "1 slot", "2,048 slots"."""
    return f"{slots:,} slot{'s' if slots != 1 else ''}"
