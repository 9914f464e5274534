"""Class weights and margins, for class-balanced losses, LDAM and RIDE."""

from torch import Tensor

from ltray.long_tail import LongTail
from ltray.parts.losses import adjusted_cross_entropy
from ltray.parts.precision import full_precision


def class_balanced_weights(tail: LongTail, beta: float) -> Tensor:
    """Class weights w_k ∝ (1 − β)/(1 − β^n_k), scaled to sum to K; float64 (K,).

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019
    (arXiv:1901.05555), eq. 3. β = 0 gives all classes equal weights, β = 1 weights by 1/n_k.

    Args:
        tail: Class counts.
        beta: β in [0, 1].
    """
    weights = 1.0 / tail.effective_number(beta)
    return weights * (tail.classes / weights.sum())


def weighted_cross_entropy(scores: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy with class weights, divided by the sum of the labels' weights.

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        weight: Class weights (K,).
    """
    return adjusted_cross_entropy(scores, labels, scores.new_zeros(scores.shape[1]), weight=weight)


def ldam_margins(tail: LongTail, largest: float) -> Tensor:
    """Margins Δ_k ∝ n_k^(−1/4), scaled so that the rarest class has the margin `largest`; float64 (K,).

    Source: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin
    Loss, NeurIPS 2019 (arXiv:1906.07413), eq. 13; the constant C follows from the largest
    margin, as in the official code.

    Args:
        tail: Class counts.
        largest: Margin of the rarest class.
    """
    margins = tail.count_tensor() ** -0.25
    return margins * (largest / margins.max())


@full_precision
def subtract_margins(scores: Tensor, labels: Tensor, margins: Tensor) -> Tensor:
    """Subtract the margin of each image's class from the score of that class.

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        margins: Margins in the scores' unit (K,).
    """
    own = margins[labels].to(scores.dtype).unsqueeze(1)
    return scores.scatter_add(1, labels.unsqueeze(1), -own)
