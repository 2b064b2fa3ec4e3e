"""What rules have in common: the verdicts, every limit that a rule uses, and how times are compared."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from ..results.verdict import enumerated, significant
from .figures import Difference, MixedStream, OtherAlgorithm, Pointers

_Figures = TypeVar("_Figures")
_Key = TypeVar("_Key", bound=Hashable)


class Verdict(StrEnum):
    """The four verdicts."""

    HOLDS = "holds"
    HOLDS_IF = "holds if"
    DOES_NOT_HOLD = "does not hold"
    CANNOT_BE_TOLD = "cannot be told on this machine"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its figures in words, without a full stop: `brief` for the table, `details` for explanations."""

    verdict: Verdict
    brief: str
    details: str = ""

    @property
    def text(self) -> str:
        """All figures in words."""
        return f"{self.brief}; {self.details}" if self.details else self.brief


def judged(verdict: Verdict, parts: Sequence[str], brief: int = 1) -> Judgement:
    """A judgement in parts, of which the first `brief` are brief."""
    return Judgement(verdict, "; ".join(parts[:brief]), "; ".join(parts[brief:]))


TWO_LOOKUPS = 2.0
"""Slots examined per lookup that the two-slot claim promises to stay below."""
MATTERS = 0.1
"""The smallest share of a cost that a saving or an additional cost must have to matter."""
LOGARITHMIC = 0.25
"""The largest exponent of n that counts as logarithmic.

From 256 to 1,024 slots, log n grows as n to the 0.16, the square root as n to the 0.5."""
LEAST_EXCESS = 1.0
"""Slots examined beyond the answers that count as none."""
STOPS_AT = 1 + 1e-9
"""The slot beyond the range's end at which a walk in order of start stops, and what adding up means may differ by."""
NAMED = 4
"""The number of places that a sentence names."""


TOO_NOISY = 0.25
"""The share of a time by which identical work may differ before nothing is said of small differences."""
FEW = 8
"""The largest number of slots that counts as few."""
MUCH = 1.5
"""Times as much that counts as much more."""
TIMINGS = ("hot", "cold")
FREQUENT = 0.1
"""The share of slot changes from which on they are frequent."""


class Order(StrEnum):
    """A time against another."""

    FASTER = "faster"
    SLOWER = "slower"
    TIED = "tied"
    UNKNOWN = "unknown"
    """The noise or the interval is too large to say that they are tied."""


def order(apart: Difference) -> Order:
    """How a strategy's time stands against its base: the whole interval must lie beyond the noise.

    A difference larger than the noise is named however large the noise is.
    """
    if apart.low is None or apart.high is None:
        return Order.UNKNOWN
    if apart.low > apart.noise:
        return Order.SLOWER
    if apart.high < -apart.noise:
        return Order.FASTER
    resolution = max(apart.noise, apart.high - apart.low)
    return Order.UNKNOWN if resolution > TOO_NOISY * max(apart.ns, apart.base_ns) else Order.TIED


def much_slower(apart: Difference) -> bool | None:
    """Whether a strategy takes at least `MUCH` times as long as its base; None if interval or noise hide it."""
    if apart.low is None or apart.high is None:
        return None
    limit = (MUCH - 1) * apart.base_ns
    if apart.low - apart.noise >= limit:
        return True
    return False if apart.high + apart.noise < limit else None


def fewer(examined: float, lines: float, than_examined: float, than_lines: float) -> bool:
    """Whether a structure costs less by counts: not more slots examined, not more lines, and less of one of them."""
    return examined <= than_examined and lines <= than_lines and (examined, lines) != (than_examined, than_lines)


def up_to(slots: Sequence[int], holding: Sequence[bool]) -> int:
    """The largest slot count up to which something holds without a gap; 0 if it does not hold at the smallest."""
    last = 0
    for n, holds in sorted(zip(slots, holding, strict=True)):
        if not holds:
            break
        last = n
    return last


def standing(figures: Sequence[OtherAlgorithm | Pointers | MixedStream], timing: str) -> str:
    """In words: the structures that are slower than their base at the smallest slot count, and up to which one."""
    slower, level, unclear = [], [], []
    base = 0.0
    for strategy, group in by(figures, lambda one: one.strategy).items():
        apart = [getattr(one, timing) for one in group]
        base = apart[0].base_ns
        last = up_to([one.slots for one in group], [order(each) is Order.SLOWER for each in apart])
        if last:
            slower.append(f"{strategy} up to {last:,} slots")
        elif order(apart[0]) is Order.UNKNOWN:
            unclear.append(strategy)
        else:
            level.append(f"{strategy} {significant(apart[0].ns)}")
    fewest = min(one.slots for one in figures)
    parts = [f"slower {enumerated(slower)}"] if slower else []
    parts += [f"not slower {enumerated(level)} against {significant(base)} ns at {fewest} slots"] if level else []
    parts += [f"open at {fewest} slots {enumerated(unclear)}"] if unclear else []
    return ", ".join(parts)


def among(holding: Sequence[object], failing: Sequence[object], open_: Sequence[object] = ()) -> Verdict:
    """The verdict of a claim that was tried in several places. No place decides nothing.

    Places that times leave open take nothing from a claim that holds in one place and fails in another. If the decided
    places agree, they decide unless most places are open.
    """
    if holding and failing:
        return Verdict.HOLDS_IF
    if len(open_) > len(holding) + len(failing) or not (holding or failing):
        return Verdict.CANNOT_BE_TOLD
    return Verdict.HOLDS if holding else Verdict.DOES_NOT_HOLD


def some(places: Sequence[str]) -> str:
    """The first places, and how many others there are."""
    more = len(places) - NAMED
    return enumerated(places if more <= 1 else [*places[:NAMED], f"{more} others"])


def by(figures: Iterable[_Figures], key: Callable[[_Figures], _Key]) -> dict[_Key, list[_Figures]]:
    """Figures by a key, in their order."""
    found: dict[_Key, list[_Figures]] = {}
    for one in figures:
        found.setdefault(key(one), []).append(one)
    return found


def ns_of(apart: Difference) -> str:
    """Both times in words."""
    return f"{significant(apart.ns)} against {significant(apart.base_ns)} ns"
