"""Variances of several settings, each estimated from a few runs, combined by empirical Bayes.

If all settings have the same variance, the pooled variance is the best estimate for each of them; if they
do not, only the setting's own variance is correct, and five runs estimate it badly. Empirical Bayes weighs the two
by the scatter of the own variances: the more it exceeds the scatter expected by chance, the fewer degrees of
freedom the pooled variance has. After G. K. Smyth, "Linear models and empirical Bayes methods for assessing
differential expression in microarray experiments", 2004 (section 6.2).

With two to twenty settings, instead of thousands of genes, the scatter itself is uncertain. There are three
precautions: an upper confidence limit of the scatter is used; no variance is below `LEAST` of the pooled one; a
setting with a much larger variance than the others keeps its own variance, as in B. Phipson et al., "Robust
hyperparameter estimation protects against hypervariable genes and improves power to detect differential
expression", 2016. `benchmarks/verdicts.py` measures their effect.
"""

import numpy as np

LEAST = 0.85
"""Least variance, as a share of the pooled one."""
DOUBT = 0.35
"""Probability that the variances scatter more than is assumed."""
OUTLYING = 0.85
"""Quantile of the ratio of own and pooled variance above which a setting keeps its own."""
NEGLIGIBLE = 1e-5
"""Least share of the pooled variance in the scatter of logarithms: equal runs have a variance of 0."""
STEP = 1.05
"""Ratio of adjacent degrees of freedom: they are rounded down to powers of it, so that critical values are reused."""


def moderated(own: np.ndarray, freedom: np.ndarray, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the moderated variance of each setting and its degrees of freedom.

    The order of settings does not change any digit of the result.

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
    from scipy.special import fdtri  # imported here, because it takes longer than all other imports

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
    """Return the degrees of freedom of the pooled variance: inf if the variances do not differ significantly."""
    from scipy.special import chdtri, digamma, polygamma

    count, half = len(freedom), freedom / 2
    logs = np.log(np.maximum(share, NEGLIGIBLE)) - digamma(half) + np.log(half)
    scatter = _sum((logs - _sum(logs) / count) ** 2) / (count - 1)
    chance = _sum(polygamma(1, half)) / count
    kurtosis = _sum(polygamma(3, half)) / count / chance**2  # of one logarithm, above that of a normal distribution
    known = 2 * (count - 1) / (2 + kurtosis * (count - 1) / count)  # degrees of freedom of the scatter
    excess = scatter * known / chdtri(known, 1 - DOUBT) - chance
    common = np.full(excess.shape, np.inf)
    common[excess > 0] = 2 * _inverse_trigamma(excess[excess > 0])
    return common


def _inverse_trigamma(value: np.ndarray) -> np.ndarray:
    """Return the inverse of the trigamma function for values above 0, by Newton's method on its reciprocal."""
    from scipy.special import polygamma

    place = 0.5 + 1 / value
    for _ in range(8):  # the reciprocal is nearly linear: the method converges from every start
        slope = polygamma(1, place)
        place = place + slope * (1 - slope / value) / polygamma(2, place)
    return np.asarray(place)
