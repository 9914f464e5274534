"""A network: a backbone, which computes features, and a classifier on them."""

import torch.nn.functional as F
from torch import Tensor, nn


class Backbone(nn.Module):
    """Maps images to feature maps and features.

    Attributes:
        width: Feature width d.
        stride: Pixels of the image per cell of the feature map.
        any_size: Whether it accepts images of every size.
        averages: Whether its feature is the average of its feature map.
    """

    width: int
    stride: int
    any_size: bool = True
    averages: bool = True

    @property
    def loadable(self) -> nn.Module:
        """The module whose parameter names files of weights use: the network of a library, or the backbone itself."""
        body = getattr(self, "body", None)
        return body if isinstance(body, nn.Module) else self

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the last feature map (B, d, H/stride, W/stride)."""
        raise TypeError(f"{type(self).__name__} must define feature_map(images).")

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, d): the average of the feature map."""
        return F.adaptive_avg_pool2d(self.feature_map(images), 1).flatten(1)


class Network(nn.Module):
    """A backbone and its classifier.

    Args:
        backbone: Maps images (B, 3, H, W) to features (B, d); `width` is d.
        classifier: Maps features to scores (B, K); has `weight` (K, d).
    """

    def __init__(self, backbone: Backbone, classifier: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), or features (B, d) of the backbone, to scores (B, K)."""
        features = images if images.dim() == 2 else self.backbone(images)
        scores: Tensor = self.classifier(features)
        return scores
