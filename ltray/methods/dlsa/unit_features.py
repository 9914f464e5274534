"""A backbone whose features have unit root mean square on the training set."""

import torch
from torch import Tensor

from ltray.network import Backbone
from ltray.stage import TrainingData


class UnitFeatures(Backbone):
    """Features of another backbone divided by their root mean square on the training set.

    Args:
        inner: The backbone; shared, not copied.
    """

    size: Tensor

    def __init__(self, inner: Backbone) -> None:
        super().__init__()
        self.inner = inner
        self.width = inner.width
        self.stride = inner.stride
        self.register_buffer("size", torch.ones(()))

    @torch.no_grad()
    def fit(self, data: TrainingData) -> None:
        """Measure the features of the training set; features that are all zero are not scaled."""
        size = data.features(self.inner).square().mean().sqrt()
        self.size.copy_(size if size > 0 else torch.ones(()))

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the feature map (B, d, H/stride, W/stride)."""
        return self.inner.feature_map(images) / self.size

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, d)."""
        features: Tensor = self.inner(images) / self.size
        return features
