"""Direct formulations of the contrastive losses, for comparison.

They follow the formulas directly: a matrix of pairs for each of mask, count, exponential and
logarithm, the contrast set in one tensor, one-hot labels to count classes. They are correct and
easy to read; `losses.py` measures their cost.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def adjusted_cross_entropy(scores: Tensor, labels: Tensor, log_prior: Tensor) -> Tensor:
    """Balanced Softmax with one-hot labels."""
    target = F.one_hot(labels, scores.shape[1]).to(scores.dtype)
    return -(target * (scores + log_prior).log_softmax(1)).sum(1).mean()


def balanced_contrast(
    first: Tensor, second: Tensor, labels: Tensor, *, prototypes: Tensor, temperature: float
) -> Tensor:
    """BCL, eq. 9: every class counts once in the denominator."""
    classes, anchors = prototypes.shape[0], 2 * labels.shape[0]
    rows = torch.cat([first, second, prototypes])
    row_labels = torch.cat([labels, labels, torch.arange(classes, device=labels.device)])
    counts = torch.eye(classes, device=labels.device)[row_labels].sum(0)
    other = ~torch.eye(anchors, rows.shape[0], dtype=torch.bool, device=labels.device)
    positive = (row_labels[:anchors, None] == row_labels[None, :]) & other
    members = counts[row_labels][None, :].expand(anchors, -1) - positive.to(rows.dtype)
    similarities = rows[:anchors] @ rows.T / temperature
    denominator = (similarities.exp() * other / members).sum(1, keepdim=True)
    log_share = similarities - denominator.log()
    return -((log_share * positive).sum(1) / positive.sum(1)).mean()


def mined_contrast(
    first: Tensor,
    second: Tensor,
    labels: Tensor,
    *,
    queue: tuple[Tensor, Tensor],
    weights: Tensor,
    mined: tuple[int, int],
    temperature: float,
) -> Tensor:
    """ResCom: the batch, and the hardest keys of a queue (keys, labels)."""
    anchors, labels = torch.cat([first, second]), labels.repeat(2)
    own = labels[:, None] == queue[1][None, :]
    similarities = anchors @ queue[0].T
    near = -torch.where(own, -similarities, -torch.inf).topk(mined[0]).values
    far = torch.where(own, -torch.inf, similarities).topk(mined[1]).values
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    pairs = (anchors @ anchors.T).masked_fill(itself, -1e4)
    log_share = (torch.cat([pairs, near, far], dim=1) / temperature).log_softmax(1)
    positive = torch.cat(
        [(labels[:, None] == labels[None, :]) & ~itself, torch.ones_like(near) > 0, torch.zeros_like(far) > 0], dim=1
    )
    return -(weights[labels] * (log_share * positive).sum(1) / positive.sum(1)).mean()


def parametric_contrast(
    query: Tensor,
    key: Tensor,
    labels: Tensor,
    *,
    queue: tuple[Tensor, Tensor],
    centres: Tensor,
    alpha: float,
    temperature: float,
) -> Tensor:
    """PaCo: class centres and samples in one softmax, β = γ = 1."""
    rows, row_labels = torch.cat([query, key, queue[0]]), torch.cat([labels, labels, queue[1]])
    itself = torch.eye(len(labels), len(rows), dtype=torch.bool, device=labels.device)
    samples = (query @ rows.T / temperature).masked_fill(itself, -1e4)
    log_share = torch.cat([centres, samples], dim=1).log_softmax(1)
    positive = (labels[:, None] == row_labels[None, :]) & ~itself
    target = torch.cat([F.one_hot(labels, centres.shape[1]), alpha * positive], dim=1)
    return -((target * log_share).sum(1) / target.sum(1)).mean()


def decoupled_contrast(
    query: Tensor, key: Tensor, labels: Tensor, *, queue: tuple[Tensor, Tensor], alpha: float, temperature: float
) -> Tensor:
    """DSCL: α for the own key; the rest for the other positives of batch and queue."""
    images = len(labels)
    rows, row_labels = torch.cat([query, key, queue[0]]), torch.cat([labels, labels, queue[1]])
    itself = torch.eye(images, len(rows), dtype=torch.bool, device=labels.device)
    log_share = (query @ rows.T / temperature).masked_fill(itself, -1e4).log_softmax(1)
    own = itself.roll(images, dims=1)
    others = (labels[:, None] == row_labels[None, :]) & ~itself & ~own
    target = alpha * own + (1.0 - alpha) * others / others.sum(1, keepdim=True)
    return -(target * log_share).sum(1).mean()
