"""The verdicts: every rule, and every limit that a rule uses.

A rule sees figures only. Its docstring is what `slotlookup claims ID --explain` prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from ..results.verdict import enumerated, significant
from .figures import Growth, Mix, OrderedVisit, Position, SizeSorted, UnaliasedVisit


class Verdict(StrEnum):
    """The four verdicts."""

    HOLDS = "holds"
    HOLDS_IF = "holds if"
    DOES_NOT_HOLD = "does not hold"
    CANNOT_BE_TOLD = "cannot be told on this machine"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and the figures that it rests on, in a sentence without its full stop."""

    verdict: Verdict
    text: str


TWO_LOOKUPS = 2.0
"""Slots examined per lookup that the two-slot claim promises to stay below."""
SAVES = 0.1
"""A change of order or a flag saves something if at least this share of the slots examined is saved."""
LOGARITHMIC = 0.25
"""The largest exponent of n that counts as logarithmic.

From 256 to 1,024 slots, log n grows as n to the 0.16, the square root as n to the 0.5."""
LEAST_EXCESS = 1.0
"""Slots examined beyond the answers that count as none."""
STOPS_AT = 1 + 1e-9
"""The slot beyond the range's end at which a walk in order of start stops, and what adding up means may differ by."""
NAMED = 4
"""The number of places that a sentence names."""


def among(holding: Sequence[object], failing: Sequence[object]) -> Verdict:
    """The verdict of a claim that was tried in several places."""
    if not failing:
        return Verdict.HOLDS
    return Verdict.HOLDS_IF if holding else Verdict.DOES_NOT_HOLD


def some(places: Sequence[str]) -> str:
    """The first places, and how many others there are."""
    more = len(places) - NAMED
    return enumerated(places if more <= 1 else [*places[:NAMED], f"{more} others"])


def size_sorted_array(figures: Sequence[SizeSorted]) -> Judgement:
    """Counts decide: slots examined per lookup by `size-sorted`, weighted by the accesses.

    Holds if they are below 2 on the two-slot layout and on every recorded layout with recorded accesses; holds if some
    of these are below 2; does not hold if none is. Layouts with derived accesses are shown and do not count.
    """
    counted = [one for one in figures if one.accesses != "derived"]
    below = [one for one in counted if one.size_sorted < TWO_LOOKUPS]
    above = [one for one in counted if one.size_sorted >= TWO_LOOKUPS]

    def words(places: Sequence[SizeSorted]) -> str:
        return some([f"{one.workload} {significant(one.size_sorted)}" for one in places])

    parts = [f"below 2 slots examined per lookup: {words(below)}"] if below else []
    parts += [f"2 or more: {words(above)}"] if above else []
    return Judgement(among(below, above), "; ".join(parts))


def sorted_by_size(figures: Sequence[OrderedVisit]) -> Judgement:
    """Counts decide: slots examined per visit by `size-sorted` and by `linear`.

    Sorting helps where it saves at least 10 %. Holds if it helps nowhere; holds if it helps on some layouts only; does
    not hold if it helps on all.
    """
    helps = [one for one in figures if one.size_sorted <= (1 - SAVES) * one.linear]
    useless = [one for one in figures if one not in helps]
    most = max(1 - one.size_sorted / one.linear for one in figures)
    text = f"sorting saves {most:.0%} of the slots examined at most, over {len(figures)} layouts"
    if helps:
        text = f"it helps on {some([one.place for one in helps])}, not on {len(useless)} others; {text}"
    return Judgement(among(useless, helps), text)


def unaliased_flag(figures: Sequence[UnaliasedVisit]) -> Judgement:
    """Counts decide: slots examined per visit by `size-sorted` with and without the flag.

    The flag helps where it saves at least 10 %. Holds if it helps on every layout, also with aliases; holds if it helps
    on some; does not hold if it helps on none.
    """
    helps = [one for one in figures if one.flagged <= (1 - SAVES) * one.without]
    useless = [one for one in figures if one not in helps]

    def words(one: UnaliasedVisit) -> str:
        saved = f"{significant(one.without)} to {significant(one.flagged)}"
        return f"{one.workload} {saved} ({one.aliased} of {one.slots} aliased)"

    parts = [f"the flag helps on {some([words(one) for one in helps])}"] if helps else []
    parts += [f"not on {some([words(one) for one in useless])}"] if useless else []
    return Judgement(among(helps, useless), "; ".join(parts))


def prio_tree(figures: Sequence[Growth]) -> Judgement:
    """Counts decide: slots examined per visit beyond the slots found.

    From a quarter of the largest slot count to the largest, this excess grows as a power of n. Up to an exponent of
    0.25 the growth counts as logarithmic, as does an excess below one slot. Holds if it is logarithmic on every
    workload; holds if on some; does not hold if on none.
    """
    found: dict[str, tuple[float, str]] = {}
    for name, group in groupby(figures, key=lambda one: one.workload):
        points = sorted(group, key=lambda one: one.slots)
        excess = [max(one.examined - one.answers, 0.0) for one in points]
        growth = 0.0
        if excess[-1] >= LEAST_EXCESS:
            span = math.log(points[-1].slots / points[-2].slots)
            growth = math.log(excess[-1] / max(excess[-2], LEAST_EXCESS)) / span
        last = points[-1]
        words = (
            f"{name} n^{growth:.2f} ({significant(last.answers)} found, {significant(last.examined)} examined "
            f"of {last.slots:,})"
        )
        found[name] = growth, words
    fine = [words for growth, words in found.values() if growth <= LOGARITHMIC]
    steep = [words for growth, words in found.values() if growth > LOGARITHMIC]
    parts = [f"growth beyond the answers: {some(fine)}"] if fine else []
    parts += [f"steeper than logarithmic: {some(steep)}"] if steep else []
    return Judgement(among(fine, steep), "; ".join(parts))


def rbtree_by_start(figures: Sequence[Position]) -> Judgement:
    """Counts decide: slots examined per visit by `rbtree`.

    The tree eliminates the slots above the range's end if it examines at most those that start below the end, and the
    one at which it stops. Holds if it does so at every position; holds if at some; does not hold if at none.
    """
    fine = [one for one in figures if one.rbtree <= one.below + STOPS_AT]
    wrong = [one for one in figures if one.rbtree > one.below + STOPS_AT]

    def words(one: Position) -> str:
        return f"{one.workload}, {one.position}: {1 - one.rbtree / one.slots:.0%} of {one.slots} slots"

    low, high = (pick(figures, key=lambda one: one.rbtree / one.slots) for pick in (min, max))
    parts = [f"saves most on {words(low)}", f"least on {words(high)}"]
    parts += [f"examines slots above the end on {some([words(one) for one in wrong])}"] if wrong else []
    return Judgement(among(fine, wrong), "; ".join(parts))


def common_case(figures: Sequence[Mix]) -> Judgement:
    """Counts decide: gfn lookups and hva visits among the events.

    Recordings count if they recorded both kinds. Holds if lookups are the majority in all recordings and scenarios;
    holds if in some; does not hold if in none.
    """
    yes = [one for one in figures if one.lookups > one.visits]
    no = [one for one in figures if one.lookups <= one.visits]

    def words(places: Sequence[Mix]) -> str:
        return some([f"{one.workload} {one.lookups / max(one.lookups + one.visits, 1):.0%}" for one in places])

    parts = [f"lookups are the majority on {words(yes)}"] if yes else []
    parts += [f"not on {words(no)}"] if no else []
    return Judgement(among(yes, no), "; ".join(parts))
