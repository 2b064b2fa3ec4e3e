"""Intervals without assumptions about the noise: medians, and sign-test intervals from order statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and its two-sided sign-test interval; `low` and `high` are None if there are too few samples."""

    median: float
    low: float | None
    high: float | None

    def as_json(self) -> dict[str, float | None]:
        """`median`, `low`, `high`."""
        return {"median": self.median, "low": self.low, "high": self.high}

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """The interval under an increasing function."""
        return Interval(
            function(self.median),
            None if self.low is None else function(self.low),
            None if self.high is None else function(self.high),
        )


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones. `values` must not be empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def sign_test_rank(n: int, confidence: float = CONFIDENCE) -> int | None:
    """The rank r (from 1) so that [r-th smallest, r-th largest] of n samples covers the median with `confidence`.

    The interval misses when fewer than r samples fall on one side, which is binomial with p = 1/2. None if even the
    extremes do not reach the confidence (fewer than 6 samples at 95 %).
    """
    tail = 0.0
    rank = 0
    for below in range(n):
        tail += math.comb(n, below) / 2**n
        if 2 * tail > 1 - confidence:
            break
        rank = below + 1
    return rank or None


def median_interval(values: Sequence[float]) -> Interval:
    """The median of `values` with its sign-test interval at 95 %."""
    ordered = sorted(values)
    rank = sign_test_rank(len(ordered))
    if rank is None:
        return Interval(median(ordered), None, None)
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank])


def ratio_interval(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """The ratio of two series measured in pairs: the median of the log ratios, with its interval, as a ratio."""
    logs = [math.log(v / r) for v, r in zip(values, reference, strict=True)]
    return median_interval(logs).mapped(math.exp)


def noise(control: Interval | None) -> float:
    """The share by which identical work differed: the end of the control's interval that is farthest from 1.

    `control` is the ratio of the reference to itself. 0 without a control.
    """
    if control is None:
        return 0.0
    return max(max(end, 1 / end) - 1 for end in (control.low, control.median, control.high) if end is not None)
