"""Simultaneous comparison of several settings: intervals and verdicts with a common error rate for all of them.

A comparison of ten settings with a reference finds a false difference more often than a comparison of one, and
the observed mean of the winner is biased upwards. Two corrections are made here.

* The critical value is that of the maximum of several t statistics (one-sided; C. W. Dunnett, "A multiple
  comparison procedure for comparing several treatments with a control", 1955).
* A few seeds estimate a variance badly, so the variances of the settings are combined, with more weight on
  the pooled variance where they are similar (`moderated_spreads`).

`benchmarks/verdicts.py` measures error rates, coverage and power with known truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ltray.results.intervals import Interval
from ltray.results.moderated_spreads import moderated

ERROR = 0.05
"""Share of searches in which a verdict of one kind (such as "better") may be wrong, over all settings together."""
SHARED = 0.5
"""Correlation of two differences from one reference if all spreads are equal."""
CAUTIOUS = 0.4
"""The same if settings spread 1.2 times as much as the reference: a lower correlation gives larger critical values."""
NODES, QUANTILES = 41, 400


@dataclass(frozen=True)
class Difference:
    """Difference of a setting from the reference.

    Attributes:
        interval: The mean difference; the interval covers the true difference in 95 % of searches,
            also for a setting that was chosen because it had the best or worst values.
        bounds: The same mean. The true difference of any setting is below its low end in at most
            5 % of searches, and above its high end in at most 5 %. Never wider than `interval`.
    """

    interval: Interval
    bounds: Interval

    @property
    def verdict(self) -> str:
        """Better, worse, or neither, by the bounds."""
        return self.bounds.verdict()


def mean_intervals(values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """Return each setting's mean with an interval that covers the true mean in 95 % of searches.

    This also holds for a setting that is chosen by these values, such as the highest one.

    Args:
        values: One per round, by setting; settings may have different numbers of rounds.
    """
    known, variances, counts = _spreads_of(values)
    return _intervals(values, dict(zip(known, chosen_margins(variances, counts, 0.0)[0].tolist(), strict=True)))


def differences(values: Mapping[str, Sequence[float]], error: float = ERROR) -> dict[str, Difference]:
    """Return the difference of each setting from a common reference.

    Args:
        values: Paired differences from the reference, one per round, by setting.
        error: Largest share of searches in which a bound may be wrong, of each side.
    """
    known, variances, counts = _spreads_of(values)
    chosen = chosen_margins(variances, counts, CAUTIOUS)[0].tolist()
    bound = difference_margins(variances, counts, error)[0].tolist()
    intervals = _intervals(values, dict(zip(known, chosen, strict=True)))
    bounds = _intervals(values, dict(zip(known, bound, strict=True)))
    return {key: Difference(intervals[key], bounds[key]) for key in values}


def chosen_margins(variances: np.ndarray, counts: np.ndarray, correlation: float) -> np.ndarray:
    """Return the half widths of intervals that are valid for a setting that was chosen by its mean.

    The larger of two critical values is used: the one-sided value of the maximum over all settings, because the
    error of a chosen setting is to one side; and the two-sided value of one setting with only its own rounds.

    Args:
        variances: Variances of one round, searches × settings.
        counts: Rounds of each setting, at least two.
        correlation: Correlation of any two settings' means, in [0, 1).
    """
    return _margins(variances, counts, correlation, together=ERROR, alone=ERROR / 2)


def difference_margins(variances: np.ndarray, counts: np.ndarray, error: float = ERROR) -> np.ndarray:
    """Return the distance of the bounds of differences from their means.

    Args:
        variances: Variances of one round's difference, searches × settings.
        counts: Rounds of each setting, at least two.
        error: Largest share of searches in which any bound may be wrong, of each side.
    """
    return _margins(variances, counts, CAUTIOUS, together=error, alone=error)


def _margins(
    variances: np.ndarray, counts: np.ndarray, correlation: float, *, together: float, alone: float
) -> np.ndarray:
    """Return critical values times standard errors: the larger of the simultaneous and the single value."""
    value, freedom = moderated(variances, counts - 1, SHARED)
    kinds, place = np.unique(freedom, return_inverse=True)
    critical = np.array([critical_value(len(counts), float(one), correlation, together) for one in kinds])
    least = np.array([critical_value(1, float(one) - 1, 0.0, alone) for one in counts])
    return np.asarray(np.maximum(critical[place.reshape(freedom.shape)], least) * np.sqrt(value / counts))


def _intervals(values: Mapping[str, Sequence[float]], margins: Mapping[str, float]) -> dict[str, Interval]:
    """Return the mean of each setting's values with its margin on both sides, infinite if it has none."""
    found = {}
    for key, own in values.items():
        middle = mean(own)
        low, high = (middle - margins[key], middle + margins[key]) if key in margins else (-math.inf, math.inf)
        found[key] = Interval(middle, low, high, len(own))
    return found


def mean(values: Sequence[float]) -> float:
    """Return the mean, NaN without values; the sum is exact, so that the order of rounds has no effect."""
    return math.fsum(values) / len(values) if values else math.nan


def _spreads_of(values: Mapping[str, Sequence[float]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the settings with two rounds or more, their variances as one search's, and their numbers of rounds."""
    known = [key for key, own in values.items() if len(own) > 1]
    means = {key: mean(values[key]) for key in known}
    variances = [math.fsum((v - means[key]) ** 2 for v in values[key]) / (len(values[key]) - 1) for key in known]
    return known, np.array([variances]), np.array([len(values[key]) for key in known], dtype=float)


@cache
def critical_value(count: int, freedom: float, correlation: float, error: float) -> float:
    """Return the value that the largest of some t statistics exceeds with probability `error`.

    Args:
        count: Number of t statistics, all with one estimate of the spread.
        freedom: Its degrees of freedom.
        correlation: Correlation of any two of their numerators, in [0, 1).
        error: Probability, in (0, 0.5).
    """
    from scipy.optimize import brentq  # imported here, because it takes longer than all other imports
    from scipy.stats import t as student

    alone = float(student.ppf(1 - error, freedom))
    if count == 1:
        return alone
    most = float(student.ppf(1 - error / count, freedom))  # Bonferroni's, an upper bound
    return float(brentq(lambda t: _exceeded(t, count, freedom, correlation) - error, 0.9 * alone, 1.1 * most))


def _exceeded(value: float, count: int, freedom: float, correlation: float) -> float:
    """Return the probability that the largest of `count` t statistics exceeds a value."""
    from scipy.special import ndtr

    spreads, shares = _spreads(freedom)
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    shared = math.sqrt(correlation) * nodes
    below = ndtr((value * spreads[:, None] - shared) / math.sqrt(1 - correlation)) ** count
    return float(shares @ ((1 - below) @ (weights / weights.sum())))


@cache
def _spreads(freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles of the ratio of estimated and true spread, dense at small ratios, and their shares."""
    from scipy.stats import chi2

    place = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.sqrt(chi2.ppf(place**4, freedom) / freedom), 4 * place**3 / QUANTILES
