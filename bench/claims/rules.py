"""The verdicts: every rule. The limits that rules use are in `judging.py`.

A rule sees figures only. Its docstring is what `slotlookup claims ID --explain` prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from slotlookup.memslots import MAX_PAGES
from slotlookup.vocabulary import Operation, UpdateDiscipline

from ..results.verdict import enumerated, significant
from .figures import (
    Ageing,
    Estimate,
    Growth,
    Locking,
    Mix,
    MixedStream,
    OneSlot,
    OrderedVisit,
    OtherAlgorithm,
    Pointers,
    Position,
    Scan,
    Share,
    SizeSorted,
    Trees,
    UnaliasedVisit,
)
from .judging import (
    FEW,
    FREQUENT,
    LEAST_EXCESS,
    LOGARITHMIC,
    MATTERS,
    MUCH,
    STOPS_AT,
    TIMINGS,
    TWO_LOOKUPS,
    Judgement,
    Order,
    Verdict,
    among,
    by,
    fewer,
    judged,
    much_slower,
    ns_of,
    order,
    some,
    standing,
    up_to,
)


def size_sorted_array(figures: Sequence[SizeSorted]) -> Judgement:
    """Counts decide: slots examined per lookup by `size-sorted`, weighted by the accesses.

    Holds if they are below 2 on the two-slot layout and on every recorded layout with recorded accesses; holds if some
    of these are below 2; does not hold if none is. Layouts with derived accesses are named and do not count.
    """
    counted = [one for one in figures if one.accesses != "derived"]
    below = [one for one in counted if one.size_sorted < TWO_LOOKUPS]
    above = [one for one in counted if one.size_sorted >= TWO_LOOKUPS]

    def words(places: Sequence[SizeSorted]) -> str:
        return enumerated([f"{one.workload} {significant(one.size_sorted)}" for one in places])

    parts = [f"below 2 slots examined per lookup: {words(below)}"] if below else []
    parts += [f"2 or more: {words(above)}"] if above else []
    parts += ["no layout has recorded accesses"] if not counted else []
    derived = [one for one in figures if one not in counted]
    details = f"derived accesses, which do not count: {words(derived)}" if derived else ""
    return Judgement(among(below, above), "; ".join(parts), details)


def sorted_by_size(figures: Sequence[OrderedVisit]) -> Judgement:
    """Counts decide: slots examined per visit by `size-sorted` and by `linear`.

    Sorting helps where it saves at least 10 %. Holds if it helps nowhere; holds if it helps on some layouts only; does
    not hold if it helps on all.
    """
    helps = [one for one in figures if one.size_sorted <= (1 - MATTERS) * one.linear]
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
    helps = [one for one in figures if one.flagged <= (1 - MATTERS) * one.without]
    useless = [one for one in figures if one not in helps]

    def words(one: UnaliasedVisit) -> str:
        saved = f"{significant(one.without)} to {significant(one.flagged)}"
        return f"{one.workload} {saved} ({one.aliased} of {one.slots} aliased)"

    parts = [f"the flag helps on {len(helps)} of {len(figures)} layouts"]
    parts += [f"it helps on {some([words(one) for one in helps])}"] if helps else []
    parts += [f"not on {some([words(one) for one in useless])}"] if useless else []
    return judged(among(helps, useless), parts)


def prio_tree(figures: Sequence[Growth]) -> Judgement:
    """Counts decide: slots examined per visit beyond the slots found.

    From a quarter of the largest slot count to the largest, this excess grows as a power of n. Up to an exponent of
    0.25 the growth counts as logarithmic, as does an excess below one slot. Holds if it is logarithmic on every
    workload; holds if on some; does not hold if on none. A fit over all workloads is shown too.
    """
    found: dict[str, tuple[float, str]] = {}
    for name, group in by(figures, lambda one: one.workload).items():
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
    per_doubling, per_answer = fitted(figures)
    parts = [f"fitted: {per_doubling:.2g} slots examined per doubling of n and {per_answer:.2g} per answer"]
    parts += [f"steeper than logarithmic: {some(steep)}"] if steep else []
    brief = len(parts)
    parts += [f"growth beyond the answers: {some(fine)}"] if fine else []
    return judged(among(fine, steep), parts, brief)


def fitted(figures: Sequence[Growth]) -> tuple[float, float]:
    """Slots examined per doubling of n and per answer, by least squares with a constant."""
    known = np.array([[math.log2(one.slots), one.answers, 1.0] for one in figures])
    found = np.linalg.lstsq(known, np.array([one.examined for one in figures]), rcond=None)[0]
    return float(found[0]), float(found[1])


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
    """Counts and times decide: each other structure against `size-sorted` with up to 8 slots, hot and cold.

    In a place the claim holds if the structure does not cost less by counts (slots examined and lines together) and
    takes at least 1.5 times as long. Holds if this is so everywhere; holds if it is somewhere; does not hold if it is
    nowhere; cannot be told if times cannot tell in most places and the others agree. The text says up to how many slots
    each structure stays slower at all.
    """
    small = [one for one in figures if one.slots <= FEW]
    cheaper = [one for one in small if fewer(one.examined, one.lines, one.array_examined, one.array_lines)]
    apart = [(one, timing, getattr(one, timing)) for one in small for timing in TIMINGS]
    holding = [one for one in apart if one[0] not in cheaper and much_slower(one[2])]
    open_ = [one for one in apart if one[0] not in cheaper and much_slower(one[2]) is None]
    failing = [one for one in apart if one not in holding and one not in open_]
    parts = [f"with up to {FEW} slots at least {MUCH} times as long in {len(holding)} of {len(apart)} places"]
    where = [f"{one.strategy} at {one.slots} {timing}" for one, timing, _ in holding]
    parts[0] += f" ({some(where)})" if where else ""
    parts[0] += f", open in {len(open_)}" if open_ else ""
    names = [
        f"{strategy} at {enumerated([str(one.slots) for one in group])}"
        for strategy, group in by(cheaper, lambda one: one.strategy).items()
    ]
    parts.append(f"fewer slots examined and no more lines: {some(names)}" if names else "none costs less by counts")
    parts += [f"{timing}: {standing(figures, timing)}" for timing in TIMINGS]
    return judged(among(holding, failing, open_), parts, 2)


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
                for (role, workload), group in by(places, lambda one: (one.role, one.workload)).items()
            ]
        )

    parts = [f"fastest in {words(best)}"] if best else [f"fastest in none of {len(figures)} places"]
    parts += [f"tied in {words(level)}"] if level else []
    parts += [f"open in {words(open_)}"] if open_ else []
    verdict = Verdict.HOLDS if best else Verdict.CANNOT_BE_TOLD if open_ else Verdict.DOES_NOT_HOLD
    return judged(verdict, parts)


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
        f"({ns_of(last.hot)} at {last.slots:,}); the interval tree is faster than the prio_tree at {words(later)} slots"
    )
    if paper and len(open_) == len(paper):
        verdict = Verdict.CANNOT_BE_TOLD
    else:
        verdict = among(rbtree, [one for one in figures if one not in rbtree])
    return Judgement(verdict, text)


def pointers(figures: Sequence[Pointers]) -> Judgement:
    """Times decide: each tree against `linear` in gfn lookups with up to 8 slots, hot and cold.

    Holds if every tree takes at least 1.5 times as long everywhere; holds if some do somewhere; does not hold if none
    does; cannot be told if times cannot tell in most places and the others agree. The text says up to how many slots
    each tree is slower, and up to how many it touches more lines.
    """
    small = [one for one in figures if one.slots <= FEW]
    apart = [(one, timing, getattr(one, timing)) for one in small for timing in TIMINGS]
    holding = [one for one in apart if much_slower(one[2])]
    open_ = [one for one in apart if much_slower(one[2]) is None]
    failing = [one for one in apart if one not in holding and one not in open_]
    parts = [f"with up to {FEW} slots at least {MUCH} times as long in {len(holding)} of {len(apart)} places"]
    parts[0] += f", open in {len(open_)}" if open_ else ""
    parts += [f"{timing}: {standing(figures, timing)}" for timing in TIMINGS]
    lines = [
        f"{strategy} up to {up_to([one.slots for one in group], [one.lines > one.array_lines for one in group])} slots"
        for strategy, group in by(figures, lambda one: one.strategy).items()
    ]
    parts.append(f"more lines: {enumerated(lines)}")
    return judged(among(holding, failing, open_), parts)


def mixed_stream(figures: Sequence[MixedStream]) -> Judgement:
    """Times decide: each tree against `linear` with up to 8 slots and at least 10 % of slot changes.

    Holds if every tree is slower there; holds if some are somewhere; does not hold if none is; cannot be told if times
    cannot tell in most places and the others agree.
    """
    small = [one for one in figures if one.slots <= FEW and one.changes >= FREQUENT]
    holding = [one for one in small if order(one.hot) is Order.SLOWER]
    open_ = [one for one in small if order(one.hot) is Order.UNKNOWN]
    failing = [one for one in small if one not in holding and one not in open_]
    parts = [f"slower in {len(holding)} of {len(small)} places with up to {FEW} slots"]
    parts[0] += f", open in {len(open_)}" if open_ else ""
    parts += [
        f"at {share:.0%} changes: {standing(group, 'hot')}"
        for share, group in by(figures, lambda one: one.changes).items()
        if share >= FREQUENT
    ]
    return judged(among(holding, failing, open_), parts)


def enough_slots(figures: Sequence[Share]) -> Judgement:
    """Times decide: what the number of slots adds to a page fault and to an invalidation.

    It does not matter in a place if the upper ends of two intervals are below 10 % of the operation: that of the
    kernel's search beyond its search of one slot, and that of the search in an unsorted array. It matters if one lower
    end is at or above 10 %. Holds if it matters nowhere, on recorded layouts and up to the kernel's limit; holds if it
    matters in some places; does not hold if in all; cannot be told if no place is decided.
    """

    def array(one: Share) -> Estimate:
        return one.array.times(100 / one.whole)

    limit = 100 * MATTERS
    small = [one for one in figures if max(one.share.high, array(one).high) < limit]
    large = [one for one in figures if max(one.share.low, array(one).low) >= limit]
    parts = []
    for operation, group in by(figures, lambda one: one.operation).items():
        points = sorted(group, key=lambda one: one.slots)
        last = points[-1]
        parts.append(
            f"{operation}: the search of an array matters {_from([one for one in points if array(one).low >= limit])}, "
            f"that of the kernel's trees {_from([one for one in points if one.share.low >= limit])}; "
            f"it is {last.share} % at {last.slots:,}"
        )
    return Judgement(among(small, large), "; ".join(parts))


def _from(places: Sequence[Share]) -> str:
    return f"from {places[0].slots:,} slots on" if places else "nowhere"


def one_slot(figures: Sequence[OneSlot]) -> Judgement:
    """Counts decide: whether one slot can replace the slots of a recorded layout.

    It cannot if a slot is read-only, if there are two address spaces, or if it would have more pages than KVM allows.
    Holds if it can on every layout; holds if on some; does not hold if on none.
    """
    enough = [one for one in figures if not one.readonly and one.spaces == 1 and one.span <= MAX_PAGES]
    not_enough = [one for one in figures if one not in enough]

    def words(one: OneSlot) -> str:
        shared = f", {one.aliased} slots share host memory" if one.aliased else ""
        return (
            f"{one.workload} ({significant(one.lookups)} to {significant(one.one_lookup)} slots examined per lookup, "
            f"{one.holes / one.span:.0%} of the pages are holes{shared})"
        )

    def why(one: OneSlot) -> str:
        reasons = [f"{one.readonly} of {one.slots} read-only"] if one.readonly else []
        reasons += [f"{one.spaces} address spaces"] if one.spaces > 1 else []
        reasons += [f"{one.span:,} pages"] if one.span > MAX_PAGES else []
        return f"{one.workload} ({', '.join(reasons)})"

    parts = [f"enough on {enumerated([one.workload for one in enough])}"] if enough else []
    parts += [f"not on {enumerated([why(one) for one in not_enough])}"] if not_enough else []
    brief = len(parts)
    parts += [words(one) for one in enough]
    missed = sum(one.missed for one in figures)
    found = f"{sum(one.found for one in figures):,} of {missed:,} lookups outside all slots find the one slot"
    parts.append(found if missed else "no lookup of these workloads is outside all slots")
    return judged(among(enough, not_enough), parts, brief)


def no_accessed_bit(figures: Sequence[Ageing]) -> Judgement:
    """Counts decide: each of the three answers under memory pressure, against accessed bits under the same accesses.

    "Always young" pins if at least 10 % of its answers are for pages that were not used. "Young and unmap" costs exits,
    "not young" minor faults from the swap cache, if there are at least 10 % more than with accessed bits. Holds if all
    three are so everywhere; holds if some are; does not hold if none is.
    """
    costs = {
        policy: (what, [_price(one) for one in group])
        for policy, what in PRICES.items()
        if (group := [one for one in figures if one.policy == policy])
    }
    shares = [share for _, found in costs.values() for share in found]
    parts = []
    for policy, (what, found) in costs.items():
        few, most = f"{min(found):.0%}", f"{max(found):.0%}"
        parts.append(f"{policy}: {few if few == most else f'{few} to {most}'} {what}")
    return Judgement(
        among([share for share in shares if share >= MATTERS], [share for share in shares if share < MATTERS]),
        "; ".join(parts),
    )


PRICES = {
    "always young": "of the answers pin an unused page",
    "young and unmap": "more exits",
    "not young": "more faults from the swap cache",
}
"""What each answer is said to cost, by policy."""


def _price(one: Ageing) -> float:
    """What an answer costs of what it is said to cost, as a share of the answers or of the cost with accessed bits."""
    if one.policy == "always young":
        return one.pinned / one.answers
    count, bits = (one.exits, one.bits_exits) if one.policy == "young and unmap" else (one.cached, one.bits_cached)
    return count / bits - 1


def better_locking(figures: Sequence[Locking]) -> Judgement:
    """Counts decide, those of the update disciplines: no readers were run during changes.

    Sorting needs more than an array by slot id if a change moves entries of other slots, which by id none does: a
    reader that walks the array may then pass a slot that did not change. RCU suffices if readers see the old slots
    until a change is published, and a lookup touches at most 10 % more lines than with changes in place. Holds if both
    are so on every layout; holds if on some; does not hold if on none.
    """
    holding: list[str] = []
    failing: list[str] = []
    moved, lookups, changes = [], [], []
    for workload, group in by(figures, lambda one: one.workload).items():
        in_place = {one.order: one for one in group if one.update == UpdateDiscipline.IN_PLACE}
        by_id, by_size = in_place["id"], in_place["size"]
        (copy,) = [one for one in group if one.order == "size" and one.update == UpdateDiscipline.COPY]
        moved.append(by_size.moved)
        lookups.append(copy.lookup_lines / by_size.lookup_lines)
        changes.append(copy.change_lines / by_size.change_lines)
        needed = by_size.moved > 0 == by_id.moved
        suffices = copy.readers == "old" and lookups[-1] <= 1 + MATTERS
        reasons = [] if needed else ["it needs no more than by id"]
        reasons += [] if suffices else ["copies do not suffice"]
        (holding if not reasons else failing).append(f"{workload} ({' and '.join(reasons)})" if reasons else workload)
    parts = [
        f"by size a change moves {_range(moved)} entries of other slots, by id none",
        f"lines of copies against in place: lookups {_range(lookups)} times, changes {_range(changes)} times",
    ]
    parts += [f"not on {some(failing)}"] if failing else []
    return judged(among(holding, failing), parts, len(parts))


def _range(values: Sequence[float]) -> str:
    low, high = significant(min(values)), significant(max(values))
    return low if low == high else f"{low} to {high}"


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
