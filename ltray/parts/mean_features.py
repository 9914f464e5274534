"""The mean feature of each class, as the rows of a cosine classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.errors import UsageError


def class_means(features: Tensor, labels: Tensor, *, classes: int) -> Tensor:
    """Return the mean of each class's features, scaled to unit length (K, d).

    Source: the class-mean start of Shi et al., Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts,
    ICML 2024 (arXiv:2309.10019); the features are not scaled before the mean.

    Args:
        features: (N, d).
        labels: Class indices (N,).
        classes: Number of classes, K.

    Raises:
        UsageError: A class has no features.
    """
    count = torch.bincount(labels, minlength=classes)
    if not bool(count.all()):
        absent = torch.nonzero(count == 0).flatten().tolist()
        raise UsageError(f"a class mean needs at least 1 training image, but class {absent[0]} has none.")
    total = torch.zeros(classes, features.shape[1], dtype=torch.float64, device=features.device)
    total.index_add_(0, labels.to(features.device), features.double())
    return F.normalize(total / count.to(total)[:, None], dim=1).to(features.dtype)
