"""Accuracy if the classes were distributed differently: test images reweighted to another class prior.

Under label shift, the distribution of the images within each class does not change; only the shares of the classes
differ. The accuracy under a class prior q is then exactly Σ_k q_k r_k with the recalls r_k, for any shares of the
classes in the test set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.class_counts import ClassCounts
from ltray.engine.evaluation import Evaluation

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
    """

    name: str
    accuracy: float
    standard_error: float


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


def shifted_accuracies(evaluation: Evaluation, counts: Sequence[int]) -> list[ShiftedAccuracy]:
    """Return the accuracy under every prior of `SHIFTS`; classes without an evaluated image are left out.

    Args:
        evaluation: Correct and seen images of each class (K).
        counts: Training images of each class (K).
    """
    known = evaluation.seen > 0
    counted = ClassCounts(evaluation.correct[known], evaluation.seen[known], evaluation.predicted[known])
    recall, variance = counted.recall(), counted.recall_variance()
    found = []
    for name in SHIFTS:
        prior = shifted_prior(counts, name)[known]
        prior = prior / prior.sum()
        error = float((prior**2 * variance).sum().sqrt())
        found.append(ShiftedAccuracy(name, float((prior * recall).sum()), error))
    return found
