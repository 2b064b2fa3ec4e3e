"""The kernel's marginal costs and the tool's in one plot: one panel per pattern, slots against nanoseconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, BinaryIO

from slotlookup.writing import Writer

from ..results.statistics import median_interval
from ..sweep.plot import COLOURS, LINES, MARKERS
from .figures import HOWS, Lookups, Measurement

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {"kernel": "Linux", "hot": "{strategy}, hot", "called": "{strategy}, as the kernel calls"}
_DPI = 150


def drawing(measured: Measurement, kind: str) -> Writer:
    """Draws into a file of `kind`, svg or png."""
    return lambda file: _draw(measured, kind, file)


def _draw(measured: Measurement, kind: str, file: BinaryIO) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(measured.lookups().items())
    rows = -(-len(shown) // 2)
    with rc_context({"svg.hashsalt": "slotlookup", "font.size": 9, "axes.titlesize": 10.5}):
        height = 1.1 + 2.9 * rows
        figure = Figure(figsize=(9.0, height))
        FigureCanvasAgg(figure)
        machine = measured.machine
        figure.suptitle(
            f"Additional cost of N slots over one: {machine['cpu']}, Linux {machine['kernel']}",
            fontsize=12,
            y=1 - 0.25 / height,
        )
        axes = figure.subplots(rows, 2, squeeze=False).flatten()
        figure.subplots_adjust(
            left=0.09, right=0.98, top=1 - 0.75 / height, bottom=0.9 / height, hspace=0.42, wspace=0.25
        )
        for ax, (title, points) in zip(axes, shown, strict=False):
            _panel(ax, title, points, measured.strategy)
        for ax in axes[len(shown) :]:
            ax.set_visible(False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=_DPI, metadata=metadata)


def _panel(ax: Axes, title: str, points: list[tuple[int, Lookups]], strategy: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    ax.set_title(title, loc="left", fontweight="bold")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    many = [(slots, lookups) for slots, lookups in points if slots > 1]
    x = [float(slots) for slots, _ in many]
    for style, how in enumerate(("kernel", *HOWS)):
        found = [median_interval(lookups.series(how).marginal()) for _, lookups in many]
        # A logarithmic axis cannot show values at or below 0: the line has a gap there.
        y = [interval.median if interval.median > 0 else math.nan for interval in found]
        bounded = [i.low is not None and i.high is not None and i.low > 0 for i in found]
        low = [i.low if i.low is not None and known else math.nan for i, known in zip(found, bounded, strict=True)]
        high = [i.high if i.high is not None and known else math.nan for i, known in zip(found, bounded, strict=True)]
        ax.plot(
            x,
            y,
            color=COLOURS[style],
            marker=MARKERS[style],
            markersize=4.5,
            linestyle=LINES[style],
            linewidth=1.5,
            label=LABELS[how].format(strategy=strategy),
            gid=f"{title}-{how}",
        )
        ax.fill_between(x, low, high, color=COLOURS[style], alpha=0.2, linewidth=0)
    plain = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    ax.set_xticks(x)
    ax.xaxis.set_major_formatter(plain)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", labelsize=7.5)
    ax.set_xlabel("slots")
    ax.set_ylabel("ns in addition to one slot")
    ax.grid(which="major", color="0.88", linewidth=0.7)
    ax.set_axisbelow(True)
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
