"""torchvision's networks for images of 224 pixels, without their classifiers.

torchvision is imported when a network is built: it takes seconds, and not all processes build a network.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ltray.network import Backbone

NewBody = Callable[..., Any]


class ResNet(Backbone):
    """ResNet-50, -101, -152 or ResNeXt: width 2048, stride 32.

    Parameter names after `body.` and the initialisation are those of torchvision; the definitions in
    BCL's and ResCom's code give the same outputs for the same weights.

    Args:
        new_body: Builds the torchvision network.
    """

    width = 2048
    stride = 32

    def __init__(self, new_body: NewBody) -> None:
        super().__init__()
        self.body = new_body()
        self.body.fc = nn.Identity()

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to (B, 2048, H/32, W/32)."""
        x = self.body.maxpool(self.body.relu(self.body.bn1(self.body.conv1(images))))
        x = self.body.layer4(self.body.layer3(self.body.layer2(self.body.layer1(x))))
        assert isinstance(x, Tensor)
        return x


class VisionTransformer(Backbone):
    """ViT-B/16 for 224-pixel images: width 768, stride 16; its feature is the class token.

    Args:
        new_body: Builds the torchvision network.
    """

    width = 768
    stride = 16
    any_size = False
    averages = False

    def __init__(self, new_body: NewBody) -> None:
        super().__init__()
        self.body = new_body()
        self.body.heads = nn.Identity()

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, 224, 224) to the patches' last tokens (B, 768, 14, 14)."""
        side = self.body.image_size // self.stride
        return self._tokens(images)[:, 1:].transpose(1, 2).reshape(-1, self.width, side, side)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, 224, 224) to the last class token (B, 768).

        Raises:
            AssertionError: The images have another size; torchvision's message contains both sizes.
        """
        return self._tokens(images)[:, 0]

    def _tokens(self, images: Tensor) -> Tensor:
        patches = self.body._process_input(images)
        first = self.body.class_token.expand(patches.shape[0], -1, -1)
        tokens = self.body.encoder(torch.cat([first, patches], dim=1))
        assert isinstance(tokens, Tensor)
        return tokens


def published(name: str) -> Any:
    """Build one of torchvision's networks, with random weights."""
    from torchvision import models

    return models.get_model(name)


def resnext101_32x4d() -> Any:
    """Build PaCo's ResNeXt-101 32x4d, which is not in torchvision."""
    from torchvision import models
    from torchvision.models.resnet import Bottleneck

    return models.ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=4)


IMAGE_SIZES = {"vit_b_16": 224}
"""Image size in pixels that a network requires; the other networks accept any size."""

TORCHVISION: dict[str, tuple[type[ResNet] | type[VisionTransformer], NewBody]] = {
    "resnet50": (ResNet, partial(published, "resnet50")),
    "resnet101": (ResNet, partial(published, "resnet101")),
    "resnet152": (ResNet, partial(published, "resnet152")),
    "resnext50_32x4d": (ResNet, partial(published, "resnext50_32x4d")),
    "resnext101_32x4d": (ResNet, resnext101_32x4d),
    "vit_b_16": (VisionTransformer, partial(published, "vit_b_16")),
}
