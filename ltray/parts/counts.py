"""Numbers of rows of each class, without waiting for a GPU."""

import torch
from torch import Tensor


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Return the number of rows of each class (K,), int64.

    `torch.bincount` reads the largest label on the host: a GPU would have to finish its queued work first.

    Args:
        labels: Class indices (B,), int64.
        classes: Number of classes K.
    """
    return labels.new_zeros(classes).index_add_(0, labels, torch.ones_like(labels))
