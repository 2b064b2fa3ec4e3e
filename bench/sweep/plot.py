"""The picture of a sweep: slot counts against cost, both axes logarithmic, one chart per role and family.

It is suitable for print and for colour-blind readers: every strategy has its own combination of colour, symbol and
dash. No reader distinguishes more than MOST_NAMED in one chart, so the others are thin grey lines, and the text
above them says how many they are. The band is the interval of the median. The same sweep gives the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from slotlookup.errors import UsageError
from slotlookup.vocabulary import Operation
from slotlookup.writing import replacing

from ..charts import specs
from ..charts.picture import Drawing, check_plot_path, picture, plot_kind
from ..charts.styles import Style, styles
from ..measure.default_set import THREAD
from ..results.screen import TODAY
from ..results.statistics import Interval
from ..results.tables import interval_words
from .curves import Panel, panels
from .points import Point, SweepOptions
from .tables import unit

MOST_NAMED = 10
"""The number of strategies of one chart that have a style of their own."""


def draw(
    options: SweepOptions,
    machine: Mapping[str, object],
    points: Mapping[int, Point],
    metric: str,
    role: str | None,
    path: Path,
    reference: str | None = None,
) -> None:
    """Draw `metric` (of TimingMode or Count) into `path`, of `role` alone or of all roles with figures.

    With a `reference`, its name in the tables, the ratio to it is drawn. Raises UsageError if there is nothing to draw
    or a library is missing, InputFileError if the file cannot be written.
    """
    check_plot_path(path)
    shown = [panel for panel in panels(points, metric) if role in (None, panel.role)]
    if not shown:
        raise UsageError(f"--plot {path}: this sweep has no figures for {role or 'any role'} by {unit(metric)}")
    compared = [panel for panel in shown if reference is None or reference in panel.figures]
    if not compared:
        known = ", ".join(dict.fromkeys(name for panel in shown for name in panel.figures))
        raise UsageError(f"--plot-ratio {reference}: no such row in this sweep; its rows are {known}")
    # Styles follow the order in the sweep, so that a row has one style in every chart and every picture.
    rows = (row["name"] for operation in Operation for point in points.values() for row in point["roles"][operation])
    named = styles(rows)
    drawings = [_drawing(panel, named, reference) for panel in compared]
    found = picture(drawings, *_title(options, machine, points, compared[0], reference), plot_kind(path))
    with replacing(path) as file:
        file.write(found)


def _title(
    options: SweepOptions,
    machine: Mapping[str, object],
    points: Mapping[int, Point],
    panel: Panel,
    reference: str | None,
) -> tuple[str, list[str]]:
    events = {point["workload"]["events"] for point in points.values()}
    few, many = min(events), max(events)
    asked = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    what = unit(panel.metric) if reference is None else f"{unit(panel.metric)}, as a ratio to {reference}"
    band = "exact" if panel.exact else f"the band is the 95 % interval. {interval_words(options.processes)}"
    return f"{options.workload}, seed {options.seed}", [
        f"{what} per operation; {band}",
        f"{asked} events per slot count. {machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}",
    ]


def _drawing(panel: Panel, named: Mapping[str, Style], reference: str | None) -> Drawing:
    own = distinguished(panel)
    rows = list(_rows(panel, own, reference))
    grey = len(panel.figures) - len(own)
    notes = [f"grey: {grey} others, cheapest at the fewest slot counts"] if grey else []
    missing = sum(not row["value"] > 0 for row in rows)
    if missing:
        notes.append(f"{missing} figures at or below zero are not on the logarithmic axis")
    drawn = [row for row in rows if row["value"] > 0]
    title = "ratio" if reference is not None else unit(panel.metric)
    return Drawing(f"{panel.role.plural} ({panel.family})", notes, specs.curves(named, title, others=True), drawn)


def distinguished(panel: Panel) -> Sequence[str]:
    """The rows with a style of their own, in the panel's order: at most MOST_NAMED.

    Those that are cheapest or tied for it at most slot counts come first, after the thread's and Linux's own.
    """
    if len(panel.figures) <= MOST_NAMED:
        return list(panel.figures)
    wins = Counter(name for standing in panel.standings() for name in standing.contenders)
    first = [name for name in (*THREAD, TODAY) if name in panel.figures]
    best = sorted((name for name in panel.figures if name not in first), key=lambda name: -wins[name])
    kept = {*first, *best[: MOST_NAMED - len(first)]}
    return [name for name in panel.figures if name in kept]


def _rows(panel: Panel, own: Sequence[str], reference: str | None) -> Iterator[dict[str, Any]]:
    for name, figures in panel.figures.items():
        for i, (slots, figure) in enumerate(zip(panel.slots, figures, strict=True)):
            if figure is None:
                continue
            shown = figure.interval if reference is None else panel.ratio(i, name, reference)
            if shown is not None:
                yield {"slots": slots, **_named(name, own), **_ends(shown)}


def _named(name: str, own: Sequence[str]) -> dict[str, str]:
    return {"strategy": name, "other": ""} if name in own else {"strategy": "", "other": name}


def _ends(interval: Interval) -> dict[str, float | None]:
    known = interval.low is not None and interval.low > 0
    return {
        "value": interval.median,
        "low": interval.low if known else None,
        "high": interval.high if known else None,
    }
