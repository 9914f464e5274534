"""The losses of RIDE: classification by each expert, diversity of the experts, routing, and distillation.

Source: Wang et al., Long-Tailed Recognition by Routing Diverse Distribution-Aware Experts,
ICLR 2021 (arXiv:2010.01809), and its official code.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.long_tail import LongTail
from ltray.parts.margin_losses import subtract_margins, weighted_cross_entropy
from ltray.parts.precision import full_precision


def diversity_temperatures(tail: LongTail, *, factor: float, base: float) -> Tensor:
    """Return T_k ∝ K·π_k·f + 1 − f, the most frequent class's equal to `base`; float64 (K,).

    Args:
        tail: Class counts.
        factor: f in [0, 1]; 0 gives every class the same.
        base: T of the most frequent class.
    """
    shares = tail.classes * tail.prior() * factor + 1.0 - factor
    return base * shares / shares.max()


def experts_loss(scores: Tensor, labels: Tensor, *, margins: Tensor, weight: Tensor) -> Tensor:
    """Sum over experts of the class-weighted cross-entropy of z_e − Δ_y.

    Args:
        scores: Logits of the experts (E, B, K).
        labels: Class indices (B,).
        margins: Margins in the scores' unit (K,).
        weight: Class weights (K,).
    """
    losses = [weighted_cross_entropy(subtract_margins(z, labels, margins), labels, weight) for z in scores]
    return torch.stack(losses).sum()


@full_precision
def diversity(scores: Tensor, temperatures: Tensor) -> Tensor:
    """Sum over experts of T̄²·KL(softmax(z̄/T) ‖ softmax(z_e/T)), mean over the batch.

    z̄ is the mean of the experts' scores and gets no gradient, T̄ the mean of T.

    Args:
        scores: Logits of the experts (E, B, K).
        temperatures: T by class (K,).
    """
    temperatures = temperatures.to(scores.dtype)
    target = F.softmax(scores.detach().mean(dim=0) / temperatures, dim=1)
    log_p = F.log_softmax(scores / temperatures, dim=2)
    divergence = F.kl_div(log_p, target.expand_as(log_p), reduction="sum") / scores.shape[1]
    return temperatures.mean().square() * divergence


@full_precision
def distillation(scores: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T²·KL(softmax(teacher/T) ‖ softmax(student/T)), mean over the batch.

    Args:
        scores: The student's mean logits (B, K).
        teacher: The teacher's logits (B, K).
        temperature: T.
    """
    target = F.softmax(teacher.detach() / temperature, dim=1)
    return temperature**2 * F.kl_div(F.log_softmax(scores / temperature, dim=1), target, reduction="batchmean")


def routing_target(scores: Tensor, labels: Tensor) -> Tensor:
    """Return whether a further expert should be evaluated after each expert but the last, bool (E−1, B).

    True where the sum of the experts so far is wrong and the sum up to some later expert is right.

    Args:
        scores: Logits of the experts (E, B, K).
        labels: Class indices (B,).
    """
    right = scores.cumsum(dim=0).argmax(dim=2) == labels
    later = right.flip(0).cummax(dim=0).values.flip(0)
    return ~right[:-1] & later[1:]


@full_precision
def routing_loss(logits: Tensor, target: Tensor, positive_weight: float) -> Tensor:
    """Binary cross-entropy of the routers' logits, positives weighted; mean over routers and images.

    Args:
        logits: The routers' logits for using one more expert (E−1, B).
        target: Whether to use one more expert (E−1, B), bool.
        positive_weight: Weight of the positive targets.
    """
    weight = logits.new_tensor(positive_weight)
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weight)
