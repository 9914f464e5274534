"""How often two classes meet as anchor and key of a contrastive loss, and the imbalance γ of positive pairs.

Source: ResCom (arXiv:2203.11506), Fig. 1, Prop. 1 and Fig. 3. The numbers here are exact for batches without
replacement; for large classes and batches γ tends to the square of the imbalance factor.
"""

import math

import torch
from torch import Tensor


def batch_pairs(counts: Tensor, batch: int) -> Tensor:
    """Return the expected number of pairs of different images in a batch, by class of anchor and key (K, K).

    E = B(B−1)/(N(N−1)) · (n nᵀ − diag n), for B of N images drawn without replacement; pairs are ordered.

    Args:
        counts: Training images of each class, n (K,).
        batch: Images of a batch, B, at most N.
    """
    images, total = counts.to(torch.float64), float(counts.sum())
    return batch * (batch - 1) / (total * (total - 1.0)) * (torch.outer(images, images) - images.diag())


def siamese_pairs(counts: Tensor, batch: int) -> Tensor:
    """Return the expected number of pairs of rows of a Siamese batch, of two views of each image (K, K).

    Each pair of images gives four pairs of rows, and each image two pairs of its views.

    Args: see `batch_pairs`.
    """
    images = counts.to(torch.float64)
    return 4.0 * batch_pairs(counts, batch) + (2.0 * batch * images / images.sum()).diag()


def queue_pairs(counts: Tensor, batch: int, keys: Tensor) -> Tensor:
    """Return the expected number of pairs of a batch's images and the keys of a queue (K, K).

    Args:
        counts: Training images of each class (K,).
        batch: Anchors of a step, B.
        keys: Keys of each class in the queue (K,).
    """
    images = counts.to(torch.float64)
    return torch.outer(batch * images / images.sum(), keys.to(torch.float64))


def counted_pairs(members: Tensor, *, views: int) -> Tensor:
    """Return the mean number of pairs of rows in real batches (K, K).

    Args:
        members: Images of each class in each batch (steps, K).
        views: Views of each image, V; with 1 the pairs are those of different images.
    """
    rows = views * members.to(torch.float64)
    return rows.T @ rows / len(rows) - rows.mean(dim=0).diag()


def pair_imbalance(pairs: Tensor) -> float:
    """Return γ: the positive pairs of the class with most over those of the class with fewest, at least 1.

    Args:
        pairs: Number of pairs by class of anchor and key (K, K); the diagonal contains the positive pairs.

    Returns:
        γ; infinite if a class has no positive pairs; NaN if none has.
    """
    positive = pairs.diagonal()
    most, fewest = float(positive.max()), float(positive.min())
    return most / fewest if fewest > 0.0 else math.inf if most > 0.0 else math.nan
