"""Sums over the pairs of a contrastive batch, without a matrix of positive pairs.

With similarities s_ij = a_i·k_j/τ, every supervised contrastive loss needs two numbers per
anchor: the logarithm of the sum of exponentials, and the sum of the similarities to the keys
of the anchor's class. The second is the product of the anchor and the sum of these keys, so
that the similarities are the only tensor of size anchors × keys.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ltray.parts.contrast import ContrastBatch, similarity
from ltray.parts.precision import full_precision

# The official codes of PaCo and DSCL subtract a row's maximum and then add 1e-12 to its sum.
# At τ = 0.05 this matters: an anchor's similarity to itself gives e^20, one of 0 gives e^0.
EPSILON = 1e-12


def extended(contrast: ContrastBatch, keys: Tensor, labels: Tensor) -> ContrastBatch:
    """Return the batch with further keys (m, d) and their labels (m,) appended."""
    live = len(contrast.keys) if contrast.live is None else contrast.live
    return replace(
        contrast,
        live=None if keys.requires_grad else live,
        keys=torch.cat([contrast.keys, keys.to(contrast.keys.dtype)]),
        key_labels=torch.cat([contrast.key_labels, labels]),
    )


@full_precision
def log_sum_exp(
    anchors: Tensor, keys: Tensor, own: Tensor, *, temperature: float, live: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return log Σ_{j≠own} exp(s_ij), and the maximum of each row of s, including the anchor's own key.

    Args:
        anchors: Unit embeddings (A, d).
        keys: Unit embeddings (M, d).
        own: Index of each anchor among the keys (A,).
        temperature: τ.
        live: Number of keys, from the first, that receive a gradient; None for all.

    Returns:
        Both (A,), the maximum without gradient; −inf for an anchor without other keys.
    """
    log_sum, peak = _LogSumExp.apply(anchors, keys, own, temperature, len(keys) if live is None else live)
    return log_sum, peak


class _LogSumExp(torch.autograd.Function):
    """Stores at most two tensors of size anchors × keys; autograd would store five.

    The keys of a queue need no gradient, which is not computed: a queue of 65,536 keys is most of the keys.
    """

    @staticmethod
    def forward(
        ctx: Any, anchors: Tensor, keys: Tensor, own: Tensor, temperature: float, live: int
    ) -> tuple[Tensor, Tensor]:
        scores = similarity(anchors, keys, temperature=temperature)
        peak = scores.amax(dim=1)
        scores.scatter_(1, own[:, None], -math.inf)
        top = scores.amax(dim=1)
        top = torch.where(top.isinf(), 0.0, top)  # an anchor without other keys
        shares = scores.sub_(top[:, None]).exp_()
        sums = shares.sum(dim=1)
        ctx.save_for_backward(anchors, keys, shares, sums)
        ctx.temperature, ctx.live = temperature, live
        ctx.mark_non_differentiable(peak)
        return sums.log() + top, peak

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        anchors, keys, shares, sums = ctx.saved_tensors
        scale = torch.where(sums > 0, grad / (ctx.temperature * sums), 0.0)
        weights = shares * scale[:, None]
        to_anchors = weights @ keys if ctx.needs_input_grad[0] else None
        to_keys = None
        if ctx.needs_input_grad[1]:
            to_keys = torch.zeros_like(keys)
            to_keys[: ctx.live] = weights[:, : ctx.live].T @ anchors
        return to_anchors, to_keys, None, None, None


def log_sum_exp_of(contrast: ContrastBatch, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Return `log_sum_exp` of a batch."""
    return log_sum_exp(contrast.anchors, contrast.keys, contrast.own, temperature=temperature, live=contrast.live)


def floored(log_sum: Tensor, peak: Tensor) -> Tensor:
    """Return log(Z + 1e-12·e^peak), with which the official codes prevent log 0."""
    return torch.logaddexp(log_sum, peak + math.log(EPSILON))


def class_similarity(
    anchors: Tensor, labels: Tensor, memory: tuple[Tensor, Tensor], *, temperature: float, classes: int
) -> tuple[Tensor, Tensor]:
    """Return Σ s_ij over the keys of an anchor's class, and their number.

    Args:
        anchors: Unit embeddings (A, d).
        labels: Their classes (A,).
        memory: Keys (M, d) and their labels (M,).
        temperature: τ.
        classes: Number of classes K.

    Returns:
        Sum and number, both (A,) and floating-point.
    """
    keys, key_labels = memory
    sums = keys.new_zeros(classes, keys.shape[1]).index_add(0, key_labels, keys)
    sizes = keys.new_zeros(classes).index_add(0, key_labels, keys.new_ones(len(key_labels)))
    return (anchors * sums[labels]).sum(dim=1) / temperature, sizes[labels]


def positive_similarity(contrast: ContrastBatch, *, temperature: float, classes: int) -> tuple[Tensor, Tensor]:
    """Return Σ s_ij over the keys of an anchor's class except itself, and their number, both (A,)."""
    memory = (contrast.keys, contrast.key_labels)
    total, count = class_similarity(contrast.anchors, contrast.labels, memory, temperature=temperature, classes=classes)
    itself = (contrast.anchors * contrast.keys[contrast.own]).sum(dim=1) / temperature
    return total - itself, count - 1.0


def supervised_contrast(
    contrast: ContrastBatch, *, temperature: float, classes: int, class_weight: Tensor | None = None
) -> Tensor:
    """SupCon: the mean over anchors of −1/|P_i| Σ_{p∈P_i} log softmax_p(s_i).

    Source: Khosla et al., NeurIPS 2020, eq. 2 (L_out), any number of views; positives are the
    keys of the anchor's class except itself. The loss of an anchor without positives is 0.

    Args:
        contrast: Anchors and keys.
        temperature: τ.
        classes: Number of classes K.
        class_weight: Weight of an anchor by its class (K,); None for equal weights of 1.

    Returns:
        A scalar.
    """
    log_z = floored(*log_sum_exp_of(contrast, temperature=temperature))
    total, count = positive_similarity(contrast, temperature=temperature, classes=classes)
    losses = torch.where(count > 0, log_z - total / count.clamp(min=1.0), 0.0)
    if class_weight is not None:
        losses = losses * class_weight.to(losses.dtype)[contrast.labels]
    return losses.mean()
