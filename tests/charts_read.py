"""What a picture shows, read from its SVG: each symbol has its row in words, as for a screen reader."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

_ROW = re.compile(r"slots: (?P<slots>[\d,]+); (?P<unit>.+?): (?P<value>[\d,.]+); strategy: (?P<strategy>.+)")


def symbols(path: Path) -> dict[tuple[str, int], list[float]]:
    """The values of each strategy at each slot count, one for each chart with it, in the order of the charts."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for element in ElementTree.parse(path).iter():
        if element.attrib.get("aria-roledescription") != "point":
            continue
        if match := _ROW.fullmatch(element.attrib.get("aria-label", "")):
            place = match["strategy"], int(match["slots"].replace(",", ""))
            found[place].append(float(match["value"].replace(",", "")))
    return dict(found)


def words(path: Path) -> list[str]:
    """All texts."""
    return ["".join(element.itertext()) for element in ElementTree.parse(path).iter() if element.tag.endswith("text")]


def grey_lines(path: Path) -> int:
    """The number of thin grey lines."""
    lines = (element.attrib for element in ElementTree.parse(path).iter() if element.tag.endswith("path"))
    return sum(one.get("stroke") == "#8A8A8A" and one.get("stroke-width") == "0.8" for one in lines)
