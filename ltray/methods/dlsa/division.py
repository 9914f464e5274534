"""Division of a data set by likelihood, level after level; each part has a separate classifier."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.methods.dlsa.flow_mixture import FlowMixture

ROWS = 4096  # rows at a time through a flow
OPEN = -1


class SquashedCosine(nn.Module):
    """Scores s·|x|/(1+|x|)·cos(x, w_k), no bias: the cosine classifier of OLTR and Decoupling.

    Args:
        width: Feature width d.
        classes: Number of classes C.
        scale: s.
    """

    def __init__(self, width: int, classes: int, *, scale: float = 16.0) -> None:
        super().__init__()
        self.scale = scale
        bound = 1.0 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(classes, width).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scores (B, C)."""
        squashed = features / (1.0 + features.norm(dim=1, keepdim=True))
        scores: Tensor = self.scale * squashed @ F.normalize(self.weight, dim=1).T
        return scores


class TwoTermClassifier(nn.Module):
    """Scores of x plus scores of [x; prior], or of x again if there is no prior.

    Args:
        width: Feature width d.
        classes: Number of classes C.
        prior: Whether the second term sees the class frequencies (B, C) of a row's cluster.
        cosine: Whether both terms are `SquashedCosine` instead of linear with bias.
    """

    def __init__(self, width: int, classes: int, *, prior: bool, cosine: bool = False) -> None:
        super().__init__()
        kind = SquashedCosine if cosine else nn.Linear
        self.first = kind(width, classes)
        self.second = kind(width + classes if prior else width, classes)

    def forward(self, features: Tensor, prior: Tensor | None = None) -> Tensor:
        """Map features (B, d), and the prior (B, C) if there is one, to scores (B, C)."""
        inputs = features if prior is None else torch.cat([features, prior.to(features.dtype)], dim=1)
        scores: Tensor = self.first(features) + self.second(inputs)
        return scores


class Level(nn.Module):
    """A Flow Filter, the threshold of its likelihood and the classifier of the images that pass.

    Args:
        filter: The flow.
        aided: Maps (features, prior) to scores.
        classes: Number of classes C.
    """

    threshold: Tensor
    prior: Tensor

    def __init__(self, filter: FlowMixture, aided: TwoTermClassifier, *, classes: int) -> None:
        super().__init__()
        self.filter = filter
        self.aided = aided
        self.register_buffer("threshold", torch.tensor(math.inf))
        self.register_buffer("prior", torch.zeros(len(filter.means), classes))

    @torch.no_grad()
    def measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-likelihood (N,) and cluster (N,) of features (N, d), on their device."""
        device, found = self.threshold.device, []
        for rows in torch.split(features, ROWS):
            density = self.filter(rows.to(device))
            found.append((density.log_likelihood, density.cluster))
        likelihood, cluster = (torch.cat(parts).to(features.device) for parts in zip(*found, strict=True))
        return likelihood, cluster


class DivisionTree(nn.Module):
    """The levels in order; the regular classifier receives the images that no level keeps.

    All levels exist from the start. A level whose threshold is still infinite keeps nothing.

    Args:
        levels: The divisions in order.
        regular: Maps features to scores for the rest.
        images: Number of training images N.
    """

    settled: Tensor

    def __init__(self, levels: Sequence[Level], regular: TwoTermClassifier, *, images: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.regular = regular
        self.register_buffer("settled", torch.full((images,), OPEN, dtype=torch.int64))

    def level(self, depth: int) -> Level:
        """Return the level at `depth`, from 0."""
        level = self.levels[depth]
        assert isinstance(level, Level)
        return level

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to the scores (B, C) of the part that each row belongs to."""
        scores: Tensor = self.regular(features)
        active = torch.ones(features.shape[0], dtype=torch.bool, device=features.device)
        for depth in range(len(self.levels)):
            level = self.level(depth)
            density = level.filter(features)
            kept = active & (density.log_likelihood >= level.threshold)
            aided = level.aided(features, level.prior[density.cluster])
            scores = torch.where(kept.unsqueeze(1), aided, scores)
            active = active & ~kept
        return scores

    @torch.no_grad()
    def divide(self, depth: int, features: Tensor, labels: Tensor, *, proportion: float) -> None:
        """Set the threshold and the priors of a level and determine the training images that it keeps.

        Args:
            depth: The level, from 0.
            features: Features of the complete training set (N, d).
            labels: Their labels (N,).
            proportion: Share of the open images to keep.
        """
        level = self.level(depth)
        likelihood, cluster = (values.to(self.settled.device) for values in level.measure(features))
        active = self.settled == OPEN
        level.threshold.copy_(division_threshold(likelihood[active], proportion))
        level.prior.copy_(cluster_prior(cluster, labels.to(cluster.device), shape=level.prior.shape))
        self.settled[active & (likelihood >= level.threshold)] = depth


def division_threshold(likelihood: Tensor, proportion: float) -> Tensor:
    """Return the likelihood that about this share of the rows reaches.

    Source: DLSA's official code: the ascending order at index int(n·(1 − proportion)).

    Args:
        likelihood: Of the open training images (n,).
        proportion: Share in (0, 1].
    """
    return likelihood.sort().values[int(len(likelihood) * (1.0 - proportion))]


def cluster_classes(cluster: Tensor, labels: Tensor, *, shape: Sequence[int]) -> Tensor:
    """Count the images of each class in each cluster, int64.

    Args:
        cluster: Cluster of each image (N,).
        labels: Label of each image (N,).
        shape: (clusters, classes).
    """
    counts = torch.bincount(cluster * shape[1] + labels, minlength=shape[0] * shape[1])
    return counts.view(shape[0], shape[1])


def cluster_prior(cluster: Tensor, labels: Tensor, *, shape: Sequence[int]) -> Tensor:
    """Return the class frequencies inside each cluster, float64; zeros for an empty cluster.

    Args: see `cluster_classes`.
    """
    counts = cluster_classes(cluster, labels, shape=shape).to(torch.float64)
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1.0)
