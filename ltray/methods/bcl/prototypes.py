"""BCL's class prototypes: unit vectors (K, F) that are added to every batch, so that it contains all classes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.parts.contrast import unit
from ltray.parts.counts import class_counts
from ltray.parts.heads import projector


class Prototypes(nn.Module):
    """Base of the three kinds of BCL's Table S1."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the prototypes (K, F), given the classifier's weight (K, d)."""
        raise TypeError(f"{type(self).__name__} must define forward(weight).")

    def update(self, keys: Tensor, labels: Tensor) -> None:
        """Receive a batch's unit rows (M, F) and their classes, from all workers."""


class WeightPrototypes(Prototypes):
    """An MLP of the classifier's weights; gradients reach the classifier through it.

    The input of its BatchNorm is K rows that are the same on every worker, so its statistics
    need no synchronisation.

    Args:
        width: Feature width d.
        hidden: Width of the hidden layer.
        out: F.
    """

    local_batch_norm = True

    def __init__(self, width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.mlp = projector(width, hidden, out)

    def forward(self, weight: Tensor) -> Tensor:
        """Return unit MLP(weight), (K, F)."""
        return unit(self.mlp(weight))


class LearnedPrototypes(Prototypes):
    """Free parameters."""

    def __init__(self, classes: int, out: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(F.normalize(torch.randn(classes, out), dim=1))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the parameters, made unit."""
        return unit(self.rows)


class AveragePrototypes(Prototypes):
    """Exponential moving averages of each class's mean row; random until the class first occurs in a batch.

    Args:
        classes: K.
        out: F.
        momentum: Share of the old average that is kept at each batch that contains the class.
    """

    rows: Tensor

    def __init__(self, classes: int, out: int, *, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("rows", F.normalize(torch.randn(classes, out), dim=1))

    def forward(self, weight: Tensor) -> Tensor:
        """Return a copy of the averages: `update` writes to them before the gradient is taken."""
        return self.rows.clone()

    @torch.no_grad()
    def update(self, keys: Tensor, labels: Tensor) -> None:
        """Update the averages of the classes in the batch."""
        sums = torch.zeros_like(self.rows).index_add_(0, labels, keys.to(self.rows.dtype))
        met = class_counts(labels, sums.shape[0])[:, None] > 0
        moved = F.normalize(self.momentum * self.rows + (1 - self.momentum) * F.normalize(sums, dim=1), dim=1)
        self.rows.copy_(torch.where(met, moved, self.rows))


def new_prototypes(kind: str, *, width: int, hidden: int, out: int, classes: int, momentum: float) -> Prototypes:
    """Build the "mlp", "learnable" or "ema" kind."""
    kinds: dict[str, Callable[[], Prototypes]] = {
        "mlp": lambda: WeightPrototypes(width, hidden, out),
        "learnable": lambda: LearnedPrototypes(classes, out),
        "ema": lambda: AveragePrototypes(classes, out, momentum=momentum),
    }
    return kinds[kind]()
