"""The standard error of a cross-validated value: the noise of its images and of the folds' models.

There is no unbiased estimator of the variance of a cross-validation (Bengio and Grandvalet, JMLR 2004). The estimate
here is a sum of two parts. The first is the variance over images, for fixed models. The second is the variance of the
folds' values beyond that of their images, times the factor of Nadeau and Bengio, "Inference for the Generalization
Error", 2003, by which the models of different folds vary less than models of independent training sets:
s² (1/K + n_test/n_train) instead of s²/K, with n_test/n_train = 1/(K − 1).

The values of folds are the jackknife's pseudo-values of the pooled value (Tukey 1958), because many metrics have no
value on a single fold, which may have no image of a class. For accuracy and folds of equal size they are the folds'
accuracies.
"""

import math
from collections.abc import Sequence


def pseudo_values(whole: float, without: Sequence[float]) -> list[float]:
    """Return the value of each fold: K θ − (K − 1) θ without the fold.

    Args:
        whole: The pooled value θ of all folds.
        without: The pooled value of all folds but one, for each fold.
    """
    folds = len(without)
    return [folds * whole - (folds - 1) * other for other in without]


def inflation(folds: int) -> float:
    """Return 1 + K/(K − 1): the factor of s²/K in the corrected variance of a mean over folds."""
    return 1 + folds / (folds - 1)


def error_with_folds(images: float, values: Sequence[float]) -> float:
    """Return the standard error of a pooled value.

    Args:
        images: Its standard error over images, for fixed models.
        values: The values of the folds, at least two.
    """
    beyond = max(_variance(values) / len(values) - images**2, 0.0)
    return math.sqrt(images**2 + inflation(len(values)) * beyond)


def corrected(whole: float, values: Sequence[float]) -> list[float]:
    """Return the values of the folds around a pooled value, spread so that s²/K is the corrected variance.

    Differences of two models' values on the same folds then give the corrected resampled t statistic.

    Args:
        whole: The pooled value, which is the mean of the result.
        values: The values of the folds, at least two.
    """
    mean = math.fsum(values) / len(values)
    return [whole + math.sqrt(inflation(len(values))) * (value - mean) for value in values]


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
