"""Crossovers: from how many slots on another strategy is cheaper, and how well that is known.

What is known at a slot count is an interval of the ratio of two strategies: below 1, above 1, or no telling. A
crossover lies where the telling turns over, however many slot counts without any telling come between. It is placed
where the straight line between neighbouring points, both axes logarithmic, meets a ratio of 1; its own interval is
placed in the same way with the ends of the ratios' intervals. A point that has no interval bounds nothing: the
crossover's then reaches to the point's neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .statistics import Interval

Ratio = Callable[[str, str], Interval | None]
"""What the first costs in terms of the second, at one slot count; None where they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """`below` is cheaper with fewer slots, `above` with more.

    `after` and `before` are the slot counts, both measured, at which the one and then the other is known to be cheaper;
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
    """At `slots` slots `best` has the lowest figure, and `level` are those that cannot be told from it."""

    slots: int
    best: str
    level: tuple[str, ...]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Those of whom one is the cheapest."""
        return (self.best, *self.level)


@dataclass(slots=True)
class Reign:
    """A stretch of slot counts, `first` to `last`.

    With a `winner` it begins and ends where that one is known to be cheapest, and in between nothing speaks against it;
    `doubts` are the slot counts there at which it could not be told from others. Without a winner, the cheapest is one
    of `contenders`.
    """

    first: int
    last: int
    contenders: list[str]
    winner: str | None = None
    doubts: tuple[int, ...] = ()


def side(ratio: Interval | None) -> int:
    """-1 where the ratio is known to be below 1, 1 where it is known to be above, 0 where there is no telling."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return 0
    return -1 if ratio.high < 1 else 1 if ratio.low > 1 else 0


def crossings(a: str, b: str, slots: Sequence[int], ratios: Sequence[Interval | None]) -> list[Crossing]:
    """Every crossover of `a` and `b`; `ratios` are what `a` costs in terms of `b` at each of `slots`, which ascend."""
    told = [(i, side(ratio)) for i, ratio in enumerate(ratios) if side(ratio)]
    found: list[Crossing] = []
    for (i, before), (j, after) in pairwise(told):
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
            medians.append((at, -before * math.log(ratio.median)))
        if ratio is None or ratio.low is None or ratio.high is None:
            low.append(None)
            high.append(None)
            continue
        # Seen from the one that is cheaper first, so that the ratio rises through 1.
        ends = sorted((-before * math.log(ratio.low), -before * math.log(ratio.high)))
        low.append(ends[0])
        high.append(ends[1])
    known, middle = [at for at, _ in medians], [y for _, y in medians]
    # Where noise takes the line through 1 more than once, half way between the first and the last time.
    estimate = (_first_root(known, middle) + _last_root(known, middle)) / 2
    # The same root found from either end may differ in its last digit.
    first, last = min(_first_root(x, high), estimate), max(_last_root(x, low), estimate)
    return math.exp(estimate), math.exp(first), math.exp(last)


def _first_root(x: Sequence[float], y: Sequence[float | None]) -> float:
    """Where the line through the points first reaches 0, coming from below; a point that is not known may be there."""
    for k in range(1, len(x)):
        here, there = y[k - 1], y[k]
        assert here is not None and here < 0
        if there is None:
            return x[k - 1]
        if there >= 0:
            return x[k - 1] + (x[k] - x[k - 1]) * here / (here - there)
    raise AssertionError("the line does not reach 0")


def _last_root(x: Sequence[float], y: Sequence[float | None]) -> float:
    """Where it last leaves 0: the same, seen from the other end."""
    return _first_root(x[::-1], [None if value is None else -value for value in reversed(y)])


def standing(slots: int, values: Mapping[str, float], ratio: Ratio) -> Standing:
    """Who is cheapest by `values`, and who cannot be told from it by `ratio`."""
    best = min(values, key=lambda name: values[name])
    return Standing(slots, best, tuple(name for name in values if name != best and side(ratio(best, name)) == 0))


def reigns(standings: Sequence[Standing]) -> list[Reign]:
    """The slot counts cut into stretches with one winner and stretches without.

    A winner keeps its reign over slot counts at which it cannot be told from others, if it wins again behind them.
    """
    found: list[Reign] = []
    for i, now in enumerate(standings):
        winner = None if now.level else now.best
        past = next((reign for reign in reversed(found) if reign.winner), None)
        if winner and past and past.winner == winner:
            between = [s for s in standings[:i] if s.slots > past.last]
            if all(winner in s.contenders for s in between):
                del found[found.index(past) + 1 :]
                past.last = now.slots
                past.doubts += tuple(s.slots for s in between)
                continue
        if winner is None and found and found[-1].winner is None:
            found[-1].last = now.slots
            found[-1].contenders += [name for name in now.contenders if name not in found[-1].contenders]
        else:
            found.append(Reign(now.slots, now.slots, list(now.contenders), winner))
    return found


def tell(found: Sequence[Reign]) -> str:
    """The stretches in words: "up to 4 slots linear; at 8 slots no telling linear from rbtree; from 16 on rbtree"."""
    parts: list[str] = []
    for i, reign in enumerate(found):
        words = _where(reign, first=i == 0, last=i + 1 == len(found))
        if reign.winner is None:
            parts.append(f"{words} no telling {_listed(reign.contenders)}")
        else:
            doubt = f" (no telling at {', '.join(f'{n:,}' for n in reign.doubts)})" if reign.doubts else ""
            parts.append(f"{words} {reign.winner}{doubt}")
    return "; ".join(parts)


def _where(reign: Reign, *, first: bool, last: bool) -> str:
    if reign.first == reign.last:
        return f"at {_count(reign.first)}"
    if first and last:
        return f"from {reign.first:,} to {_count(reign.last)}"
    if first:
        return f"up to {_count(reign.last)}"
    return f"from {_count(reign.first)} on" if last else f"from {reign.first:,} to {_count(reign.last)}"


def _count(slots: int) -> str:
    return f"{slots:,} slot{'s' if slots != 1 else ''}"


def _listed(names: Sequence[str]) -> str:
    if len(names) == 2:
        return f"{names[0]} from {names[1]}"
    return f"between {', '.join(names[:-1])} and {names[-1]}"
