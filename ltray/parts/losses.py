"""Cross-entropy adjusted by the class frequencies, and weights for rare classes."""

import torch.nn.functional as F
from torch import Tensor

from ltray.distributed import total, world_size
from ltray.long_tail import LongTail
from ltray.parts.precision import full_precision


def log_prior(tail: LongTail, *, epsilon: float = 0.0) -> Tensor:
    """Return log(π_k + ε), float64, shape (K,).

    Args:
        tail: Class counts.
        epsilon: ε; 1e-9 in ResCom and PaCo, 0 in BCL, Balanced Softmax and logit adjustment.
    """
    return (tail.prior() + epsilon).log()


def effective_number_weights(tail: LongTail, beta: float) -> Tensor:
    """Return w_k = mean_j(E_j) / E_k, float64, shape (K,); all ones for β = 0.

    Source: ResCom's official code. The paper's 1 / E_k differs by a factor that is the same
    for all classes, and its λ only makes sense with this scale.

    Args:
        tail: Class counts.
        beta: β of the effective number E_k, in [0, 1].
    """
    effective = tail.effective_number(beta)
    return effective.mean() / effective


@full_precision
def adjusted_cross_entropy(
    scores: Tensor, labels: Tensor, adjustment: Tensor, *, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy of scores + adjustment, in float32 at least.

    With the adjustment log π it is Balanced Softmax (Ren et al., NeurIPS 2020, eq. 4); with
    τ·log π it is logit adjustment (Menon et al., ICLR 2021, eq. 10) and BCL's logit
    compensation; with 0 it is ordinary cross-entropy.

    Args:
        scores: Scores (B, K).
        labels: Class indices (B,).
        adjustment: Added to each class's score (K,), any float type.
        weight: Class weights (K,); the mean is then weighted, over the samples of all workers.
        smoothing: Share of each label that is spread evenly over all classes, in [0, 1).

    Returns:
        The mean over the batch, a scalar.
    """
    adjusted = scores + adjustment.to(scores.dtype)
    if weight is None:
        return F.cross_entropy(adjusted, labels, label_smoothing=smoothing)
    weights = weight.to(scores.dtype)[labels]
    weighted = weights * F.cross_entropy(adjusted, labels, reduction="none", label_smoothing=smoothing)
    return weighted.sum() * world_size() / total(weights.sum())
