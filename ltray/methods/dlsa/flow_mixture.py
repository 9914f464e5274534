"""A flow whose base density is a mixture of fixed Gaussians: it gives density and clusters."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ltray.parts.flows import AutoregressiveFlow
from ltray.parts.precision import full_precision


@dataclass(frozen=True)
class Density:
    """The log-densities of B rows, split so that differences between clusters keep their precision.

    Attributes:
        base: Part of the log-density that all clusters share (B,).
        scores: The rest, by cluster (B, K).
    """

    base: Tensor
    scores: Tensor

    @property
    def log_joint(self) -> Tensor:
        """Each cluster's log p(x | k), without its weight 1/K, (B, K)."""
        return self.base.unsqueeze(1) + self.scores

    @property
    def log_likelihood(self) -> Tensor:
        """Likelihood log P(x) = logsumexp_k log p(x | k) − log K, (B,)."""
        return self.base + self.scores.logsumexp(dim=1) - math.log(self.scores.shape[1])

    @property
    def posterior(self) -> Tensor:
        """P(k | x), (B, K)."""
        return self.scores.softmax(dim=1)

    @property
    def cluster(self) -> Tensor:
        """The most probable cluster (B,), int64."""
        return self.scores.argmax(dim=1)


class FlowMixture(nn.Module):
    """Flow to u, then K unit Gaussians of equal weight about fixed random means.

    Args:
        flow: Maps features (B, D) to u (B, D).
        clusters: Number of Gaussians K.
        distance: Root mean square distance of two means, √(2D)·σ: 3.2 is DLSA's σ = 0.05
            at D = 2048; 3 is the three-sigma rule.
    """

    means: Tensor

    def __init__(self, flow: AutoregressiveFlow, *, width: int, clusters: int, distance: float = 3.2) -> None:
        super().__init__()
        self.flow = flow
        sigma = distance / math.sqrt(2 * width)
        self.register_buffer("means", sigma * torch.randn(clusters, width))

    @full_precision
    def forward(self, features: Tensor) -> Density:
        """Return the density at features (B, D)."""
        u, log_derivatives = self.flow(features)
        shared = -0.5 * (u.square() + math.log(2 * math.pi)) + log_derivatives
        # |u − μ|² without its |u|²; adding it would round the clusters' differences off.
        return Density(shared.sum(dim=1), u @ self.means.T - 0.5 * self.means.square().sum(dim=1))
