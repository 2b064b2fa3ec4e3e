"""The tables of a sweep: one per role and family, with its crossovers, then the cheapest strategies in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from slotlookup.vocabulary import Count, TimingMode

from ..results.floor import FLOOR
from ..results.tables import interval_heading, interval_words, wrapped
from ..results.verdict import significant, what_rows_are
from .crossover import Crossing, Standing, count_of_slots, describe, reigns
from .curves import Panel, panels
from .points import Point, SweepOptions, faults

CHEAPEST, LEVEL = "*", "="
MOST_CROSSOVERS = 12
"""At most this many rows per table of crossovers; `--json` has all."""
_NARROWEST = 7


def unit(metric: str) -> str:
    """The unit of a metric's figures."""
    return Count(metric).words if metric in list(Count) else TimingMode(metric).unit


def print_sweep(
    options: SweepOptions, machine: Mapping[str, object], points: Mapping[int, Point], metric: str, console: Console
) -> None:
    """Every table of a sweep by `metric`, its remarks and its sentences."""
    console.print(f"[bold]{escape(options.workload)}[/bold]: {_count_of(points)}, seed {options.seed}")
    console.print(f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}", style="dim")
    shown = list(panels(points, metric))
    for panel in shown:
        console.print()
        console.print(
            Text.assemble(
                (f"{panel.role.plural}, {panel.family}", "bold"), f"  {unit(metric)}  ", (panel.origin, "dim")
            )
        )
        standings = panel.standings()
        for table in _tables(panel, standings, console.width):
            console.print(table)
        if told := what_rows_are(_rows(panel, points)):
            console.print(Text(told, style="dim"))
        _print_crossovers(panel, standings, interval_heading(options.processes), console)
    for name, (slots, fault) in faults(points).items():
        console.print(f"[bold red]{escape(name)} is void at {count_of_slots(slots)}[/bold red]: {escape(fault)}")
    if not shown:
        return
    if any(len(panel.figures) > 1 for panel in shown):
        console.print(f"[dim]{CHEAPEST} the cheapest of its row, {LEVEL} tied for the cheapest.[/dim]")
    if metric not in list(Count):
        console.print(Text(interval_words(options.processes), style="dim"))
    apart = max((noise, panel.role, n) for panel in shown for noise, n in zip(panel.noise, panel.slots, strict=True))
    if apart[0] > 0:
        where = f"{apart[0]:.0%} ({apart[1].plural} at {count_of_slots(apart[2])})"
        console.print(f"[dim]Identical work differed by up to {where}; smaller differences are ties.[/dim]")
    ranked = [panel for panel in shown if len(panel.figures) > 1]
    if ranked:
        console.print(f"Cheapest by {unit(metric)}:")
    for panel in ranked:
        lines = wrap(
            sentence(panel), console.width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
        )
        console.print(Text("\n".join(lines)))


def _rows(panel: Panel, points: Mapping[int, Point]) -> list[tuple[str, str, Sequence[str]]]:
    """Name, use and strategies of the panel's rows, as the first point that has each gives them."""
    found: dict[str, tuple[str, str, Sequence[str]]] = {}
    for point in points.values():
        for row in point["roles"][panel.role]:
            if row["family"] == panel.family:
                found.setdefault(row["name"], (row["name"], row["uses"], row["strategies"]))
    return list(found.values())


def _count_of(points: Mapping[int, Point]) -> str:
    counts = sorted(points)
    if len(counts) == 1:
        return count_of_slots(counts[0])
    return f"{len(counts)} slot counts from {counts[0]:,} to {counts[-1]:,}"


def sentence(panel: Panel) -> str:
    """The cheapest strategies by slot count, in one sentence."""
    return f"{panel.role.plural}, {panel.family}: {describe(reigns(panel.standings()))}."


