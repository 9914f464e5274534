"""Means with intervals: known values, coverage, verdicts."""

import math

import numpy as np
import pytest

from ltray.results.intervals import BETTER, SAME, WORSE, Interval, mean_interval


def test_interval_has_the_textbook_width():
    found = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # t(0.975, 4) = 2.776445, s = sqrt(2.5), n = 5.
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert (found.mean, found.count) == (3.0, 5)
    assert found.low == pytest.approx(3.0 - half, abs=1e-5) and found.high == pytest.approx(3.0 + half, abs=1e-5)


def test_interval_has_its_nominal_coverage():
    draws = np.random.default_rng(0).normal(0.7, 0.01, size=(4000, 4))
    covered = np.mean([(i := mean_interval(list(row))).low <= 0.7 <= i.high for row in draws])
    assert 0.94 < covered < 0.96


def test_one_value_gives_an_infinite_interval():
    found = mean_interval([0.5])
    assert found.mean == 0.5 and found.low == -math.inf and found.high == math.inf
    assert found.verdict() == SAME
    assert math.isnan(mean_interval([]).mean)


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.001, 0.02, BETTER), (-0.001, 0.02, SAME), (0.0, 0.02, SAME), (-0.02, -0.001, WORSE)]
)
def test_verdict_needs_an_interval_without_zero(low, high, verdict):
    assert Interval((low + high) / 2, low, high, 5).verdict() == verdict
