"""How many training images each class keeps: the shapes of long tails."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ltray.errors import UsageError


def exp_counts(largest: int, classes: int, factor: float) -> list[int]:
    """Return n_k = ⌊n_max · μ^(k/(K−1))⌋ with μ = 1/IF.

    Source: Cui et al. 2019, Class-Balanced Loss; the code of Cao et al. 2019, LDAM-DRW.
    """
    ratio = 1.0 / factor
    return [int(largest * ratio ** (label / (classes - 1.0))) for label in range(classes)]


def step_counts(largest: int, classes: int, factor: float) -> list[int]:
    """Return n_max for the first half of the classes, ⌊n_max · μ⌋ for the second.

    Source: Cao et al. 2019, LDAM-DRW.
    """
    return [largest] * (classes // 2) + [int(largest * (1.0 / factor))] * (classes - classes // 2)


def pareto_counts(largest: int, classes: int, factor: float, shape: float) -> list[int]:
    """Return the quantiles of a shifted Pareto (Lomax) distribution, the head first.

    n_k is linear in (1 − u)^(−1/a) at u = (k − ½)/K, such that the head has n_max and the tail
    n_max / IF. ImageNet-LT (Liu et al. 2019) is a sample of it with a = 6.
    """
    smallest = largest / factor
    heights = [((label + 0.5) / classes) ** (-1.0 / shape) for label in range(classes)]  # u falls from the head on
    scale = (largest - smallest) / (heights[0] - heights[-1])
    return [int(smallest + scale * (height - heights[-1]) + 1e-9) for height in heights]


def power_counts(reference: Sequence[int], exponent: float) -> list[int]:
    """Return n'_k = round(c · n_k^γ) with c such that their sum is that of n_k; ⌊N/K⌋ for γ = 0.

    The variants A (γ = 0.8), B (0.4) and C (0) of ImageNet-LT.
    """
    counts = np.asarray(reference, dtype=np.float64)
    if exponent == 0.0:
        return [int(counts.sum() // len(counts))] * len(counts)
    powered = counts**exponent
    return [int(count) for count in np.round(counts.sum() / powered.sum() * powered)]


SHAPES: Mapping[str, Callable[[int, int, float, float], list[int]]] = {
    "exp": lambda largest, classes, factor, shape: exp_counts(largest, classes, factor),
    "step": lambda largest, classes, factor, shape: step_counts(largest, classes, factor),
    "pareto": pareto_counts,
}


def class_counts(kind: str, *, largest: int, classes: int, factor: float, shape: float) -> list[int]:
    """Return the training images n_k of each class, the head first.

    Args:
        kind: A key of `SHAPES`.
        largest: n_max.
        classes: K, at least 2.
        factor: The imbalance factor IF = n_max / n_min, at least 1.
        shape: a of "pareto".

    Raises:
        UsageError: A class would be left without images.
    """
    counts = SHAPES[kind](largest, classes, factor, shape)
    if min(counts) < 1:
        raise UsageError(
            f"`imbalance_factor: {factor:g}` leaves classes without images, because the largest class has {largest}; "
            f"use at most {largest}."
        )
    return counts
