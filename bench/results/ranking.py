"""Which of several is cheapest: by time if the times differ by more than the noise, else by counts, by a stated rule.

*The rule for counts.* One of the tied wins by counts if it has the fewest `lines` and the fewest `slots_examined` of
those whose counts are known, up to a difference of DIFFERENT, and no other has. A difference in one count alone, or in
the third digit, decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .statistics import median, ratio_interval

DIFFERENT = 0.1
"""The share by which counts must differ to be distinguished."""


class DecidedBy(StrEnum):
    """What decided which is the cheapest."""

    TIME = "time"
    COUNTS = "counts"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Entry:
    """One of those that are compared. `samples` are paired with those of the others; empty if nothing was timed."""

    name: str
    samples: Sequence[float] = ()
    lines: float | None = None
    slots_examined: float | None = None


@dataclass(frozen=True, slots=True)
class Cheapest:
    """`winner` is the cheapest, None if nothing decides. `tied` are all that time does not distinguish, cheapest first.

    If time decides, `tied` is the winner alone. Without times `tied` are all.
    """

    winner: str | None
    tied: tuple[str, ...]
    by: DecidedBy


def clearly_apart(a: Sequence[float], b: Sequence[float], noise: float) -> bool:
    """Whether two paired series differ at 95 % by more than identical work does (`noise`, a share)."""
    if min(*a, *b) <= 0:
        return False
    ratio = ratio_interval(a, b)
    if ratio.low is None or ratio.high is None:
        return False
    return ratio.high < 1 / (1 + noise) or ratio.low > 1 + noise


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """The timed entries by median, then those without times by lines, then those without counts."""
    return sorted(
        entries,
        key=lambda one: (
            (0, median(one.samples)) if one.samples else (1, one.lines) if one.lines is not None else (2, 0.0)
        ),
    )


def ranks(entries: Sequence[Entry], noise: float) -> list[int]:
    """The rank of each of `entries`, which are `in_order` and timed: those tied with the first of a rank share it."""
    found: list[int] = []
    first = 0
    for i, entry in enumerate(entries):
        if i and clearly_apart(entries[first].samples, entry.samples, noise):
            first = i
        found.append(first + 1)
    return found


def cheapest(entries: Sequence[Entry], noise: float) -> Cheapest | None:
    """The cheapest of `entries`; None if there are none. If any was timed, the others are left out."""
    timed = [entry for entry in in_order(entries) if entry.samples]
    if not timed:
        return _of_tied(in_order(entries)) if entries else None
    best = timed[0]
    tied = [best, *(one for one in timed[1:] if not clearly_apart(best.samples, one.samples, noise))]
    return _of_tied(tied) if len(tied) > 1 else Cheapest(best.name, (best.name,), DecidedBy.TIME)


def _of_tied(tied: Sequence[Entry]) -> Cheapest:
    names = tuple(entry.name for entry in tied)
    winner = by_counts(tied)
    return Cheapest(winner, names, DecidedBy.NOTHING if winner is None else DecidedBy.COUNTS)


def by_counts(entries: Sequence[Entry]) -> str | None:
    """The winner by the rule for counts; None if there is none. One alone wins if its counts are known."""
    known = [
        (entry.name, entry.lines, entry.slots_examined)
        for entry in entries
        if entry.lines is not None and entry.slots_examined is not None
    ]
    if len(known) < min(2, len(entries)):
        return None  # one of several that is known is not the cheapest of them
    lines = min(lines for _, lines, _ in known) * (1 + DIFFERENT)
    examined = min(examined for *_, examined in known) * (1 + DIFFERENT)
    fewest = [name for name, of_one, of_slots in known if of_one <= lines and of_slots <= examined]
    return fewest[0] if len(fewest) == 1 else None
