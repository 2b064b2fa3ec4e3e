"""Charts as a picture in a file: the specifications of a report, with their data and a title, one below another.

Equal charts give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotlookup.errors import UsageError
from slotlookup.writing import must_be_writable

from .styles import ROWS, names_in

if TYPE_CHECKING:
    from types import ModuleType

FORMATS = (".svg", ".png")
_WIDTHS = {1: 560, 2: 400}
"""The width in pixels of what a chart draws, without its legend and labels, by the number of columns."""
_SCALE = 2
"""Pixels of a PNG per pixel of the drawing."""
_CONFIG = {
    "background": "white",
    "font": "sans-serif",
    "axis": {"gridColor": "#E4E4E4", "labelFontSize": 10, "titleFontSize": 11},
    "legend": {"labelFontSize": 10},
    "title": {"anchor": "start", "fontSize": 12, "subtitleFontSize": 10, "subtitleColor": "#4D4D4D"},
    "view": {"stroke": "#B0B0B0"},
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart of a picture: its title, what the title's second line says, its specification and its rows."""

    title: str
    note: Sequence[str]
    spec: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]


def check_plot_path(path: Path) -> None:
    """Raise UsageError or InputFileError if drawing is not possible: another format, no library, not writable."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: end the name in .svg or .png")
    import_charts("--plot")
    must_be_writable(path)


def plot_kind(path: Path) -> str:
    """Svg or png, from the ending of a path that `check_plot_path` accepted."""
    return path.suffix.lower().removeprefix(".")


def import_charts(what: str) -> ModuleType:
    """The library that draws. Raises UsageError, with the remedy, if it or one that it needs is missing."""
    try:
        import altair  # noqa: F401
        import jinja2  # noqa: F401
        import vl_convert
    except ImportError as error:
        raise UsageError(f"{what} needs {error.name}; install it: pip install 'slotlookup[plot]'") from None
    found: ModuleType = vl_convert
    return found


def picture(drawings: Sequence[Drawing], title: str, subtitle: Sequence[str], kind: str, *, columns: int = 1) -> bytes:
    """The bytes of an SVG or PNG with the drawings in one or two columns, the title above them."""
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {"text": title, "subtitle": list(subtitle), "fontSize": 15, "subtitleFontSize": 11, "offset": 14},
        "concat": [_placed(drawing, i, _WIDTHS[columns]) for i, drawing in enumerate(drawings)],
        "columns": columns,
        "datasets": {f"{ROWS}-{i}": list(drawing.rows) for i, drawing in enumerate(drawings)},
        "spacing": 34,
        "padding": 12,
        "resolve": {"scale": {"color": "independent", "shape": "independent", "strokeDash": "independent"}},
        "config": _CONFIG,
    }
    library = import_charts("--plot")
    if kind == "svg":
        svg: str = library.vegalite_to_svg(spec)
        return svg.encode()
    png: bytes = library.vegalite_to_png(spec, scale=_SCALE)
    return png


def _placed(drawing: Drawing, i: int, width: int) -> dict[str, Any]:
    found = names_in(drawing.spec, drawing.rows)
    title = {"text": drawing.title, "subtitle": list(drawing.note)}
    return {**_without_zoom(found), "title": title, "data": {"name": f"{ROWS}-{i}"}, "width": width}


def _without_zoom(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The specification without what a reader could do with it, and without layers' names, which would be equal."""
    left_out = ("params", "name", "$schema")
    layers = [{k: value for k, value in layer.items() if k not in left_out} for layer in spec.get("layer", ())]
    rest = {k: value for k, value in spec.items() if k not in left_out}
    return {**rest, "layer": layers} if layers else rest
