"""The three losses of a Flow Filter and its running estimate of how clusters are used.

Source: Xu et al., Constructing Balance from Imbalance for Long-Tailed Image Recognition
(DLSA), ECCV 2022 (arXiv:2208.02567) and its official code.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.distributed import sum_with_gradient, total
from ltray.parts.precision import full_precision


def class_weights(counts: Tensor, power: float) -> Tensor:
    """Return (n_max/n_k)^q, scaled to sum to 1, (K,); 0 for an absent class.

    Args:
        counts: Images of each class (K,), at least one above 0.
        power: q >= 0.
    """
    counts = counts.to(torch.float64)
    weights = (counts.max() / counts.clamp_min(1.0)) ** power
    weights = weights.masked_fill(counts == 0, 0.0)
    return weights / weights.sum()


def likelihood_loss(log_likelihood: Tensor, weights: Tensor) -> Tensor:
    """L_MLE: minus the mean of w·log P(x), which is of the order of log P divided by the class count.

    Args:
        log_likelihood: log P(x) of each image (B,).
        weights: Class weight of each image (B,).
    """
    return -(weights.to(log_likelihood.dtype) * log_likelihood).mean()


@full_precision
def purity_loss(positive: Tensor, negative: Tensor, *, hard: bool = False, fixed_target: bool = True) -> Tensor:
    """L_pure: mean of Σ_k P(k|x⁺)·log P(k|x⁻), negative and unbounded below.

    Minimising it moves an image of another class out of the clusters of x⁺.

    Args:
        positive: Cluster scores of x⁺ (B, K), up to a constant per row.
        negative: Cluster scores of x⁻ (B, K).
        hard: Whether only the most probable cluster of x⁺ counts.
        fixed_target: Whether no gradient flows to x⁺.
    """
    if fixed_target:
        positive = positive.detach()
    log_other = F.log_softmax(negative, dim=1)
    if hard:
        return log_other.gather(1, positive.argmax(dim=1, keepdim=True)).mean()
    return (positive.softmax(dim=1) * log_other).sum(dim=1).mean()


class ClusterUse(nn.Module):
    """Running estimate of the share of each cluster, corrected for the bias of its start at zero.

    p̃_t = η·p̃_{t−1} + (1−η)·p̂_t, used as p̃_t/(1−η^t); p̂_t is the mean posterior of the
    batch over all workers. Gradient flows through p̂_t only.

    Args:
        clusters: Number of clusters K.
        momentum: η; 0 uses the batch alone.
    """

    average: Tensor
    steps: Tensor
    floor = 1e-7

    def __init__(self, clusters: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("average", torch.zeros(clusters))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, posterior: Tensor) -> Tensor:
        """Add the posteriors (B, K) of a batch; return the corrected shares (K,)."""
        rows = total(posterior.new_tensor(float(len(posterior))))
        batch = sum_with_gradient(posterior.sum(dim=0)) / rows + self.floor
        average = self.momentum * self.average + (1.0 - self.momentum) * batch
        with torch.no_grad():
            self.average.copy_(average)
            self.steps += 1
        correction = 1.0 - self.momentum ** self.steps.to(torch.float64)
        return average / correction.to(average.dtype)


def balance_loss(shares: Tensor) -> Tensor:
    """L_bal: Σ_k p_k·log p_k + log K, 0 where all clusters have equal shares.

    Args:
        shares: Share of each cluster (K,).
    """
    return (shares * shares.log()).sum() + math.log(len(shares))


@full_precision
def classifier_loss(scores: Tensor, labels: Tensor, adjustment: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of scores + adjustment; with smoothing s the other classes share s.

    Args:
        scores: Logits (B, C).
        labels: Class indices (B,).
        adjustment: log(count + 1e-6) of each class for Balanced Softmax, or zeros (C,).
        smoothing: s; the label keeps 1 − s, every other class gets s/(C−1).
    """
    log_p = F.log_softmax(scores + adjustment.to(scores.dtype), dim=1)
    own = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    if smoothing == 0.0:
        return -own.mean()
    others = (log_p.sum(dim=1) - own) / (scores.shape[1] - 1)
    return -((1.0 - smoothing) * own + smoothing * others).mean()
