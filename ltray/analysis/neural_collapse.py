"""Neural collapse: NC1 to NC3 for each class, so that groups of classes can be compared.

Source: Papyan, Han and Donoho, PNAS 2020 (arXiv:2008.08186). With imbalanced classes, every class has the same weight
here: the global mean is the mean of the class means. The means of the groups then are parts of the mean of all.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.analysis.simplex import cosines, off_diagonal
from ltray.parts.counts import class_counts

_NO_DIRECTION = 1e-10  # singular values below this part of the largest are those of the centring


@dataclass(frozen=True)
class Collapse:
    """Neural collapse by class; at collapse `within` and `angle` are 0, `norm` and `duality` are 1.

    Attributes:
        within: NC1, tr(Σ_W,k Σ_B†)/K: the variability inside a class in units of that between the class means (K,).
        norm: NC2, length of the centred class mean over the mean length (K,).
        angle: NC2, mean of |cos + 1/(K−1)| of the centred class mean with the others (K,).
        duality: NC3, cosine of the class's centred classifier weight and its centred mean (K,); None without weights.
        weight_cosine: Mean cosine of the class's centred weight with the others (K,); None without weights.
    """

    within: Tensor
    norm: Tensor
    angle: Tensor
    duality: Tensor | None = None
    weight_cosine: Tensor | None = None

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, weight: Tensor | None = None) -> "Collapse":
        """Return the values of all classes.

        Args:
            features: Features of the training images (N, d), every class at least once.
            labels: Their classes (N,).
            weight: Weight of the linear classifier (K, d), if there is one.
        """
        rows = features.to(torch.float64)
        means = class_means(rows, labels)
        centred = means - means.mean(dim=0)
        lengths = centred.norm(dim=1)
        angle = (off_diagonal(cosines(centred)) + 1.0 / (len(means) - 1.0)).abs().mean(dim=1)
        within = _within(rows - means[labels], labels, centred)
        if weight is None:
            return cls(within, lengths / lengths.mean(), angle)
        own = weight.to(rows) - weight.to(rows).mean(dim=0)
        between_weights = off_diagonal(cosines(own)).mean(dim=1)
        return cls(within, lengths / lengths.mean(), angle, F.cosine_similarity(own, centred, dim=1), between_weights)


def class_means(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean feature of each class (K, d)."""
    classes = int(labels.max()) + 1
    sums = features.new_zeros(classes, features.shape[1]).index_add(0, labels, features)
    means: Tensor = sums / class_counts(labels, classes)[:, None]
    return means


def self_duality(weight: Tensor, means: Tensor) -> float:
    """Return NC3 as one number, ‖W/‖W‖ − M/‖M‖‖ of centred weights and class means (K, d); 0 at collapse, at most 2."""
    weight, means = (rows.to(torch.float64) - rows.to(torch.float64).mean(dim=0) for rows in (weight, means))
    return float((weight / weight.norm() - means / means.norm()).norm())


def _within(deviations: Tensor, labels: Tensor, centred: Tensor) -> Tensor:
    """Return tr(Σ_W,k Σ_B†)/K of each class, with Σ_B† from the singular values of the centred means."""
    classes = len(centred)
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    used = lengths > _NO_DIRECTION * lengths[0]
    scaled = deviations @ directions[used].T / lengths[used]
    squares = scaled.square().sum(dim=1)  # tr(Σ_B†·dd') / K, as Σ_B is the mean over the classes
    within: Tensor = squares.new_zeros(classes).index_add(0, labels, squares) / class_counts(labels, classes)
    return within
