"""Several settings judged at once: intervals and verdicts that hold over all of them together.

Whoever compares ten settings with one finds a lucky one more often than whoever compares one, and
the winner of ten looks better than it is. Two things allow for that here.

* The critical value is that of the largest of several t statistics (Dunnett's, one-sided).
* A handful of seeds measures a spread badly, so a setting's spread is taken as its own or the
  pooled one of all, whichever is larger. The pooled one has more degrees of freedom, which is what
  a lead is found with; the own one protects where spreads differ.

`benchmarks/verdicts.py` measures error rates, coverage and power with known truth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ltray.results.intervals import Interval

ERROR = 0.05
"""Share of searches in which a verdict of one kind ("better", say) may be wrong, over all settings together."""
SHARED = 0.5
"""Correlation of two differences from one reference where all spreads are equal."""
CAUTIOUS = 1 / 3
"""The same where settings vary √2 times as much as the reference: a lower one makes critical values larger."""
NODES, QUANTILES = 41, 400


@dataclass(frozen=True)
class Difference:
    """How far a setting lies from the one that it is compared with.

    Attributes:
        interval: The mean difference; the interval covers the true one in 95 % of searches,
            also for a setting that was chosen because it looked best or worst.
        bounds: The same mean. The true difference of some setting lies below its low end in at
            most 5 % of searches, and above its high end in at most 5 %. Never wider than `interval`.
    """

    interval: Interval
    bounds: Interval

    @property
    def verdict(self) -> str:
        """Better, worse, or neither, as the bounds have it."""
        return self.bounds.verdict()


@dataclass(frozen=True)
class _Mean:
    """A mean with its standard error.

    Attributes:
        mean: Of the values.
        error: Standard error, from the setting's own spread or the pooled one.
        count: Number of values.
        freedom: Degrees of freedom of the pooled spread.
    """

    mean: float
    error: float
    count: int
    freedom: float

    def within(self, critical: float) -> Interval:
        """Return the interval of `critical` standard errors to either side."""
        return Interval(self.mean, self.mean - critical * self.error, self.mean + critical * self.error, self.count)


def mean_intervals(values: Mapping[str, Sequence[float]]) -> dict[str, Interval]:
    """Return each setting's mean with an interval that covers the true one in 95 % of searches.

    That holds for whichever setting is chosen by these values, the highest for instance.

    Args:
        values: One a round, by setting; settings may have different numbers of rounds.
    """
    means = _means(values)
    return {key: _chosen(means[key], _judged(means), 0.0) for key in values}


def differences(values: Mapping[str, Sequence[float]], error: float = ERROR) -> dict[str, Difference]:
    """Return how far each setting lies from a common reference.

    Args:
        values: Paired differences from the reference, one a round, by setting.
        error: Largest share of searches in which a bound may be wrong, of each side.
    """
    means = _means(values)
    together = _judged(means)
    found = {}
    for key, one in means.items():
        if one.count < 2:
            unknown = Interval(one.mean, -math.inf, math.inf, one.count)
            found[key] = Difference(unknown, unknown)
            continue
        bounds = max(
            critical_value(together, one.freedom, CAUTIOUS, error),
            critical_value(1, one.count - 1, 0.0, error),
        )
        found[key] = Difference(_chosen(one, together, CAUTIOUS), one.within(bounds))
    return found


def _judged(means: Mapping[str, _Mean]) -> int:
    return sum(one.count > 1 for one in means.values())


def _chosen(one: _Mean, together: int, correlation: float) -> Interval:
    """Return the interval for a setting that was chosen out of `together`.

    Chosen, it errs to one side: the one-sided value of the largest of all. Alone, it errs to
    either side, with no more than its own rounds to know the spread from.
    """
    if one.count < 2:
        return Interval(one.mean, -math.inf, math.inf, one.count)
    return one.within(
        max(
            critical_value(together, one.freedom, correlation, ERROR),
            critical_value(1, one.count - 1, 0.0, ERROR / 2),
        )
    )


def _means(values: Mapping[str, Sequence[float]]) -> dict[str, _Mean]:
    """Return means and standard errors; sums are exact, so that no order of rounds or settings matters."""
    means = {key: math.fsum(own) / len(own) if own else math.nan for key, own in values.items()}
    squares = {key: math.fsum((v - means[key]) ** 2 for v in own) for key, own in values.items() if len(own) > 1}
    freedom = sum(len(values[key]) - 1 for key in squares)
    pooled = math.fsum(squares.values()) / freedom if freedom else math.nan
    # spreads of differences from one reference are correlated: together they say less than their number
    worth = freedom / (1 + (len(squares) - 1) * SHARED**2)
    found = {}
    for key, own in values.items():
        spread = max(squares[key] / (len(own) - 1), pooled) if key in squares else math.nan
        error = math.sqrt(spread / len(own)) if key in squares else math.nan
        found[key] = _Mean(means[key], error, len(own), worth)
    return found


@cache
def critical_value(count: int, freedom: float, correlation: float, error: float) -> float:
    """Return the value that the largest of some t statistics exceeds with probability `error`.

    Args:
        count: How many t statistics, all with one estimate of the spread.
        freedom: Its degrees of freedom.
        correlation: Of any two of their numerators, in [0, 1).
        error: Probability, in (0, 0.5).
    """
    from scipy.optimize import brentq  # here: scipy takes longer than all else that commands import
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
    """Return quantiles of the estimated over the true spread, closest where it is small, and their shares."""
    from scipy.stats import chi2

    place = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.sqrt(chi2.ppf(place**4, freedom) / freedom), 4 * place**3 / QUANTILES
