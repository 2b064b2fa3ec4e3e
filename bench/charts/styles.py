"""Colour, symbol and dash of each name in a chart, so that colour is never the only mark.

The hues are those of Okabe and Ito, which colour-blind readers distinguish, without yellow. On white they are darkened
and on black lightened until their contrast to the background is 3 or more (WCAG 2.1, 1.4.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from math import lcm
from typing import Any

ON_WHITE = ("#444444", "#B97A00", "#2A8BC0", "#00805C", "#0072B2", "#C85400", "#B05A8A")
ON_BLACK = ("#BBBBBB", "#E69F00", "#56B4E9", "#19B889", "#4E9FDB", "#F07E36", "#D98DB8")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right")
DASHES = ((1, 0), (7, 2), (5, 2, 1, 2), (2, 2), (9, 2, 1, 2, 1, 2))
ROWS = "rows"
"""The name of the data in every chart."""
GREY = "#8A8A8A"
"""What is tied, void or without a name of its own."""


@dataclass(frozen=True, slots=True)
class Style:
    """The marks of one name."""

    on_white: str
    on_black: str
    symbol: str
    dash: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """The marks by name."""
        return {"light": self.on_white, "dark": self.on_black, "symbol": self.symbol, "dash": list(self.dash)}


DISTINCT = lcm(len(ON_WHITE), len(SYMBOLS), len(DASHES))
"""The number of names that have a combination of their own."""


def styles(names: Iterable[str]) -> Mapping[str, Style]:
    """A style for each name, by its place: equal names in an equal order have equal styles in every chart."""
    places = zip(dict.fromkeys(names), count(), strict=False)
    return {
        name: Style(
            ON_WHITE[i % len(ON_WHITE)],
            ON_BLACK[i % len(ON_BLACK)],
            SYMBOLS[i % len(SYMBOLS)],
            DASHES[i % len(DASHES)],
        )
        for name, i in places
    }


def names_in(spec: Any, rows: Iterable[Mapping[str, Any]]) -> Any:
    """The specification with the names in `rows` alone in its scales, so that legends have no others."""
    return _kept(spec, {row[key] for row in rows for key in ("strategy", "cheapest") if key in row})


def _kept(part: Any, names: set[str]) -> Any:
    if isinstance(part, list):
        return [_kept(one, names) for one in part]
    if not isinstance(part, dict):
        return part
    found = {key: _kept(value, names) for key, value in part.items()}
    scale = found.get("scale")
    if isinstance(scale, dict) and isinstance(scale.get("domain"), list) and isinstance(scale.get("range"), list):
        both = [pair for pair in zip(scale["domain"], scale["range"], strict=True) if pair[0] in names]
        found["scale"] = {**scale, "domain": [name for name, _ in both], "range": [mark for _, mark in both]}
    return found
