"""The floor of a role: the cost of reading the right slots without finding them, which no structure can undercut.

Tables show it as a row of its own without counts. It is in no ranking.
"""

from __future__ import annotations

from slotlookup.structure import Family
from slotlookup.vocabulary import RANKED

from .model import RoleResult, Row, RunResult, Timing

FLOOR = "(floor)"
"""The name of its row."""


def floor_rows(run: RunResult, role: str) -> tuple[Row[RoleResult], ...]:
    """The row of the floor, for the tables; none if the floor of the role was not measured."""
    modes = run.floor_ns.get(role)
    if not modes:
        return ()
    native = [row.figures for row in run.roles[role] if row.family == Family.NATIVE and row.figures is not None]
    times = {mode: Timing((), interval, None) for mode, interval in modes.items()}
    figures = RoleResult(native[0].operations if native else 1, ns=times)
    return (Row(FLOOR, FLOOR, str(Family.NATIVE), (), None, figures=figures),)


def times_floor(run: RunResult, role: str, figures: RoleResult) -> float | None:
    """How many times the floor a row's ranked time is; None if either is unknown, or the floor is within the noise."""
    floor = run.floor_ns.get(role, {}).get(RANKED)
    timing = figures.ns.get(RANKED)
    return None if floor is None or timing is None or floor.median <= 0 else timing.interval.median / floor.median
