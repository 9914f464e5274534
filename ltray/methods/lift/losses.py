"""The losses that LIFT's code offers, by name; logit adjustment is its default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ltray.distributed import gather, gather_with_gradient
from ltray.long_tail import LongTail
from ltray.methods.focal import focal_loss
from ltray.parts.counts import class_counts
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.parts.margin_losses import class_balanced_weights, ldam_margins, subtract_margins, weighted_cross_entropy
from ltray.parts.precision import full_precision

FOCUS = 2.0  # γ of the focal loss
MARGIN = 0.5  # of the rarest class, in cosines
BETA = 0.9999  # of the effective number
LADE_WEIGHT, LADE_PENALTY = 0.1, 0.1


@dataclass(frozen=True)
class LossSettings:
    """The inputs from which a loss is built.

    Attributes:
        tail: Class counts.
        adjustment: τ of the logit adjustment.
        scale: s of the scores s·cos; 1 if they are not cosines.
    """

    tail: LongTail
    adjustment: float = 1.0
    scale: float = 1.0


class Adjusted(nn.Module):
    """Cross-entropy of scores + adjustment (K,)."""

    adjustment: Tensor

    def __init__(self, adjustment: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K) and labels (B,)."""
        return adjusted_cross_entropy(scores, labels, self.adjustment)


class Weighted(nn.Module):
    """Cross-entropy with class weights (K,), divided by the sum of the labels' weights."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K) and labels (B,)."""
        return weighted_cross_entropy(scores, labels, self.weight)


class WithMargins(Adjusted):
    """Cross-entropy of scores minus the margin of the image's class; `adjustment` contains the margins (K,)."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K) and labels (B,)."""
        own = subtract_margins(scores, labels, self.adjustment)
        return adjusted_cross_entropy(own, labels, torch.zeros_like(self.adjustment))


class FocalLoss(nn.Module):
    """Focal loss without class weights."""

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K) and labels (B,)."""
        return focal_loss(scores, labels, gamma=FOCUS)


class LADE(Adjusted):
    """Logit adjustment and LADE's estimate of the classes' likelihood ratios; `adjustment` is log π (K,).

    Source: Hong et al., Disentangling Label Distribution for Long-Tailed Visual Recognition, CVPR 2021
    (arXiv:2012.00321), as in LIFT's code. The estimate is computed from the batches of all workers.
    """

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of scores (B, K) and labels (B,)."""
        ratio = likelihood_ratio(gather_with_gradient(scores), gather(labels), self.adjustment)
        return super().forward(scores, labels) - LADE_WEIGHT * ratio


@full_precision
def likelihood_ratio(scores: Tensor, labels: Tensor, log_prior: Tensor) -> Tensor:
    """Return Σ_k π_k·(a_k − b_k − λ·b_k²), the regularised Donsker-Varadhan bounds of the classes.

    a_k is the mean score of class k over its own images (0 without any), b_k the logarithm of the mean of
    exp(score − log π_k + log 1/K) over all images.

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        log_prior: log π (K,).
    """
    prior = log_prior.to(scores.dtype)
    images, classes = scores.shape
    own = scores.gather(1, labels[:, None]).squeeze(1)
    counts = class_counts(labels, classes).to(scores.dtype)
    first = scores.new_zeros(classes).index_add(0, labels, own) / (counts + 1e-8)
    spread = torch.logsumexp(scores - prior, dim=0)
    second = (
        spread - torch.tensor([float(classes), float(images)], dtype=scores.dtype, device=scores.device).log().sum()
    )
    return (prior.exp() * (first - second - LADE_PENALTY * second**2)).sum()


LOSSES: Mapping[str, Callable[[LossSettings], nn.Module]] = {
    "logit_adjustment": lambda given: Adjusted(given.adjustment * log_prior(given.tail)),
    "cross_entropy": lambda given: Adjusted(torch.zeros(given.tail.classes)),
    "focal": lambda given: FocalLoss(),
    "ldam": lambda given: WithMargins(given.scale * ldam_margins(given.tail, MARGIN)),
    "class_balanced": lambda given: Weighted(class_balanced_weights(given.tail, BETA)),
    "inverse_frequency": lambda given: Weighted(class_balanced_weights(given.tail, 1.0)),
    "lade": lambda given: LADE(log_prior(given.tail)),
}
"""Builders of every loss (scores (B, K), labels (B,) to a scalar) by name; constants are those of LIFT's code.

* `logit_adjustment`: τ = 1 is Balanced Softmax.
* `focal`: γ = 2. `ldam`: margin 0.5 of the rarest class. `class_balanced`: β = 0.9999.
* `inverse_frequency`: class weights 1/π (`GRW` there).
* `lade`: weight and penalty 0.1.
"""
