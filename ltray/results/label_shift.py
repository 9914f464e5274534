"""Accuracy if the classes were distributed differently: test images reweighted to another class prior.

Under label shift, the distribution of the images within each class does not change; only the shares of the classes
differ. The accuracy under a class prior q is then exactly Σ_k q_k r_k with the recalls r_k, for any shares of the
classes in the test set.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ltray.class_counts import ClassCounts
from ltray.engine.evaluation import Evaluation
from ltray.errors import UsageError

FACTORS = (50, 25, 10, 5, 2)
UNIFORM = "uniform"
SHIFTS = (*(f"forward{factor}" for factor in FACTORS), UNIFORM, *(f"backward{factor}" for factor in FACTORS[::-1]))
"""The long-tailed test distributions of Hong et al., Disentangling Label Distribution for Long-Tailed Visual
Recognition (LADE), CVPR 2021 (arXiv:2012.00321), from the training set's order of classes to its reverse."""


@dataclass(frozen=True)
class ShiftedAccuracy:
    """An accuracy under another class prior.

    Attributes:
        name: One of `SHIFTS`.
        accuracy: The accuracy, as a fraction of 1.
        standard_error: Its standard error, from the number of images of each class, as a fraction of 1.
        adapted: With predictions that are adapted to the prior; None: not computed.
        adapted_error: Its standard error.
    """

    name: str
    accuracy: float
    standard_error: float
    adapted: float | None = None
    adapted_error: float | None = None


def shifted_prior(counts: Sequence[int], name: str) -> Tensor:
    """Return a class prior of LADE: q_k ∝ f^(−rank_k / (K − 1)), reversed for "backward", float64 (K,).

    Args:
        counts: Training images of each class; the classes are ordered by them, and by label if they are equal.
        name: One of `SHIFTS`.
    """
    count = len(counts)
    if name == UNIFORM:
        return torch.full((count,), 1 / count, dtype=torch.float64)
    forward = name.startswith("forward")
    factor = int(name.removeprefix("forward").removeprefix("backward"))
    order = sorted(range(count), key=lambda label: -counts[label])
    rank = torch.empty(count, dtype=torch.float64)
    rank[torch.tensor(order)] = torch.arange(count, dtype=torch.float64)
    if not forward:
        rank = count - 1 - rank
    prior = torch.exp(-math.log(factor) * rank / (count - 1))
    return prior / prior.sum()


def shifted_accuracies(
    evaluation: Evaluation,
    counts: Sequence[int],
    *,
    stated: Mapping[str, Tensor] | None = None,
    adapted: Callable[[Tensor], Evaluation] | None = None,
) -> list[ShiftedAccuracy]:
    """Return the accuracy under stated priors and those of `SHIFTS`; classes without an evaluated image are left out.

    Args:
        evaluation: Correct and seen images of each class (K).
        counts: Training images of each class (K).
        stated: Further priors (K,) by name.
        adapted: Returns the evaluation of the predictions that are adapted to a prior (K,), in which classes without
            an evaluated image have the share 0; None: this accuracy is not computed.

    Raises:
        UsageError: A stated prior has no share for any class with an evaluated image.
    """
    known = evaluation.seen > 0
    found = []
    for name, full in {**(stated or {}), **{name: shifted_prior(counts, name) for name in SHIFTS}}.items():
        prior = torch.where(known, full, 0.0)
        if not float(prior.sum()) > 0:
            raise UsageError(f"{name}: no evaluated image is of a class with a share above 0.")
        prior = prior / prior.sum()
        one = ShiftedAccuracy(name, *_under(prior, evaluation))
        if adapted:
            accuracy, error = _under(prior, adapted(prior))
            one = replace(one, adapted=accuracy, adapted_error=error)
        found.append(one)
    return found


def _under(prior: Tensor, evaluation: Evaluation) -> tuple[float, float]:
    """Return the accuracy under a class prior that is 0 for classes without images, and its standard error."""
    known = evaluation.seen > 0
    counted = ClassCounts(evaluation.correct[known], evaluation.seen[known], evaluation.predicted[known])
    prior, recall, variance = prior[known], counted.recall(), counted.recall_variance()
    return float((prior * recall).sum()), float((prior**2 * variance).sum().sqrt())
