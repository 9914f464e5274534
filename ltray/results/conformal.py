"""Class-conditional conformal prediction sets from validation scores.

Mondrian conformal prediction (Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005) with the
nonconformity 1 - p_y of Sadinle, Lei and Wasserman (Least ambiguous set-valued classifiers with bounded error levels,
JASA 2019). For exchangeable images, the set contains the true class of an image of class k with probability of at
least the coverage, for every k. A class with too few validation images for a finite quantile is in every set: its
coverage is reached, but its presence is uninformative (Ding et al., Class-conditional conformal prediction with many
classes, NeurIPS 2023, who pool such classes instead; with pooling, the coverage of each class is not guaranteed).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor


@dataclass(frozen=True)
class ConformalSets:
    """The rule by which classes are in a prediction set.

    Attributes:
        coverage: Guaranteed probability that the set of an image contains its class, in (0, 1).
        thresholds: Least probability (K,), float64, with which a class is in the set; 0: always.
        images: Validation images of each class (K,), int64.
    """

    coverage: float
    thresholds: Tensor
    images: Tensor

    @classmethod
    def of(cls, probabilities: Tensor, labels: Tensor, coverage: float) -> "ConformalSets":
        """Calibrate on validation images.

        Args:
            probabilities: Of the validation images (N, K), float64.
            labels: Their class indices (N,), int64.
            coverage: In (0, 1).
        """
        classes = probabilities.shape[1]
        own = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
        thresholds = torch.zeros(classes, dtype=torch.float64)
        for label in range(classes):
            scores = own[labels == label].sort(descending=True).values
            place = rank(len(scores), coverage)
            if place <= len(scores):
                thresholds[label] = scores[place - 1]
        return cls(coverage, thresholds, torch.bincount(labels, minlength=classes))

    @property
    def always(self) -> list[int]:
        """The classes with too few validation images, which are in every set."""
        return [label for label, n in enumerate(self.images.tolist()) if rank(n, self.coverage) > n]

    @property
    def needed(self) -> int:
        """The least number of validation images of a class from which its sets depend on the image."""
        exact = Fraction(str(self.coverage))
        return math.ceil(exact / (1 - exact))

    def members(self, probabilities: Sequence[float] | Tensor) -> list[int]:
        """Return the class indices of one image's set, the most probable first; possibly none.

        Args:
            probabilities: Of all classes (K,).
        """
        values = torch.as_tensor(probabilities, dtype=torch.float64)
        order = torch.argsort(values, descending=True, stable=True)
        return [int(label) for label in order if values[label] >= self.thresholds[label]]


def rank(images: int, coverage: float) -> int:
    """Return ⌈(n + 1)·coverage⌉, exactly: the place of the quantile among the n sorted scores of a class."""
    return math.ceil((images + 1) * Fraction(str(coverage)))
