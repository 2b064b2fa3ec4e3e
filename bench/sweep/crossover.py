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

from ..results.statistics import Interval

_LARGE = 1e9
_FEW = 3
"""Slot counts that are told one by one."""

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


@dataclass(frozen=True, slots=True)
class Reign:
    """A stretch of slot counts, `first` to `last`, and who is cheapest there.

    `names` has one name where that one is known to be the cheapest, else all that there is no telling between. `doubts`
    are slot counts, fewer than half of the stretch, at which others, the `rivals`, could not be told from them either.
    """

    first: int
    last: int
    names: tuple[str, ...]
    doubts: tuple[int, ...] = ()
    rivals: tuple[str, ...] = ()


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
            medians.append((at, -before * _log(ratio.median)))
        if ratio is None or ratio.low is None or ratio.high is None:
            low.append(None)
            high.append(None)
            continue
        # Seen from the one that is cheaper first, so that the ratio rises through 1.
        ends = sorted((-before * _log(ratio.low), -before * _log(ratio.high)))
        low.append(ends[0])
        high.append(ends[1])
    known, middle = [at for at, _ in medians], [y for _, y in medians]
    # Where noise takes the line through 1 more than once, half way between the first and the last time.
    estimate = (_first_root(known, middle) + _last_root(known, middle)) / 2
    # The same root found from either end may differ in its last digit.
    first, last = min(_first_root(x, high), estimate), max(_last_root(x, low), estimate)
    return math.exp(estimate), math.exp(first), math.exp(last)


def _log(ratio: float) -> float:
    """The logarithm; where a count is 0, and the ratio 0 or endless, that of a very small or large one."""
    return math.log(min(max(ratio, 1 / _LARGE), _LARGE))


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
    """The slot counts cut into few stretches, each with somebody who is among the cheapest all along.

    Where one stretch gives way to the next, slot counts at which there is no telling between the two belong to neither.
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
    """Who is among the cheapest at every slot count of the stretch."""
    return tuple(name for name in stretch[0].contenders if all(name in s.contenders for s in stretch))


def _shared(stretch: Sequence[Standing], own: set[str], neighbours: set[str]) -> int:
    """How many slot counts, from the first on, the neighbouring stretch has a claim to as well."""
    count = 0
    for standing_ in stretch:
        contenders = set(standing_.contenders)
        if not (contenders > own and contenders & neighbours):
            break
        count += 1
    return count


def _settle(stretch: Sequence[Standing]) -> Reign:
    names = _always(stretch)
    # Who is level with them more often than not belongs to them: one lucky slot count makes no winner.
    everyone = dict.fromkeys(name for s in stretch for name in s.contenders)
    often = [n for n in everyone if n not in names and 2 * sum(n in s.contenders for s in stretch) > len(stretch)]
    names += tuple(often)
    doubts = [s for s in stretch if not set(s.contenders) <= set(names)]
    if len(doubts) == len(stretch):
        return _leave_open(stretch)  # nowhere are they told from all others
    rivals = dict.fromkeys(name for s in doubts for name in s.contenders if name not in names)
    return Reign(stretch[0].slots, stretch[-1].slots, names, tuple(s.slots for s in doubts), tuple(rivals))


def _leave_open(stretch: Sequence[Standing]) -> Reign:
    names = dict.fromkeys(name for s in stretch for name in s.contenders)
    return Reign(stretch[0].slots, stretch[-1].slots, tuple(names))


def _joined(found: Sequence[Reign]) -> list[Reign]:
    """The same with neighbours of the same names made one."""
    joined: list[Reign] = []
    for reign in found:
        last = joined[-1] if joined else None
        if last and set(last.names) == set(reign.names):
            rivals = tuple(dict.fromkeys((*last.rivals, *reign.rivals)))
            joined[-1] = Reign(last.first, reign.last, last.names, last.doubts + reign.doubts, rivals)
        else:
            joined.append(reign)
    return joined


def tell(found: Sequence[Reign], *, exact: bool = False) -> str:
    """The stretches in words: "up to 4 slots linear; at 8 slots no telling linear from rbtree; from 16 on rbtree".

    Where figures are `exact`, those that cannot be told apart are equal.
    """
    parts: list[str] = []
    for i, reign in enumerate(found):
        words = _where(reign, first=i == 0, last=i + 1 == len(found))
        one, *others = reign.names
        if others and exact:
            words += f" {', '.join(reign.names[:-1])} and {others[-1]} alike"
        elif others:
            words += (
                f" no telling {one} from {others[0]}" if len(others) == 1 else f" no telling {_between(reign.names)}"
            )
        else:
            words += f" {one}"
        if reign.doubts:
            words += f" ({_at(reign.doubts)} {'as cheap' if exact else 'no telling from'}: {', '.join(reign.rivals)})"
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


def _between(names: Sequence[str]) -> str:
    return f"between {', '.join(names[:-1])} and {names[-1]}"
