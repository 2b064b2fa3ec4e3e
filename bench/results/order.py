"""The order of the rows of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slotlookup.vocabulary import RANKED

from .model import Figures, RoleResult, Row, SetupResult, Timing

SETUP = "setup"
"""The name of the set-up's table, next to those of the roles."""
SORTS = ("cost", "name", "count", "ns", "ratio")
"""The orders of tables: cost is ns if it was timed, else counts; count is lines, then slots examined."""


def in_order(rows: Sequence[Row[Figures]], sort: str) -> list[Row[Figures]]:
    """The rows of a table in the order `sort` of SORTS; those without the figure last."""
    if sort == "name":
        return sorted(rows, key=lambda row: row.name)
    return sorted(
        rows, key=lambda row: (row.figures is None, row.at_least_ns or math.inf, *_figures(row.figures, sort))
    )


def _figures(figures: RoleResult | SetupResult | None, sort: str) -> tuple[float, ...]:
    counts: tuple[float | None, ...] = ()
    timing: Timing | None = None
    if isinstance(figures, RoleResult):
        timing = figures.ns.get(RANKED)
        counts = (figures.lines, figures.slots_examined, figures.compares)
    elif figures is not None:
        timing, counts = figures.ns, (figures.bytes_per_slot,)
    ns = None if timing is None else timing.interval.median
    ratio = None if timing is None or timing.ratio is None else timing.ratio.median
    wanted: dict[str, tuple[float | None, ...]] = {"ns": (ns,), "ratio": (ratio,), "count": counts}
    return tuple(math.inf if figure is None else figure for figure in wanted.get(sort, (ns, *counts)))
