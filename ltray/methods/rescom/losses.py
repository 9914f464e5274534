"""ResCom's contrastive loss and its mining of hard pairs, as pure functions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.parts.contrast import similarity
from ltray.parts.precision import full_precision

EPSILON = 1e-9
"""What the official code adds to π and to the number of positives."""


@full_precision
def class_balanced_contrast(similarities: Tensor, positives: Tensor, weights: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss over given similarities, anchors weighted by class.

    ℓ_i = −Σ_{p positive} log softmax(s_i / τ)_p / (number of positives + 1e-9); the loss is
    the mean of w_i·ℓ_i over anchors (ResCom, eq. 5; official code, `SiamBS_SPM`).

    Args:
        similarities: Cosine similarities (A, M); −inf where a column is no key of the anchor.
        positives: Which columns are positives of the anchor (A, M), bool.
        weights: Weight of each anchor's class (A,).
        temperature: τ.

    Returns:
        A scalar.
    """
    scaled = similarities / temperature
    count = positives.sum(1).to(scaled.dtype)
    attracted = scaled.masked_fill(~positives, 0.0).sum(1)
    each = (count * scaled.logsumexp(1) - attracted) / (count + EPSILON)
    return (weights.to(each.dtype) * each).mean()


@full_precision
def mined_similarities(
    anchors: Tensor, keys: Tensor, slots: tuple[Tensor, Tensor], *, positives: int, negatives: int
) -> tuple[Tensor, Tensor]:
    """Similarities to the least similar keys of the own class and the most similar others.

    ResCom, Section 3.4 (supervised hard positive and negative pairs mining).

    Args:
        anchors: Unit rows (A, d).
        keys: Unit rows of the queue (S, d); they get no gradient.
        slots: Queue slots of each anchor's class (A, m) and which of them count (A, m),
            as `ClassQueue.slots_of` returns them.
        positives: Q_p, at most m. A class with fewer slots uses all of them.
        negatives: Q_n, at most S.

    Returns:
        Similarities (A, Q_p + Q_n), positives ascending, then negatives descending, −inf
        where no key was left; and which columns are positives, bool.
    """
    own_slots, counts = slots
    with torch.no_grad():
        values = similarity(anchors, keys)
        own = values.gather(1, own_slots).masked_fill(~counts, torch.inf)
        near = own.topk(positives, largest=False)
        far = values.scatter_(1, own_slots, -torch.inf).topk(negatives)
        found = near.values.isposinf().logical_not()
        values = torch.cat([near.values.masked_fill(~found, -torch.inf), far.values], dim=1)
        chosen = torch.cat([own_slots.gather(1, near.indices), far.indices], dim=1)
        is_positive = torch.cat([found, torch.zeros_like(far.indices, dtype=torch.bool)], dim=1)
    return _Chosen.apply(anchors, keys, values, chosen), is_positive


class _Chosen(torch.autograd.Function):
    """Chosen similarities with the gradient to the anchors.

    Autograd through `topk` would fill a gradient for every key of the queue; here only the
    chosen keys are read again.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, keys: Tensor, values: Tensor, chosen: Tensor) -> Tensor:
        ctx.save_for_backward(keys, chosen)
        return values

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        keys, chosen = ctx.saved_tensors
        return F.embedding_bag(chosen, keys, mode="sum", per_sample_weights=grad.contiguous()), None, None, None
