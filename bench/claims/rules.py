"""The verdicts: every rule, and every limit that a rule uses.

A rule sees figures only. Its docstring is what `slotlookup claims ID --explain` prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from slotlookup.vocabulary import Operation

from ..results.verdict import TOO_NOISY, enumerated, significant
from .figures import (
    Difference,
    Growth,
    Mix,
    MixedStream,
    OrderedVisit,
    OtherAlgorithm,
    Pointers,
    Position,
    Scan,
    SizeSorted,
    Trees,
    UnaliasedVisit,
)

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


def much_slower(apart: Difference) -> bool:
    """Whether a strategy takes at least `MUCH` times as long as its base, beyond the noise."""
    return apart.low is not None and apart.low - apart.noise >= (MUCH - 1) * apart.base_ns > 0


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
    for strategy, group in _by(figures, lambda one: one.strategy).items():
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
    for name, group in _by(figures, lambda one: one.workload).items():
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


def other_algorithms(figures: Sequence[OtherAlgorithm]) -> Judgement:
    """Counts and times decide: each other structure against `size-sorted` on the two-slot layout, hot and cold.

    Against a structure the claim holds if it does not cost less by counts (slots examined and lines together) and is
    slower. Holds if this is so against all structures; holds if against some; does not hold if each is faster or tied,
    or costs less by counts; cannot be told if times cannot tell for any. The text says up to how many slots each
    structure stays slower.
    """
    fewest = min(one.slots for one in figures)
    first = [one for one in figures if one.slots == fewest]
    cheaper = [one for one in first if fewer(one.examined, one.lines, one.array_examined, one.array_lines)]
    apart = [(one, timing, order(getattr(one, timing))) for one in first for timing in TIMINGS]
    holding = [one for one in apart if one[2] is Order.SLOWER and one[0] not in cheaper]
    failing = [one for one in apart if one[2] in (Order.FASTER, Order.TIED) or one[0] in cheaper]
    parts = [f"{timing}: {standing(figures, timing)}" for timing in TIMINGS]
    names = enumerated([one.strategy for one in cheaper] or ["none"])
    parts.append(f"fewer slots examined and no more lines at {fewest} slots: {names}")
    verdict = among(holding, failing) if holding or failing else Verdict.CANNOT_BE_TOLD
    return Judgement(verdict, "; ".join(parts))


def linear_search(figures: Sequence[Scan]) -> Judgement:
    """Times decide: the fastest linear search against the fastest other structure, hot, in each place.

    Holds if a linear search is faster somewhere. Does not hold if it is slower or tied everywhere. If it is faster
    nowhere and times cannot tell in some places, it cannot be told.
    """
    best = [one for one in figures if order(one.hot) is Order.FASTER]
    open_ = [one for one in figures if order(one.hot) is Order.UNKNOWN]
    level = [one for one in figures if order(one.hot) is Order.TIED]

    def words(places: Sequence[Scan]) -> str:
        return some(
            [
                f"{Operation(role).plural} of {workload} ({', '.join(str(one.slots) for one in group)} slots)"
                for (role, workload), group in _by(places, lambda one: (one.role, one.workload)).items()
            ]
        )

    parts = [f"fastest in {words(best)}"] if best else [f"fastest in none of {len(figures)} places"]
    parts += [f"tied in {words(level)}"] if level else []
    parts += [f"open in {words(open_)}"] if open_ else []
    verdict = Verdict.HOLDS if best else Verdict.CANNOT_BE_TOLD if open_ else Verdict.DOES_NOT_HOLD
    return Judgement(verdict, "; ".join(parts))


def paper_and_practice(figures: Sequence[Trees]) -> Judgement:
    """Counts and times decide: hva visits of the prio_tree and of the rbtree.

    On paper the prio_tree wins where it costs less by counts (slots examined and lines together); in practice the
    rbtree wins where it is faster. Holds if both are so at every slot count; holds if both are so at some; does not
    hold otherwise; cannot be told if times cannot tell wherever the prio_tree wins on paper.
    """
    paper = [
        one
        for one in figures
        if fewer(one.prio_tree_examined, one.prio_tree_lines, one.rbtree_examined, one.rbtree_lines)
    ]
    rbtree = [one for one in paper if order(one.hot) is Order.FASTER]
    open_ = [one for one in paper if order(one.hot) is Order.UNKNOWN]
    later = [one for one in figures if order(one.later) is Order.FASTER]

    def words(places: Sequence[Trees]) -> str:
        return ", ".join(f"{one.slots:,}" for one in places) or "no"

    last = figures[-1]
    text = (
        f"by counts the prio_tree wins at {words(paper)} slots; there the rbtree is faster at {words(rbtree)} "
        f"({_ns(last.hot)} at {last.slots:,}); the interval tree is faster than the prio_tree at {words(later)} slots"
    )
    if paper and len(open_) == len(paper):
        verdict = Verdict.CANNOT_BE_TOLD
    else:
        verdict = among(rbtree, [one for one in figures if one not in rbtree])
    return Judgement(verdict, text)


def pointers(figures: Sequence[Pointers]) -> Judgement:
    """Times decide: each tree against `linear` in gfn lookups with up to 8 slots, hot and cold.

    Holds if every tree takes at least 1.5 times as long everywhere; holds if some do somewhere; does not hold if none
    does; cannot be told if times cannot tell in most places. The text says up to how many slots each tree is slower,
    and up to how many it touches more lines.
    """
    small = [one for one in figures if one.slots <= FEW]
    apart = [(one, timing, getattr(one, timing)) for one in small for timing in TIMINGS]
    holding = [one for one in apart if much_slower(one[2])]
    open_ = [one for one in apart if order(one[2]) is Order.UNKNOWN]
    failing = [one for one in apart if one not in holding and one not in open_]
    parts = [f"with up to {FEW} slots at least {MUCH} times as long in {len(holding)} of {len(apart)} places"]
    parts[0] += f", open in {len(open_)}" if open_ else ""
    parts += [f"{timing}: {standing(figures, timing)}" for timing in TIMINGS]
    lines = [
        f"{strategy} up to {up_to([one.slots for one in group], [one.lines > one.array_lines for one in group])} slots"
        for strategy, group in _by(figures, lambda one: one.strategy).items()
    ]
    parts.append(f"more lines: {enumerated(lines)}")
    verdict = Verdict.CANNOT_BE_TOLD if 2 * len(open_) > len(apart) else among(holding, failing)
    return Judgement(verdict, "; ".join(parts))


def mixed_stream(figures: Sequence[MixedStream]) -> Judgement:
    """Times decide: each tree against `linear` with up to 8 slots and at least 10 % of slot changes.

    Holds if every tree is slower there; holds if some are somewhere; does not hold if none is; cannot be told if times
    cannot tell in most places.
    """
    small = [one for one in figures if one.slots <= FEW and one.changes >= FREQUENT]
    holding = [one for one in small if order(one.hot) is Order.SLOWER]
    open_ = [one for one in small if order(one.hot) is Order.UNKNOWN]
    failing = [one for one in small if one not in holding and one not in open_]
    parts = [f"slower in {len(holding)} of {len(small)} places with up to {FEW} slots"]
    parts[0] += f", open in {len(open_)}" if open_ else ""
    parts += [
        f"at {share:.0%} changes: {standing(group, 'hot')}"
        for share, group in _by(figures, lambda one: one.changes).items()
        if share >= FREQUENT
    ]
    verdict = Verdict.CANNOT_BE_TOLD if 2 * len(open_) > len(small) else among(holding, failing)
    return Judgement(verdict, "; ".join(parts))


def _by(figures: Iterable[_Figures], key: Callable[[_Figures], _Key]) -> dict[_Key, list[_Figures]]:
    """Figures by a key, in their order."""
    found: dict[_Key, list[_Figures]] = {}
    for one in figures:
        found.setdefault(key(one), []).append(one)
    return found


def _ns(apart: Difference) -> str:
    return f"{significant(apart.ns)} against {significant(apart.base_ns)} ns"


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
