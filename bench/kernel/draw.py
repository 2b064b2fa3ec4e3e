"""The kernel's marginal costs and the tool's in one picture: one chart per pattern, slots against nanoseconds."""

from __future__ import annotations

from typing import Any

from slotlookup.writing import Writer

from ..charts import specs
from ..charts.picture import Drawing, picture
from ..charts.styles import styles
from ..results.statistics import median_interval
from .figures import HOWS, Lookups, Measurement

LABELS = {"kernel": "Linux", "hot": "{strategy}, hot", "called": "{strategy}, as the kernel calls"}
UNIT = "ns in addition to one slot"


def drawing(measured: Measurement, kind: str) -> Writer:
    """Draws into a file of `kind`, svg or png."""
    named = styles(labels(measured).values())
    spec = specs.curves(named, UNIT, others=True)
    drawings = [Drawing(title, (), spec, _rows(measured, points)) for title, points in measured.lookups().items()]
    machine = measured.machine
    title = "Additional cost of N slots over one"
    subtitle = [
        "ns; the band is the 95 % interval of the median. What is at or below zero is not on the logarithmic axis",
        f"{machine['cpu']}, Linux {machine['kernel']}, {machine['compiler']}",
    ]
    return lambda file: file.write(picture(drawings, title, subtitle, kind, columns=2))


def labels(measured: Measurement) -> dict[str, str]:
    """The name of each line, by the way of calling."""
    return {how: LABELS[how].format(strategy=measured.strategy) for how in ("kernel", *HOWS)}


def _rows(measured: Measurement, points: list[tuple[int, Lookups]]) -> list[dict[str, Any]]:
    """The rows of one chart that a logarithmic axis can show, as `specs.curves` takes them."""
    found: list[dict[str, Any]] = []
    for slots, lookups in points:
        if slots > 1:
            for how, label in labels(measured).items():
                interval = median_interval(lookups.series(how).marginal())
                known = interval.low is not None and interval.low > 0
                ends = {"low": interval.low if known else None, "high": interval.high if known else None}
                found.append({"strategy": label, "other": "", "slots": slots, "value": interval.median, **ends})
    return [row for row in found if row["value"] > 0]
