"""The page: one HTML file with the text, the data and the code of the charts, which loads nothing.

The data are JSON, compressed, since the samples of a sweep are the larger part of the file. The charts are drawn by
Vega-Lite, whose JavaScript comes from the installed package vl-convert.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from slotlookup import __version__
from slotlookup.vocabulary import RANKED

from ..charts.picture import import_charts
from ..charts.styles import ON_BLACK, ON_WHITE
from . import text
from .figures import Chart, Figures, make_figures
from .sources import Sources

SECTIONS = {
    "crossovers": "Cost by number of slots",
    "map": "The cheapest by slots and workload",
    "distributions": "Every sample",
    "setup": "Set-up and memory",
    "kernel": "The running kernel",
    "history": "Over commits",
}
"""The sections with charts, in the order of the page."""


def make_page(sources: Sources, title: str = "Memory slot lookup") -> str:
    """The HTML of a report. Raises UsageError if the libraries of the charts are not installed."""
    import_charts("report")
    from jinja2 import Environment, StrictUndefined

    figures = make_figures(sources)
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    css = environment.from_string(_asset("page.css")).render(light=ON_WHITE, dark=ON_BLACK)
    sections = [_section(key, figures.charts) for key in SECTIONS]
    shown = [section for section in sections if section["charts"]]
    claims = [text.settled(one) for one in sources.claims]
    return environment.from_string(_asset("page.html")).render(
        version=__version__,
        title=title,
        subtitle=_subtitle(sources),
        css=css,
        sections=_contents(shown, bool(claims)),
        remarks=sources.remarks,
        answers=text.answers(sources, figures),
        metrics=figures.metrics,
        styles=figures.styles,
        chart_sections=shown,
        claims=claims,
        row_lists=list(text.row_lists(sources)),
        documents=list(sources.documents),
        machines=text.machines(sources),
        commands=text.repeating(sources),
        packed=_packed(sources, figures),
        library=_library(),
        script=_asset("page.js"),
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _section(key: str, charts: Sequence[Chart]) -> dict[str, Any]:
    return {"id": key, "title": SECTIONS[key], "charts": [chart for chart in charts if chart.section == key]}


def _contents(shown: list[dict[str, Any]], claims: bool) -> list[tuple[str, str]]:
    found = [("answer", "The answer"), *((section["id"], section["title"]) for section in shown)]
    if claims:
        found.append(("claims", "The claims of 2008"))
    return [*found, ("rows", "Every row"), ("machine", "Machine and commands")]


def _subtitle(sources: Sources) -> str:
    dates = sorted(machine["date"][:10] for machine in sources.machines.values())
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    names = [*sources.documents, *(["the history"] if sources.history else [])]
    return f"{', '.join(names)}. Measured {when}."


def _packed(sources: Sources, figures: Figures) -> str:
    colours = {colour: f"var(--c{i}, {colour})" for i, colour in enumerate(ON_WHITE)}
    data = {
        "charts": [chart.as_json() for chart in figures.charts],
        "styles": {name: style.as_json() for name, style in figures.styles.items()},
        "metrics": figures.metrics,
        "shown": figures.shown,
        "ranked": RANKED,
        "colours": colours,
        "documents": sources.documents,
    }
    # mtime=0: the same results give the same file
    raw = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(raw, 9, mtime=0)).decode()


@cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that defines `vegaEmbed`."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Within a script element, only its end has a meaning.
    return bundle.replace("</script", "<\\/script")
