"""The two kinds of positives of DSCL: their targets, and the ratio of their gradients.

Source: DSCL (arXiv:2403.06151), eq. 3 for supervised contrast and eq. 7 for the decoupled loss. Under supervised
contrast, the own key of an anchor has the target 1/(1+|P|) and a gradient 1/|P| times that of the |P| other positives,
so that both depend on the class count; under DSCL they are α and α/(1−α) for every class.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def supervised_alpha(others: Tensor) -> Tensor:
    """Return the α with which the decoupled loss is supervised contrast: 1/(1+|P|).

    Args:
        others: Number of other positives |P| of each anchor or class, 0 or more.
    """
    return 1.0 / (1.0 + others.to(torch.float64))


@dataclass(frozen=True)
class PositiveGradients:
    """The gradient at an anchor by kind of positive, in units of 1/τ.

    Attributes:
        own: |p₊ − t₊|, of the own key (A,); DSCL has t₊ = α.
        others: Σ_j |p_j − t_j|, of the other positives (A,); DSCL has t_j = (1−α)/|P|.
    """

    own: Tensor
    others: Tensor

    @classmethod
    def of(cls, probabilities: Tensor, targets: Tensor, positives: Tensor, own_view: Tensor) -> "PositiveGradients":
        """Return the gradients.

        Args:
            probabilities: p, the softmax over all keys (A, M).
            targets: t, the share of each key in the target (A, M).
            positives: Which keys are of the anchor's class, bool (A, M), with the own key.
            own_view: Column of the own key (A,).
        """
        place = own_view[:, None]
        each = (probabilities - targets).abs().masked_fill(~positives, 0.0)
        return cls(each.gather(1, place).squeeze(1), each.scatter(1, place, 0.0).sum(dim=1))

    @property
    def ratio(self) -> Tensor:
        """Gradient of the own key over that of the others (A,); infinite without others."""
        return self.own / self.others


def initial_ratio(alpha: Tensor, others: Tensor, keys: int) -> Tensor:
    """Return the ratio of the gradients where all keys have equal probability, as before the training.

    (α − 1/M) / ((1−α) − |P|/M), which tends to α/(1−α) for a large number of keys M.

    Args:
        alpha: α, above 1/M.
        others: Number of other positives |P|, less than (1−α)·M.
        keys: Number of keys M.
    """
    return (alpha - 1.0 / keys) / ((1.0 - alpha) - others.to(torch.float64) / keys)