def _tables(panel: Panel, standings: Sequence[Standing], width: int) -> Iterator[Table]:
    """The figures, one row per slot count; strategies that exceed the width go into further tables."""
    ranks = {standing.slots: standing for standing in standings}
    columns = {name: _column(panel, name, ranks) for name in panel.figures}
    if any(floor is not None for floor in panel.floor):
        columns[FLOOR] = [f"{significant(floor)} " for floor in panel.floor]
    widths = {name: max(_NARROWEST, *map(len, cells)) for name, cells in columns.items()}
    first = len(f"{panel.slots[-1]:,}") + 2
    block: list[str] = []
    room = width - first
    for name in columns:
        wide = max(widths[name], *(len(line) for line in wrapped(name, widths[name]).split("\n"))) + 2
        if block and room < wide:
            yield _table(panel, block, columns, widths)
            block, room = [], width - first
        block.append(name)
        room -= wide
    yield _table(panel, block, columns, widths)


def _column(panel: Panel, name: str, ranks: Mapping[int, Standing]) -> list[str]:
    cells: list[str] = []
    for slots, figure in zip(panel.slots, panel.figures[name], strict=True):
        rank = ranks.get(slots)
        alone = len(panel.figures) == 1
        mark = " "
        if rank is not None and name in rank.contenders and not alone:
            mark = LEVEL if rank.level else CHEAPEST
        cells.append(f"{significant(None if figure is None else figure.value)}{mark}")
    return cells


def _table(panel: Panel, names: Sequence[str], columns: Mapping[str, list[str]], widths: Mapping[str, int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("slots", justify="right", no_wrap=True)
    for name in names:
        table.add_column(Text(wrapped(name, widths[name])), justify="right", no_wrap=True)
    for i, slots in enumerate(panel.slots):
        cells = [Text(columns[name][i], style=_style(columns[name][i])) for name in names]
        table.add_row(f"{slots:,}", *cells)
    return table


def _style(cell: str) -> str:
    return {CHEAPEST: "bold green", LEVEL: "green"}.get(cell[-1], "")


def _print_crossovers(panel: Panel, standings: Sequence[Standing], interval: str, console: Console) -> None:
    found = panel.crossovers()
    if not found:
        if len(panel.figures) > 1:
            console.print("[dim]No two strategies change rank.[/dim]")
        return
    leading = {standing.slots: standing.contenders for standing in standings}
    # Crossovers between the cheapest strategies come first.
    found.sort(key=lambda c: (-_concerns_lead(c, leading), c.estimate))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("cheaper with few", "with many slots"):
        table.add_column(heading, overflow="fold")
    table.add_column("about", justify="right", no_wrap=True)
    if not panel.exact:
        table.add_column(interval, no_wrap=True)
    table.add_column("measured between", no_wrap=True)
    for crossing in found[:MOST_CROSSOVERS]:
        table.add_row(Text(crossing.below), Text(crossing.above), *_place(crossing, panel.exact))
    console.print(table)
    if len(found) > MOST_CROSSOVERS:
        console.print(f"[dim]{len(found) - MOST_CROSSOVERS} more crossovers; --json prints all.[/dim]")


def _concerns_lead(crossing: Crossing, leading: Mapping[int, Sequence[str]]) -> int:
    """How many of the two strategies are among the cheapest on their side of the crossover."""
    return (crossing.below in leading[crossing.after]) + (crossing.above in leading[crossing.before])


def _place(crossing: Crossing, exact: bool) -> list[str]:
    """The estimate, its interval (of noise alone), and the two slot counts between which it was measured."""
    about = f"{crossing.estimate:.1f}" if crossing.estimate < 10 else f"{crossing.estimate:,.0f}"
    # Outwards to whole slots, but not for the last digit of a logarithm.
    low, high = math.floor(crossing.low + 1e-6), math.ceil(crossing.high - 1e-6)
    noise = [] if exact else [f"{low:,} to {high:,}"]
    return [about, *noise, f"{crossing.after:,} and {crossing.before:,}"]
