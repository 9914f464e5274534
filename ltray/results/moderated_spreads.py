"""Variances of several settings, each known from a handful of runs: what they say together about each one.

Where settings spread alike, their pooled variance is the best estimate for each; where they do not,
only a setting's own is right, and five runs measure it badly. Empirical Bayes decides between the two
by how much the own variances scatter: beyond what chance gives, the common value counts for fewer
degrees of freedom. After G. K. Smyth, "Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments", 2004 (section 6.2).

With two to twenty settings, instead of thousands of genes, the scatter itself is uncertain. Hence three
cautions: it is taken at an upper confidence limit; no variance falls below `LEAST` of the pooled one; a
setting that spreads far more than the others keeps its own variance, as in B. Phipson et al., "Robust
hyperparameter estimation protects against hypervariable genes and improves power to detect differential
expression", 2016. `benchmarks/verdicts.py` shows what they achieve.
"""

import numpy as np

LEAST = 0.85
"""Least variance, as a share of the pooled one."""
DOUBT = 0.35
"""Probability that settings scatter more than is assumed."""
OUTLYING = 0.85
"""Quantile of the ratio of own and pooled variance above which a setting keeps its own."""
NEGLIGIBLE = 1e-5
"""Least share of the pooled variance in the scatter of logarithms: equal runs have a variance of 0."""
STEP = 1.05
"""Ratio of neighbouring degrees of freedom: rounded down, they share critical values."""


def moderated(own: np.ndarray, freedom: np.ndarray, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Return each setting's variance as all of them together suggest it, and its degrees of freedom.

    The order of settings has no effect, not even on the last digit.

    Args:
        own: Variances of the settings' own runs, searches × settings.
        freedom: Their degrees of freedom, at least 1, by setting.
        shared: Correlation of any two settings' runs, in [0, 1): the pooled variance of correlated runs
            has fewer degrees of freedom than their number.
    """
    count = len(freedom)
    most = freedom.sum() / (1 + (count - 1) * shared**2)
    if count < 2:
        return own, np.full(own.shape, most)
    from scipy.special import fdtri  # here: scipy takes longer than all else that commands import

    pooled = _sum(own * freedom) / freedom.sum()
    share = np.divide(own, pooled, out=np.ones_like(own), where=pooled > 0)
    common = _common_freedom(share, freedom)
    trust = 1 / (1 + freedom / common)
    value = np.maximum(trust + (1 - trust) * share, LEAST)
    value = np.where(share > fdtri(freedom, most, OUTLYING), share, value)
    steps = np.floor(np.log(np.minimum(common + freedom, 2 * most)) / np.log(STEP))
    return value * pooled, np.minimum(STEP**steps, most)


def _sum(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.sort(values, axis=-1).sum(axis=-1, keepdims=True))


def _common_freedom(share: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom that the pooled variance counts for: inf where settings spread alike."""
    from scipy.special import chdtri, digamma, polygamma

    count, half = len(freedom), freedom / 2
    logs = np.log(np.maximum(share, NEGLIGIBLE)) - digamma(half) + np.log(half)
    scatter = _sum((logs - _sum(logs) / count) ** 2) / (count - 1)
    chance = _sum(polygamma(1, half)) / count
    kurtosis = _sum(polygamma(3, half)) / count / chance**2  # of one logarithm, in excess of a normal one's
    known = 2 * (count - 1) / (2 + kurtosis * (count - 1) / count)  # degrees of freedom of the scatter
    excess = scatter * known / chdtri(known, 1 - DOUBT) - chance
    common = np.full(excess.shape, np.inf)
    common[excess > 0] = 2 * _inverse_trigamma(excess[excess > 0])
    return common


def _inverse_trigamma(value: np.ndarray) -> np.ndarray:
    """Return where the trigamma function has values above 0, by Newton's method on its reciprocal."""
    from scipy.special import polygamma

    place = 0.5 + 1 / value
    for _ in range(8):  # the reciprocal is nearly linear: it converges from everywhere
        slope = polygamma(1, place)
        place = place + slope * (1 - slope / value) / polygamma(2, place)
    return np.asarray(place)
