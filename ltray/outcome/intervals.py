"""Means over repeated runs, with the interval that says how far they can be believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BETTER, SAME, WORSE = "better", "no difference found", "worse"


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its confidence interval.

    Attributes:
        mean: Of the values; NaN of none.
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
        """Return in words what an interval of differences says: better, worse, or neither."""
        return BETTER if self.low > 0 else WORSE if self.high < 0 else SAME


def mean_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of independent values with its Student-t interval.

    Args:
        values: One a run; NaN is not allowed.
        level: Confidence of the interval.
    """
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    if count < 2:
        return Interval(mean, -math.inf, math.inf, count)
    from scipy.stats import t as student  # here: it takes longer than all else that commands import

    half = float(student.ppf((1 + level) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half, count)
