"""The direction and concentration of each class's embeddings, from their running mean."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.parts.counts import class_counts

START_LENGTH = 0.9
HIGHEST = 1e5  # of a concentration


class ClassEstimator(nn.Module):
    """The mean of each class's unit embeddings and their number, in float64.

    Source: `EstimatorCV` of ProCo's official code. A class without rows has a random direction of length 0.9.

    Args:
        classes: K.
        width: p.
    """

    mean: Tensor
    amount: Tensor

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(classes, width, dtype=torch.float64))
        self.register_buffer("amount", torch.zeros(classes, dtype=torch.float64))

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Remove all rows; the random directions are a function of the seed."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(self.mean.shape, dtype=self.mean.dtype, generator=generator)
        self.mean.copy_(START_LENGTH * F.normalize(rows, dim=1))
        self.amount.zero_()

    @torch.no_grad()
    def copy(self, other: "ClassEstimator") -> None:
        """Copy the state of another estimator."""
        self.mean.copy_(other.mean)
        self.amount.copy_(other.amount)

    @torch.no_grad()
    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Include a batch.

        Args:
            rows: Unit embeddings (M, p) of all workers.
            labels: Their classes (M,).
        """
        count = class_counts(labels, len(self.amount)).to(self.amount.dtype)
        total = torch.zeros_like(self.mean).index_add_(0, labels, rows.to(self.mean.dtype))
        share = (count / (count + self.amount).clamp(min=1.0))[:, None]
        self.mean.copy_((1.0 - share) * self.mean + share * total / count.clamp(min=1.0)[:, None])
        self.amount.add_(count)

    def direction(self) -> Tensor:
        """Return μ, unit rows (K, p)."""
        return F.normalize(self.mean, dim=1)

    def concentration(self) -> Tensor:
        """Return κ = pR/(1 − R²) (K,), R = |mean|, at most 1e5; where R rounds to 1 or more, that bound."""
        length: Tensor = self.mean.norm(dim=1)
        rest = 1.0 - length**2
        kappa = self.mean.shape[1] * length / rest
        return torch.where(rest > 0.0, kappa, HIGHEST).clamp(max=HIGHEST)
