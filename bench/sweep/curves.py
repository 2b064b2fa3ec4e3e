"""A sweep's figures as curves: one per strategy, over slot counts, with the paired ratios of any two of them.

Curves are read from the published form of runs, so that points from a file and new points are treated equally.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

from slotlookup.structure import Family
from slotlookup.vocabulary import Count, Operation

from ..results.statistics import Interval, noise, ratio_interval
from .crossover import Crossing, Standing, crossings, standing


@dataclass(frozen=True, slots=True)
class Figure:
    """One strategy at one slot count: nanoseconds with one sample per round, or an exact count without samples."""

    interval: Interval
    samples: tuple[float, ...] = ()

    @property
    def value(self) -> float:
        """The median, or the count."""
        return self.interval.median


@dataclass(frozen=True, slots=True)
class Panel:
    """One role in one family by one metric (a name of Count or TimingMode).

    `figures` has one element per slot count, None if the row is void or unknown; `noise` is the share by which
    identical work differed at each slot count, 0 without times or without a control. `floor` is the cost of reading
    the right slots without finding them at each slot count, None where it was not measured; it has no rank.
    """

    family: str
    role: Operation
    metric: str
    slots: tuple[int, ...]
    figures: Mapping[str, tuple[Figure | None, ...]]
    noise: tuple[float, ...]
    origin: str
    floor: tuple[float | None, ...]

    @property
    def exact(self) -> bool:
        """Whether the figures are counts, which have no noise."""
        return self.metric in list(Count)

    def ratio(self, point: int, a: str, b: str) -> Interval | None:
        """The cost of `a` divided by that of `b` at one slot count, at 95 %, widened by the control.

        None if the two cannot be compared there.
        """
        one, other = self.figures[a][point], self.figures[b][point]
        if one is None or other is None:
            return None
        if self.exact:
            exact = one.value / other.value if other.value else math.inf if one.value else 1.0
            return Interval(exact, exact, exact)
        if len(one.samples) != len(other.samples) or min(*one.samples, *other.samples) <= 0:
            return None  # cold timings are net of the walk, and may be below zero on a noisy machine
        found = ratio_interval(one.samples, other.samples)
        if found.low is None or found.high is None:
            return found
        apart = 1 + self.noise[point]
        return Interval(found.median, found.low / apart, found.high * apart)

    def standings(self) -> list[Standing]:
        """The cheapest strategies at each slot count with figures."""
        found: list[Standing] = []
        for point, slots in enumerate(self.slots):
            values = {name: figure.value for name, row in self.figures.items() if (figure := row[point]) is not None}
            if values:
                found.append(standing(slots, values, partial(self.ratio, point)))
        return found

    def crossovers(self) -> list[Crossing]:
        """Every change of rank between two strategies, pair by pair."""
        found: list[Crossing] = []
        for a, b in combinations(self.figures, 2):
            found += crossings(a, b, self.slots, [self.ratio(point, a, b) for point in range(len(self.slots))])
        return found


def panels(points: Mapping[int, Mapping[str, Any]], metric: str) -> Iterator[Panel]:
    """The panels by `metric`, native ones first, of runs in their published form by slot count.

    Those without any figure are left out. Raises KeyError, TypeError or ValueError if a run is not in that form.
    """
    slots = tuple(sorted(points))
    runs = [points[n] for n in slots]
    for family in (Family.NATIVE, Family.PYTHON):
        for role in Operation:
            rows = (row for run in runs for row in run["roles"][role] if row["family"] == family)
            names = dict.fromkeys(row["name"] for row in rows)
            figures = {name: tuple(_figure(run, name, role, metric) for run in runs) for name in names}
            if not any(figure for row in figures.values() for figure in row):
                continue
            noises = tuple(noise(_control(run, role, metric)) if family is Family.NATIVE else 0.0 for run in runs)
            origins = dict.fromkeys(str(run["workload"]["origin"][role]) for run in runs)
            floors = tuple(_floor(run, role, metric) if family is Family.NATIVE else None for run in runs)
            yield Panel(str(family), role, metric, slots, figures, noises, "; ".join(origins), floors)


def _figure(run: Mapping[str, Any], name: str, role: str, metric: str) -> Figure | None:
    for row in run["roles"][role]:
        if row["name"] == name and row["figures"] is not None:
            return _read_figure(row["figures"], metric)
    return None


def _read_figure(figures: Mapping[str, Any], metric: str) -> Figure | None:
    if metric in list(Count):
        count = figures[metric]
        return None if count is None else Figure(Interval(float(count), float(count), float(count)))
    timing = figures["ns"][metric]
    return None if timing is None else Figure(_interval(timing), tuple(float(sample) for sample in timing["samples"]))


def _interval(saved: Mapping[str, Any]) -> Interval:
    low, high = saved["low"], saved["high"]
    return Interval(float(saved["median"]), None if low is None else float(low), None if high is None else float(high))


def _floor(run: Mapping[str, Any], role: str, metric: str) -> float | None:
    floor = run["floor_ns"].get(role, {}).get(metric)
    return None if floor is None else _interval(floor).median


def _control(run: Mapping[str, Any], role: str, metric: str) -> Interval | None:
    control = run["control"].get(role, {}).get(metric)
    return None if control is None else _interval(control)
