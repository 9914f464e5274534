"""Sums over the pairs of a contrastive batch, without a table of who is whose positive.

With similarities s_ij = a_i·k_j/τ, every supervised contrastive loss needs two numbers an
anchor: the logarithm of its sum of exponentials, and the sum of its similarities to the keys
of its class. The second is a product with the class's sum of keys, so that the only thing of
size anchors × keys is the similarities themselves.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ltray.parts.contrast import ContrastBatch, similarity

# The official codes of PaCo and DSCL subtract a row's maximum and then add 1e-12 to its sum.
# At τ = 0.05 that is felt: an anchor meets itself with e^20 and a stranger with e^0.
EPSILON = 1e-12


def extended(contrast: ContrastBatch, keys: Tensor, labels: Tensor) -> ContrastBatch:
    """Return the batch with further keys (m, d) and their labels (m,) behind its own."""
    return replace(
        contrast,
        keys=torch.cat([contrast.keys, keys.to(contrast.keys.dtype)]),
        key_labels=torch.cat([contrast.key_labels, labels]),
    )


def log_sum_exp(anchors: Tensor, keys: Tensor, own: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log Σ_{j≠own} exp(s_ij), and the row maximum of s with the own key among them.

    Args:
        anchors: Unit embeddings (A, d).
        keys: Unit embeddings (M, d).
        own: Where each anchor stands among the keys (A,).
        temperature: τ.

    Returns:
        Both (A,), the maximum without gradient; −inf for an anchor without other keys.
    """
    similarities = similarity(anchors, keys, temperature=temperature)
    peak = similarities.detach().amax(dim=1)
    return similarities.scatter_(1, own[:, None], -math.inf).logsumexp(dim=1), peak


def floored(log_sum: Tensor, peak: Tensor) -> Tensor:
    """Return log(Z + 1e-12·e^peak): the official codes' guard against log 0."""
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
        Sum and number, both (A,) and floating.
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
    keys of the anchor's class except itself. An anchor without any counts 0.

    Args:
        contrast: Anchors and keys.
        temperature: τ.
        classes: Number of classes K.
        class_weight: Weight of an anchor by its class (K,); None for 1.

    Returns:
        A scalar.
    """
    log_z = floored(*log_sum_exp(contrast.anchors, contrast.keys, contrast.own, temperature=temperature))
    total, count = positive_similarity(contrast, temperature=temperature, classes=classes)
    losses = torch.where(count > 0, log_z - total / count.clamp(min=1.0), 0.0)
    if class_weight is not None:
        losses = losses * class_weight.to(losses.dtype)[contrast.labels]
    return losses.mean()
