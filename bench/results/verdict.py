"""What a run comes to, in words: the cheapest strategy of each role, where the machine was quiet enough to tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slotlookup.structure import Family

from .model import RoleResult, RunResult, Timing
from .statistics import ratio_interval

TITLES = {"gfn": "gfn lookups", "hva": "hva visits", "update": "slot changes"}
MODE = "throughput_hot"
"""The timing that rankings go by."""
TOO_NOISY = 0.25
"""Where identical work differs by more than this, no ranking is worth its ink."""
NAMED = 3
"""Of equals, so many are named, the nearest first; more are counted."""


def significant(value: float | None, digits: int = 3) -> str:
    """A figure with as many digits as it deserves; whole numbers above a thousand are grouped."""
    if value is None:
        return "n/a"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 1000:
        return f"{value:,.0f}"
    text = f"{rounded:g}"
    return text if "e" not in text else f"{value:.6f}"


def noise(run: RunResult, role: str) -> float:
    """By what share identical work came out apart in this role: the far end of the control's interval. 0 if unknown."""
    control = run.control.get(role, {}).get(MODE)
    if control is None:
        return 0.0
    ends = (end for end in (control.low, control.median, control.high) if end is not None)
    return max(math.exp(abs(math.log(end))) - 1 for end in ends)


def closing_sentence(run: RunResult) -> str:
    """Which native strategy is cheapest here in each role, and by how much."""
    sound = {row.family for row in run.results if row.verified}
    if not sound:
        return "No strategy answered right, so none is cheapest."
    family = Family.NATIVE if Family.NATIVE in sound else Family.PYTHON
    parts = [_verdict(run, role, family) for role in TITLES]
    among = "" if family is Family.NATIVE else " among Python strategies"
    return f"Cheapest here{among}: " + "; ".join(part for part in parts if part) + "."


def _verdict(run: RunResult, role: str, family: Family) -> str:
    rows = [
        (row.strategy, row.roles[role])
        for row in run.results
        if row.verified and row.family == family and role in row.roles
    ]
    timed = [(name, result.ns[MODE]) for name, result in rows if MODE in result.ns]
    if not timed:
        return _verdict_by_counts(rows, role)
    apart = noise(run, role)
    if apart > TOO_NOISY:
        return f"for {TITLES[role]}, too noisy to tell (identical work came out {apart:.0%} apart)"
    timed.sort(key=lambda item: item[1].interval.median)
    name, best = timed[0]
    level = [other for other, timing in timed[1:] if not clearly_apart(best, timing, apart)]
    words = f"for {TITLES[role]}, {name} at {significant(best.interval.median)} ns"
    if best.ratio is not None and name != run.references[family]:
        words += f", {best.ratio.median:.2f} of {run.references[family]}"
    if level:
        more = len(level) - NAMED
        named = level if more <= 1 else [*level[:NAMED], f"{more} others"]
        words += f" (no telling it from {' or '.join(named)})"
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
    names = " and ".join(name for name, compares in counted if compares == fewest)
    return f"for {TITLES[role]}, by compares alone, {names} with {significant(fewest)} each"
