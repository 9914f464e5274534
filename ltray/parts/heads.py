"""Classifiers and projectors on top of a backbone."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.errors import chosen


class CosineClassifier(nn.Module):
    """Classifier with the scores s·cos(x, w_k) and no bias.

    Source: `NormedLinear` of LDAM-DRW, BCL and RIDE. The weights are initialised uniformly in
    (-1, 1), then scaled to rows of unit length. Their shape is (K, d), in the original (d, K).

    Args:
        width: Feature width d.
        classes: Number of classes K.
        scale: s; 30 in BCL and LDAM, 1 if the method scales the scores.
    """

    def __init__(self, width: int, classes: int, *, scale: float = 30.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, width).uniform_(-1.0, 1.0), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scores (B, K)."""
        return self.scale * F.normalize(features, dim=1) @ F.normalize(self.weight, dim=1).T


class UnitRowsClassifier(nn.Module):
    """Classifier with the scores ⟨x, w_k/|w_k|⟩ and no bias.

    Source: `L2NormedClassifier` and `LayerNormedClassifier` of LIFT. The weights are initialised as those of
    `CosineClassifier`.

    Args:
        width: Feature width d.
        classes: Number of classes K.
        layer_norm: Whether features first have mean 0 and variance 1 over their d values (ε = 1e-12), without learned
            scale or shift.
    """

    def __init__(self, width: int, classes: int, *, layer_norm: bool = False) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, width).uniform_(-1.0, 1.0), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, d) to scores (B, K)."""
        rows = F.layer_norm(features, features.shape[1:], eps=1e-12) if self.layer_norm else features
        return rows @ F.normalize(self.weight, dim=1).T


CLASSIFIERS: Mapping[str, Callable[[int, int], nn.Module]] = {
    "linear": nn.Linear,
    "cosine": CosineClassifier,
    "l2": UnitRowsClassifier,
    "layer_norm": partial(UnitRowsClassifier, layer_norm=True),
}
"""Builders of a classifier from width and number of classes: linear with bias, cosine with scale 30, weights of unit
length (`l2`), the same on normalised features (`layer_norm`)."""


def new_classifier(kind: str, *, width: int, classes: int) -> nn.Module:
    """Build a classifier by name.

    Args:
        kind: A key of `CLASSIFIERS`.
        width: Width of the features, d.
        classes: Number of classes, K.

    Raises:
        UsageError: No classifier has this name.
    """
    return chosen(kind, CLASSIFIERS, "a classifier")(width, classes)


def projector(width: int, hidden: int, out: int) -> nn.Sequential:
    """Build Linear → BatchNorm → ReLU → Linear, as in ResCom, PaCo and BCL."""
    return nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out))


def mlp(*widths: int) -> nn.Sequential:
    """Build Linear → ReLU → … → Linear without BatchNorm, as in DSCL (two layers) and GPaCo (three).

    Args:
        widths: Width of the input, of each hidden layer and of the output.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
