"""Classifiers that change the scores of another classifier: scale per class, shift, temperature."""

import torch
from torch import Tensor, nn


class ClassScale(nn.Module):
    """One learnable factor per class, initially 1.

    Args:
        classes: Number of classes K.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(classes))

    def forward(self, scores: Tensor) -> Tensor:
        """Multiply the scores (B, K)."""
        return self.weight * scores


class ScaledClassifier(nn.Module):
    """s_k·(w_k·x + b_k): the bias is scaled too, as in the official codes of LWS and MiSLAS.

    Args:
        classifier: The classifier whose scores are scaled; shared, not copied.
        classes: Number of classes K.
    """

    def __init__(self, classifier: nn.Module, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.scale = ClassScale(classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scores (B, K)."""
        scores: Tensor = self.scale(self.classifier(features))
        return scores


class ShiftedClassifier(nn.Module):
    """(z_k − shift_k) / temperature of another classifier's scores z; both are buffers.

    Args:
        classifier: The classifier that gives z; shared, not copied.
        classes: Number of classes K.
    """

    shift: Tensor
    temperature: Tensor

    def __init__(self, classifier: nn.Module, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("shift", torch.zeros(classes))
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scores (B, K)."""
        scores: Tensor = (self.classifier(features) - self.shift) / self.temperature
        return scores
