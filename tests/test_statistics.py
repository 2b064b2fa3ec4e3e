"""Medians and sign-test intervals, against binomials calculated by hand and against samples of a known median."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotlookup.bench.results.statistics import median, median_interval, ratio_interval, sign_test_rank


@pytest.mark.parametrize(
    ("n", "rank"),
    [
        # Both tails of binomial(n, 1/2) below the rank must stay within 5 %.
        (5, None),  # 2/32 = 6.25 % for the extremes
        (6, 1),  # 2/64 = 3.1 %; with one more: 2 * 7/64 = 21.9 %
        (8, 1),  # 2/256 = 0.8 %; 2 * 9/256 = 7.0 %
        (9, 2),  # 2 * 10/512 = 3.9 %; 2 * 46/512 = 18 %
        (11, 2),  # 2 * 12/2048 = 1.2 %; 2 * 67/2048 = 6.5 %
        (12, 3),  # 2 * 79/4096 = 3.9 %
    ],
)
def test_rank_by_hand(n: int, rank: int | None) -> None:
    assert sign_test_rank(n) == rank


def test_interval_takes_order_statistics() -> None:
    interval = median_interval([9.0, 1.0, 5.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0])
    assert (interval.low, interval.median, interval.high) == (2.0, 5.0, 8.0)


def test_too_few_samples_give_no_interval() -> None:
    interval = median_interval([3.0, 1.0, 2.0])
    assert (interval.low, interval.median, interval.high) == (None, 2.0, None)


def test_the_interval_covers_a_known_median_as_often_as_it_claims() -> None:
    rng = random.Random(7)
    trials = 2000
    covered = 0
    for _ in range(trials):
        # Skewed on purpose: the sign test asks nothing of the distribution.
        interval = median_interval([rng.lognormvariate(0.0, 1.0) for _ in range(15)])
        assert interval.low is not None and interval.high is not None
        covered += interval.low <= 1.0 <= interval.high
    # At 15 samples the exact coverage is 1 - 2 * P(X <= 3) = 96.5 %; three standard errors of the trials are 1.2 %.
    assert abs(covered / trials - 0.965) < 0.013


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40))
def test_median_halves_the_samples(values: list[float]) -> None:
    middle = median(values)
    assert sum(v < middle for v in values) <= len(values) / 2
    assert sum(v > middle for v in values) <= len(values) / 2


@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=40), st.floats(0.1, 10.0))
def test_a_constant_factor_is_found_exactly_whatever_the_drift(drift: list[float], factor: float) -> None:
    reference = [100.0 * d for d in drift]
    ratio = ratio_interval([r * factor for r in reference], reference)
    assert ratio.low is not None and ratio.high is not None
    for figure in (ratio.low, ratio.median, ratio.high):
        assert math.isclose(figure, factor, rel_tol=1e-9)
