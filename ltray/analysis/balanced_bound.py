"""The lower bound of the balanced contrastive loss, which no class count enters.

Source: BCL (arXiv:2207.09052), eq. 6 and its lower bound. With s̄ the mean similarity over τ of the anchors of a class
to the other members of their class (attraction) and to the means of the other classes (repulsion),

    L_y >= log(1 + (K−1)·exp(repulsion_y − attraction_y)),

and the mean over the classes is at least log(1 + (K−1)·exp(−K/((K−1)τ))), which the regular simplex attains.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.parts.counts import class_counts

ROWS = 512  # anchors at a time


@dataclass(frozen=True)
class BalancedLoss:
    """The balanced contrastive loss of embeddings, by class.

    Attributes:
        losses: Mean loss of the anchors of each class (K,).
        attraction: Mean similarity over τ to the other members of the own class (K,).
        repulsion: Mean over the other classes of the mean similarity over τ to their members (K,).
    """

    losses: Tensor
    attraction: Tensor
    repulsion: Tensor

    @property
    def bounds(self) -> Tensor:
        """The lower bound of each class's loss for its attraction and repulsion (K,)."""
        others = math.log(len(self.losses) - 1.0)
        return F.softplus(others + self.repulsion - self.attraction, threshold=100)

    @classmethod
    def of(cls, embeddings: Tensor, labels: Tensor, *, temperature: float) -> "BalancedLoss":
        """Return the loss in which each class counts once in the denominator (L1 of BCL, without prototypes).

        Args:
            embeddings: Unit rows (N, d).
            labels: Their classes (N,), 0 to K−1, at least two rows of each and two classes.
            temperature: τ.
        """
        rows = embeddings.to(torch.float64)
        classes = int(labels.max()) + 1
        members = class_counts(labels, classes)
        columns = F.one_hot(labels, classes).to(rows.dtype)
        parts = []
        for begin in range(0, len(rows), ROWS):
            own = torch.arange(begin, min(begin + ROWS, len(rows)), device=rows.device)
            parts.append(_of_anchors(rows, labels, own, columns, members, temperature))
        each = torch.cat(parts, dim=1)
        return cls(*(values @ columns / members for values in each))


def _of_anchors(
    rows: Tensor, labels: Tensor, own: Tensor, columns: Tensor, members: Tensor, temperature: float
) -> Tensor:
    """Return loss, attraction and repulsion (3, A) of the anchors with the indices `own` (A,)."""
    similarities = rows[own] @ rows.T / temperature
    itself, label = own[:, None], labels[own][:, None]
    sizes = members - columns[own]  # without the anchor
    means = similarities.scatter(1, itself, 0.0) @ columns / sizes
    top = similarities.amax(dim=1, keepdim=True)
    exponentials = (similarities - top).exp().scatter(1, itself, 0.0) @ columns / sizes
    attraction = means.gather(1, label).squeeze(1)
    repulsion = (means.sum(dim=1) - attraction) / (len(members) - 1)
    return torch.stack([exponentials.sum(dim=1).log() + top.squeeze(1) - attraction, attraction, repulsion])


def simplex_bound(classes: int, temperature: float) -> float:
    """Return log(1 + (K−1)·exp(−K/((K−1)τ))), the smallest mean over the classes of the loss.

    Args:
        classes: K, at least 2.
        temperature: τ.
    """
    return math.log1p((classes - 1) * math.exp(-classes / ((classes - 1) * temperature)))
