"""The charts: each a Vega-Lite specification over rows of a stated form.

A chart names its data (`ROWS`), so that one specification serves whatever rows are chosen. Rows are dictionaries; each
function states the keys that it reads. A span that is unknown is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import altair as alt

from .styles import GREY, ROWS, Style

Row = Mapping[str, Any]
Axis = Literal["log", "linear"]
BAND = 0.2
"""The opacity of an interval."""
LEGEND = alt.Legend(symbolLimit=0, labelLimit=280, symbolOpacity=1, symbolDash=[1, 0])
"""All names, whole."""
ROOM = 14
"""Pixels between the outermost marks and the frame."""
FEW_TICKS = 6


def _by_name(key: str, styles: Mapping[str, Style], title: str | None) -> dict[str, Any]:
    """Colour and dash of lines by `key`."""
    names = list(styles)
    return {
        "color": alt.Color(
            f"{key}:N",
            title=title,
            scale=alt.Scale(domain=names, range=[style.on_white for style in styles.values()]),
            legend=LEGEND,
        ),
        "strokeDash": alt.StrokeDash(
            f"{key}:N",
            title=title,
            scale=alt.Scale(domain=names, range=[list(style.dash) for style in styles.values()]),
            legend=None,  # a dashed symbol cannot be read; the legend has the line's own symbol
        ),
    }


def _symbol(key: str, styles: Mapping[str, Style], title: str | None) -> alt.Shape:
    scale = alt.Scale(domain=list(styles), range=[style.symbol for style in styles.values()])
    return alt.Shape(f"{key}:N", title=title, scale=scale, legend=LEGEND)


def _wide() -> alt.Scale:
    return alt.Scale(type="log", nice=False, padding=ROOM)


def _plain(ticks: int | None = None) -> alt.Axis:
    """An axis of plain numbers, with about so many ticks."""
    return alt.Axis(format=",~r", tickCount=alt.Undefined if ticks is None else ticks)


def _spec(chart: alt.LayerChart | alt.FacetChart) -> dict[str, Any]:
    found: dict[str, Any] = chart.to_dict()
    for layer in found.get("layer", ()):
        layer.pop("data", None)
    found["data"] = {"name": ROWS}
    for key in ("datasets", "config"):  # the page and the picture have a configuration each
        found.pop(key, None)
    return found


def curves(styles: Mapping[str, Style], unit: str, *, others: bool = False) -> dict[str, Any]:
    """Lines with their intervals over slot counts.

    Rows: `slots`, `strategy` (a name of `styles`), `value`, `low`, `high` in `unit`, and `span`, the interval in words.
    Scrolling and dragging zoom. With `others`, for pictures, rows have no `span`, and may have a `strategy` of "" and a
    name in `other`: such a line is thin and grey.
    """
    base = alt.Chart(alt.NamedData(ROWS)).transform_filter("datum.strategy")
    across = alt.X(
        "slots:Q", title="slots", scale=alt.Scale(type="log", base=2, nice=False), axis=alt.Axis(format=",d")
    )
    named = _by_name("strategy", styles, None)
    up = alt.Y("value:Q", title=unit, scale=_wide(), axis=_plain(FEW_TICKS))
    band = base.mark_area(opacity=BAND).encode(
        x=across, y=alt.Y("low:Q", title=unit), y2="high:Q", color=named["color"], detail="strategy:N"
    )
    line = base.mark_line(strokeWidth=1.6).encode(x=across, y=up, **named)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=across,
        y=up,
        color=named["color"],
        shape=_symbol("strategy", styles, None),
        tooltip=[
            alt.Tooltip("strategy:N"),
            alt.Tooltip("slots:Q", format=",d"),
            alt.Tooltip("value:Q", title=unit, format=",.4~r"),
            *([] if others else [alt.Tooltip("span:N", title="95 % interval")]),
        ],
    )
    layers = [band, line, points.add_params(alt.selection_interval(bind="scales", name="zoom"))]
    if others:
        grey = alt.Chart(alt.NamedData(ROWS)).transform_filter("datum.other")
        layers.insert(
            0, grey.mark_line(color=GREY, strokeWidth=0.8, opacity=0.6).encode(x=across, y=up, detail="other:N")
        )
    return _spec(alt.layer(*layers).properties(height=300))


def over_runs(styles: Mapping[str, Style], unit: str) -> dict[str, Any]:
    """Lines with their bands over the runs of a history.

    Rows: `run` (its label, in the order of the rows), `strategy` (a name of `styles`), `value`, `low`, `high` in
    `unit`, and `span`, the interval in words.
    """
    base = alt.Chart(alt.NamedData(ROWS))
    across = alt.X("run:O", title="run", sort=None, axis=alt.Axis(labelAngle=-35, labelLimit=200))
    up = alt.Y("value:Q", title=unit, scale=_wide(), axis=_plain(FEW_TICKS))
    named = _by_name("strategy", styles, None)
    band = base.mark_area(opacity=BAND).encode(
        x=across, y=alt.Y("low:Q", title=unit), y2="high:Q", color=named["color"], detail="strategy:N"
    )
    line = base.mark_line(strokeWidth=1.6).encode(x=across, y=up, **named)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=across,
        y=up,
        color=named["color"],
        shape=_symbol("strategy", styles, None),
        tooltip=[
            alt.Tooltip("strategy:N"),
            alt.Tooltip("commit:N"),
            alt.Tooltip("value:Q", title=unit, format=",.4~r"),
            alt.Tooltip("span:N", title="95 % interval"),
            alt.Tooltip("noise:N"),
        ],
    )
    return _spec(alt.layer(band, line, points).properties(height=260))


def standings(styles: Mapping[str, Style]) -> dict[str, Any]:
    """Which strategy is cheapest, by slot count and workload.

    Rows: `slots`, `workload`, `cheapest` (a name of `styles`, or TIED), `label` (all tied names), `value` (in words)
    and `mark`, what stands in the cell of a tie, "" for a cell with one cheapest strategy, which has its symbol.
    """
    names = [*styles, TIED]
    colours = [*(style.on_white for style in styles.values()), GREY]
    base = alt.Chart(alt.NamedData(ROWS)).encode(
        x=alt.X("slots:O", title="slots", axis=alt.Axis(labelAngle=0, format=",d")),
        y=alt.Y("workload:N", title=None, axis=alt.Axis(labelLimit=260)),
    )
    cells = base.mark_rect(stroke="white", strokeWidth=1).encode(
        color=alt.Color(
            "cheapest:N",
            title="cheapest",
            scale=alt.Scale(domain=names, range=colours),
            legend=LEGEND,
        ),
        tooltip=[
            alt.Tooltip("workload:N"),
            alt.Tooltip("slots:O", format=",d"),
            alt.Tooltip("label:N", title="cheapest"),
            alt.Tooltip("value:N", title="cost"),
        ],
    )
    symbols = (
        base.transform_filter("!datum.mark")
        .mark_point(filled=True, color="white", size=70, opacity=1)
        .encode(shape=_symbol("cheapest", styles, "cheapest"))
    )
    marks = base.mark_text(fontSize=11, fontWeight="bold", color="white").encode(text="mark:N")
    return _spec((cells + symbols + marks).properties(height=alt.Step(34)))


TIED = "tied"
"""The name of a cell of `standings` with more than one cheapest strategy."""


def samples(styles: Mapping[str, Style], unit: str) -> dict[str, Any]:
    """Every sample of each strategy, with the median and its interval.

    Rows with `kind` "sample": `strategy`, `value`; with `kind` "median": `strategy`, `value`, `low`, `high`, `span`.
    """
    base = alt.Chart(alt.NamedData(ROWS)).encode(
        y=alt.Y("strategy:N", title=None, sort=list(styles), axis=alt.Axis(labelLimit=260)),
        color=alt.Color(
            "strategy:N",
            scale=alt.Scale(domain=list(styles), range=[style.on_white for style in styles.values()]),
            legend=None,
        ),
    )
    across = alt.X("value:Q", title=unit, scale=_wide(), axis=_plain())
    tooltip = [
        alt.Tooltip("strategy:N"),
        alt.Tooltip("value:Q", title=unit, format=",.4~r"),
        alt.Tooltip("span:N", title="95 % interval"),
    ]
    one = base.transform_filter("datum.kind == 'sample'")
    ticks = one.mark_tick(thickness=1.2, size=14, opacity=0.65).encode(x=across, tooltip=tooltip[:2])
    median = base.transform_filter("datum.kind == 'median'")
    span = median.mark_rule(strokeWidth=3, opacity=0.45).encode(x=alt.X("low:Q", title=unit), x2="high:Q")
    middle = median.mark_point(filled=True, size=70, opacity=1).encode(
        x=across, shape=_symbol("strategy", styles, None).legend(None), tooltip=tooltip
    )
    return _spec((span + ticks + middle).properties(height=alt.Step(26)))


def pareto(styles: Mapping[str, Style], x: str, y: str) -> dict[str, Any]:
    """Two costs of each strategy, with the front: those that no other beats in both.

    Rows: `strategy`, `x`, `y` and `front` (whether it is on the front). `x` and `y` are the titles of the axes.
    """
    base = alt.Chart(alt.NamedData(ROWS))
    across = alt.X("x:Q", title=x, scale=_wide(), axis=_plain())
    up = alt.Y("y:Q", title=y, scale=_wide(), axis=_plain(FEW_TICKS))
    front = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", color=GREY, strokeDash=[4, 3])
        .encode(x=across, y=up)
    )
    points = base.mark_point(filled=True, size=80).encode(
        x=across,
        y=up,
        color=_by_name("strategy", styles, None)["color"],
        shape=_symbol("strategy", styles, None),
        opacity=alt.condition("datum.front", alt.value(1), alt.value(0.55)),
        tooltip=[
            alt.Tooltip("strategy:N"),
            alt.Tooltip("x:Q", title=x, format=",.4~r"),
            alt.Tooltip("y:Q", title=y, format=",.4~r"),
        ],
    )
    names = (
        base.transform_filter("datum.front")
        .mark_text(align="left", dx=8, dy=-8, fontSize=11)
        .encode(x=across, y=up, text="strategy:N")
    )
    zoom = alt.selection_interval(bind="scales", name="zoom")
    return _spec((front + points.add_params(zoom) + names).properties(height=340))
