"""Small networks and data that can be trained in a test."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from ltray.long_tail import LongTail
from ltray.network import Backbone, Network
from ltray.parts.heads import new_classifier
from ltray.stage import BuildContext


class SmallBackbone(Backbone):
    """One convolution, BatchNorm, ReLU: images (B, 3, 8, 8) to features (B, 6)."""

    width = 6
    stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 3, 2, 1)
        self.norm = nn.BatchNorm2d(6)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, 8, 8) to (B, 6, 4, 4)."""
        return torch.relu(self.norm(self.convolution(images)))


class GivenFeatures(Backbone):
    """Features of a golden file instead of images: the identity on (B, d)."""

    stride = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, images: Tensor) -> Tensor:
        """Return the features unchanged."""
        return images


NewContext = Callable[..., BuildContext]


@pytest.fixture(scope="session")
def new_context() -> NewContext:
    """Return the builder of a BuildContext from class counts.

    With `width` the backbone is the identity on features (B, width). `follow` names the
    classifier of a network to continue from.
    """

    def build(counts: Sequence[int], *, width: int | None = None, follow: str | None = None) -> BuildContext:
        def network(kind: str) -> Network:
            backbone = SmallBackbone() if width is None else GivenFeatures(width)
            return Network(backbone, new_classifier(kind, width=backbone.width, classes=len(counts)))

        return BuildContext(LongTail(tuple(counts)), network, network(follow) if follow else None, 8)

    return build
