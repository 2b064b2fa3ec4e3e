"""The closing sentence of a run: the cheapest strategy of each role, if the machine was quiet enough to decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED, Operation

from .model import RoleResult, RunResult, Timing
from .statistics import ratio_interval

TOO_NOISY = 0.25
"""If identical work differs by more than this share, no strategy is named the cheapest."""
NAMED = 3
"""The number of tied strategies that are named, the nearest first; the rest are counted."""


def significant(value: float | None, digits: int = 3) -> str:
    """A figure with `digits` significant digits; from 1,000 on, a grouped whole number."""
    if value is None:
        return "n/a"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1000:
        return f"{value:,.0f}"
    text = f"{rounded:g}"
    return text if "e" not in text else f"{value:.6f}"


def enumerated(names: Sequence[str]) -> str:
    """Names as a list in a sentence: "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def what_rows_are(rows: Iterable[tuple[str, str, Sequence[str]]]) -> str:
    """A sentence that explains rows (name, uses, strategies); "" if their names are sufficient."""
    clauses: list[str] = []
    for name, uses, strategies in rows:
        # Of two structures, the one after which a strategy is named gives the row its name.
        plain = uses.split(" + ") if " + " in uses else []
        others = [strategy for strategy in strategies if strategy != name and strategy not in plain]
        if uses != name:
            alike = f", as {'do' if len(others) > 1 else 'does'} {enumerated(others)}" if others else ""
            clauses.append(f"{name} uses {uses}{alike}")
        elif others:
            clauses.append(f"{name} {'also ' if name in strategies else ''}serves {enumerated(others)}")
    return "; ".join(clauses) + "." if clauses else ""


def closing_sentence(run: RunResult) -> str:
    """Names the cheapest row of each role, and its lead; of the native ones if any answered right."""
    sound = {row.family for rows in run.roles.values() for row in rows if row.verified}
    if not sound:
        return "No strategy answered correctly, so none is named the cheapest."
    family = Family.NATIVE if Family.NATIVE in sound else Family.PYTHON
    parts = [_verdict(run, role, family) for role in Operation]
    among = "" if family is Family.NATIVE else " among Python strategies"
    return f"Cheapest here{among}: " + "; ".join(part for part in parts if part) + "."


def _verdict(run: RunResult, role: str, family: Family) -> str:
    rows = [(row.name, row.figures) for row in run.roles[role] if row.family == family and row.figures is not None]
    timed = [(name, result.ns[RANKED]) for name, result in rows if RANKED in result.ns]
    if not timed:
        return _verdict_by_counts(rows, role)
    apart = run.noise(family, role, RANKED)
    if apart > TOO_NOISY:
        return f"for {Operation(role).plural}, too noisy to decide (identical work differed by {apart:.0%})"
    timed.sort(key=lambda item: item[1].interval.median)
    name, best = timed[0]
    level = [other for other, timing in timed[1:] if not clearly_apart(best, timing, apart)]
    words = f"for {Operation(role).plural}, {name} at {significant(best.interval.median)} ns"
    if best.ratio is not None and name != run.references[family]:
        words += f", {best.ratio.median:.2f} of {run.references[family]}"
    if level:
        more = len(level) - NAMED
        words += f" (tied with {enumerated(level if more <= 1 else [*level[:NAMED], f'{more} others'])})"
    elif len(timed) > 1:
        words += f" ({timed[1][1].interval.median / best.interval.median:.2f} times cheaper than {timed[1][0]})"
    return words


def clearly_apart(a: Timing, b: Timing, apart: float) -> bool:
    """Whether the two, paired block by block, differ at 95 % by more than identical work does (`apart`, a share)."""
    ratio = ratio_interval(a.samples, b.samples)
    if ratio.low is None or ratio.high is None:
        return False
    return ratio.high < 1 / (1 + apart) or ratio.low > 1 + apart


def _verdict_by_counts(rows: Sequence[tuple[str, RoleResult]], role: str) -> str:
    counted = [(name, r.compares) for name, r in rows if r.compares is not None]
    if not counted:
        return ""
    fewest = min(compares for _, compares in counted)
    names = enumerated([name for name, compares in counted if compares == fewest])
    return f"for {Operation(role).plural}, by compares alone, {names} with {significant(fewest)} each"
