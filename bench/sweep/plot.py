"""The plot of a sweep: slot counts against cost, both axes logarithmic, one panel per role and family.

It is suitable for print and for colour-blind readers: every strategy has its own combination of a colour of the
Okabe-Ito palette, a marker and a line style, and its name at the end of its line. The shaded area is the 95 % interval
of the median. The same sweep gives the same bytes as SVG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slotlookup.errors import UsageError
from slotlookup.vocabulary import Operation
from slotlookup.writing import must_be_writable, replacing

from .curves import Panel, panels
from .points import Point, SweepOptions
from .tables import unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
# Okabe and Ito's colours without yellow, which is hard to see on white paper.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
LINES = ("-", (0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1.2, 1.2)), (0, (8, 1.5, 1, 1.5, 1, 1.5)))
_WIDTH, _PANEL_HEIGHT, _HEADER = 8.0, 3.6, 0.75
_LABEL_HEIGHT = 11.5
"""Points from one label's base line to the next."""
_DPI = 150


def check_plot_path(path: Path) -> None:
    """Raise UsageError or InputFileError if drawing is not possible: another format, no matplotlib, not writable."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: end the name in .svg or .png")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("--plot needs matplotlib; install it: pip install 'slotlookup[plot]'") from None
    must_be_writable(path)


def plot_kind(path: Path) -> str:
    """Svg or png, from the ending of a path that `check_plot_path` accepted."""
    return path.suffix.lower().removeprefix(".")


def draw(
    options: SweepOptions,
    machine: Mapping[str, object],
    points: Mapping[int, Point],
    metric: str,
    role: str | None,
    path: Path,
) -> None:
    """Draw `metric` (of TimingMode or Count) into `path`, of `role` alone or of all roles with figures.

    Raises UsageError if there is nothing to draw or no matplotlib, InputFileError if the file cannot be written.
    """
    check_plot_path(path)
    from matplotlib import rc_context

    shown = [panel for panel in panels(points, metric) if role in (None, panel.role)]
    if not shown:
        raise UsageError(f"--plot {path}: this sweep has no figures for {role or 'any role'} by {unit(metric)}")
    # Styles follow the order in the sweep, so that a row has one style in every panel and every plot.
    rows = (row["name"] for operation in Operation for point in points.values() for row in point["roles"][operation])
    styles = {name: i for i, name in enumerate(dict.fromkeys(rows))}
    kind = plot_kind(path)
    with rc_context({"svg.hashsalt": "slotlookup", "font.size": 9.5, "axes.titlesize": 11, "axes.labelsize": 10}):
        figure = _figure(shown, styles, _title(options, machine, points))
        # Metadata that differ between drawings are left out: the date, and the version of matplotlib.
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        with replacing(path) as file:
            figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata)


def _title(options: SweepOptions, machine: Mapping[str, object], points: Mapping[int, Point]) -> tuple[str, str]:
    events = {point["workload"]["events"] for point in points.values()}
    few, many = min(events), max(events)
    asked = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    return (
        f"{options.workload}, seed {options.seed}",
        f"{asked} events per point.  {machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}",
    )


def _figure(shown: Sequence[Panel], styles: Mapping[str, int], title: tuple[str, str]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = _HEADER + _PANEL_HEIGHT * len(shown)
    figure = Figure(figsize=(_WIDTH, height))
    FigureCanvasAgg(figure)
    left = 0.115
    figure.text(left, 1 - 0.26 / height, title[0], fontsize=13, fontweight="bold", va="center")
    figure.text(left, 1 - 0.52 / height, title[1], fontsize=8.5, color="0.3", va="center")
    axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=left, right=0.8, top=1 - (_HEADER + 0.3) / height, bottom=0.55 / height, hspace=0.34)
    for ax, panel in zip(axes, shown, strict=True):
        _draw_panel(ax, panel, styles)
    return figure


def _draw_panel(ax: Axes, panel: Panel, styles: Mapping[str, int]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_title(f"{panel.role.plural} ({panel.family})", loc="left", fontweight="bold")
    ax.set_xlabel("slots")
    ax.set_ylabel(f"{unit(panel.metric)} per operation")
    ax.yaxis.set_label_coords(-0.105, 0.5)
    ends: list[tuple[float, float, str, str]] = []
    for name in panel.figures:
        end = _draw_line(ax, panel, name, styles[name])
        if end is not None:
            ends.append((*end, name, COLOURS[styles[name] % len(COLOURS)]))
    ax.set_xlim(panel.slots[0] / 1.15, panel.slots[-1] * 1.15)
    # Ticks are measured slot counts, as many as there is room for.
    step = -(-len(panel.slots) // 9)
    ticks = list(panel.slots[::-1][::step][::-1])
    ax.set_xticks(ticks)
    ax.xaxis.set_minor_locator(NullLocator())
    plain = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    ax.xaxis.set_major_formatter(plain)
    ax.yaxis.set_major_formatter(plain)
    low, high = ax.get_ylim()
    if high / low < 30:  # within little more than a decade, decades alone would give too few ticks
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.grid(which="major", color="0.88", linewidth=0.7)
    ax.set_axisbelow(True)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    _label_ends(ax, ends)


def _draw_line(ax: Axes, panel: Panel, name: str, style: int) -> tuple[float, float] | None:
    """Draw one strategy, with gaps at figures that are missing or not above zero; returns the last point drawn."""
    x: list[float] = [float(n) for n in panel.slots]
    y, low, high = [], [], []
    for figure in panel.figures[name]:
        drawable = figure is not None and figure.value > 0
        y.append(figure.value if figure is not None and drawable else math.nan)
        known = figure.interval if figure is not None and drawable and not panel.exact else None
        bounded = known is not None and known.low is not None and known.high is not None and known.low > 0
        low.append(known.low if known is not None and known.low is not None and bounded else math.nan)
        high.append(known.high if known is not None and known.high is not None and bounded else math.nan)
    colour = COLOURS[style % len(COLOURS)]
    (line,) = ax.plot(
        x,
        y,
        color=colour,
        marker=MARKERS[style % len(MARKERS)],
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle=LINES[style % len(LINES)],
        linewidth=1.5,
        label=name,
        gid=f"{panel.family}-{panel.role}-{name}",
    )
    line.set_zorder(3)
    if not panel.exact:
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
    drawn = [(a, b) for a, b in zip(x, y, strict=True) if not math.isnan(b)]
    return drawn[-1] if drawn else None


def _label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each name at the end of its line, moved apart if lines end close together."""
    points = 72 / ax.figure.dpi
    box = ax.get_window_extent()
    to_display = ax.transData.transform
    places = sorted((to_display((x, y))[1] * points, x, y, name, colour) for x, y, name, colour in ends)
    heights = spread([place[0] for place in places], _LABEL_HEIGHT, box.y0 * points, box.y1 * points)
    for (own, x, y, name, colour), height in zip(places, heights, strict=True):
        start = to_display((x, y))[0] * points
        ax.annotate(
            name,
            (x, y),
            (box.x1 * points + 14 - start, height - own),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=_dark(colour),
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3},
        )


def _dark(colour: str) -> tuple[float, float, float]:
    """A colour dark enough for small letters on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (0.6 * part for part in to_rgb(colour))
    return red, green, blue


def spread(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Places near `wanted` (ascending), `least` apart, within [low, high] if there is room for all.

    Neighbours that would overlap form a group, which is centred on the mean of its members' wanted places.
    """
    groups: list[tuple[float, int]] = []  # the members' mean, and their number
    for place in wanted:
        groups.append((place, 1))
        while len(groups) > 1:
            (below, m), (above, n) = groups[-2:]
            if above - below >= least * (m + n) / 2:
                break
            groups[-2:] = [((below * m + above * n) / (m + n), m + n)]
    found = [mean + least * (i - (n - 1) / 2) for mean, n in groups for i in range(n)]
    for i in range(len(found)):  # up from the low end, then down from the high end
        found[i] = max(found[i], low + i * least)
    for i in range(len(found)):
        found[-1 - i] = min(found[-1 - i], high - i * least)
    return found
