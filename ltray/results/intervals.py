"""Means over repeated runs, with confidence intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Confidence of the intervals that tables and reports show."""
BETTER, SAME, WORSE = "better", "no difference found", "worse"
UNJUDGED = "too few runs to judge"
MEANING = {
    BETTER: "accuracy on test images is significantly higher than that of the papers' setting",
    WORSE: "accuracy on test images is significantly lower than that of the papers' setting",
    SAME: "the difference is not significant; more seeds may show a difference, so the settings may not be equal",
    UNJUDGED: "fewer than two runs have the same seeds as runs of the papers' setting",
}
"""Meaning of each verdict on a finalist, for readers without knowledge of statistics."""


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval.

    Attributes:
        mean: The mean; NaN without values.
        low: Lower end; −inf for fewer than two values.
        high: Upper end; inf for fewer than two values.
        count: Number of values.
    """

    mean: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the width."""
        return (self.high - self.low) / 2

    def verdict(self) -> str:
        """Return the verdict of an interval of differences: better, worse, or neither."""
        return BETTER if self.low > 0 else WORSE if self.high < 0 else SAME


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean of independent values with its Student-t interval.

    Args:
        values: One per run; NaN is not allowed.
        level: Confidence of the interval.
    """
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    from scipy.stats import (
        t as student,
    )  # imported here, because the import of scipy takes longer than all other imports

    half = float(student.ppf((1 + level) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half, count)


def run_interval(rounds: Sequence[Sequence[float]]) -> Interval:
    """Return the mean of crossed runs with an interval from the spread of single runs.

    With one run per round, the result is `mean_interval`. With several, a round is a data seed with
    its training seeds, and a single run varies with both: its variance is that of the rounds' means
    plus the part of the variance within rounds that is removed by averaging.

    Args:
        rounds: The runs of each round, at least one.
    """
    if all(len(runs) == 1 for runs in rounds):
        return mean_interval([runs[0] for runs in rounds])
    means = [math.fsum(runs) / len(runs) for runs in rounds]
    mean, count = float(np.mean(means)), len(means)
    repeated = [runs for runs in rounds if len(runs) > 1]
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    from scipy.stats import t as student

    between = float(np.var(means, ddof=1))
    within = float(np.mean([np.var(runs, ddof=1) * (1 - 1 / len(runs)) for runs in repeated]))
    known = between**2 / (count - 1) + within**2 / sum(len(runs) - 1 for runs in repeated)
    freedom = (between + within) ** 2 / known if known else count - 1  # Satterthwaite's
    half = float(student.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt((between + within) / count)
    return Interval(mean, mean - half, mean + half, count)
