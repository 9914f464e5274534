"""Several experts on a shared stem: the networks of RIDE."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltray.errors import UsageError
from ltray.network import Backbone
from ltray.parts.heads import CosineClassifier
from ltray.parts.resnet32 import ResNet32, residual_stage
from ltray.parts.torchvision_backbones import ResNet

SHARE = 0.75  # of the usual widths, in narrow experts


class ExpertBackbone(Backbone):
    """A stem and, on its output, the bodies of E experts; their features are concatenated.

    Args:
        stem: Maps images to the input of all experts.
        bodies: Each maps this input to a feature map (B, d, h, w).
        each: Feature width d of one expert.
        stride: Pixels of the image per cell of the feature maps.
    """

    def __init__(self, stem: nn.Module, bodies: Sequence[nn.Module], *, each: int, stride: int) -> None:
        super().__init__()
        self.stem = stem
        self.bodies = nn.ModuleList(bodies)
        self.each = each
        self.width = each * len(bodies)
        self.stride = stride

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the experts' feature maps, (B, E·d, H/stride, W/stride)."""
        shared = self.stem(images)
        return torch.cat([body(shared) for body in self.bodies], dim=1)

    def expert(self, index: int, shared: Tensor) -> Tensor:
        """Map the stem's output to the features (B, d) of one expert."""
        return F.adaptive_avg_pool2d(self.bodies[index](shared), 1).flatten(1)


class ExpertClassifier(nn.Module):
    """One classifier per expert; the scores are their mean.

    Args:
        experts: Number of experts E.
        width: Feature width d of each.
        classes: Number of classes K.
        scale: s of the cosine classifiers.
    """

    def __init__(self, experts: int, width: int, classes: int, *, scale: float) -> None:
        super().__init__()
        self.heads = nn.ModuleList(CosineClassifier(width, classes, scale=scale) for _ in range(experts))

    def each(self, features: Tensor) -> Tensor:
        """Map the experts' features (B, E·d) to their scores (E, B, K)."""
        parts = features.chunk(len(self.heads), dim=1)
        return torch.stack([head(part) for head, part in zip(self.heads, parts, strict=True)])

    def forward(self, features: Tensor) -> Tensor:
        """Map the experts' features (B, E·d) to the mean scores (B, K)."""
        return self.each(features).mean(dim=0)


def expert_backbone(backbone: Backbone, experts: int, *, narrow: bool) -> ExpertBackbone:
    """Turn a backbone into one with experts: its early stages are shared, the last two multiplied.

    Source: RIDE's official code: ResNet-32 with expert stages of 24 and 48 channels instead of
    32 and 64, ResNet and ResNeXt with 192 and 384 planes instead of 256 and 512.

    Args:
        backbone: An untrained ResNet-32 or torchvision ResNet; its early stages are reused.
        experts: Number of experts E.
        narrow: Whether the experts' stages have three quarters of the width.

    Raises:
        UsageError: A backbone of another kind, or one with frozen parts.
    """
    if getattr(backbone, "tuned", None) is not None:
        raise UsageError("Experts replace the last two stages of a backbone by new ones: set `train` to all.")
    share = SHARE if narrow else 1.0
    if isinstance(backbone, ResNet32):
        stem = nn.Sequential(backbone.conv1, backbone.bn1, nn.ReLU(), backbone.layer1)
        first, middle, last = backbone.planes, int(2 * backbone.planes * share), int(4 * backbone.planes * share)
        bodies = [
            nn.Sequential(residual_stage(first, middle, 2), residual_stage(middle, last, 2)) for _ in range(experts)
        ]
        _initialise(bodies, "fan_in")
        return ExpertBackbone(stem, bodies, each=last, stride=backbone.stride)
    if isinstance(backbone, ResNet):
        body = backbone.body
        stem = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool, body.layer1, body.layer2)
        bodies = [_torchvision_body(body, int(256 * share), int(512 * share)) for _ in range(experts)]
        _initialise(bodies, "fan_out")
        return ExpertBackbone(stem, bodies, each=4 * int(512 * share), stride=backbone.stride)
    raise UsageError(
        "Experts need a residual network whose last two stages they multiply, ResNet-32 or torchvision's ResNet and "
        f"ResNeXt, but the backbone is {type(backbone).__name__}."
    )


def _torchvision_body(body: nn.Module, middle: int, last: int) -> nn.Sequential:
    """Build new third and fourth stages by the rules of the network (bottlenecks, groups)."""
    block, depths = type(body.layer3[0]), (len(body.layer3), len(body.layer4))  # type: ignore[index,arg-type]
    body.inplanes = body.layer3[0].conv1.in_channels  # type: ignore[index,union-attr]
    stages = [
        body._make_layer(block, planes, depth, stride=2)  # type: ignore[operator]
        for planes, depth in zip((middle, last), depths, strict=True)
    ]
    return nn.Sequential(*stages)


def _initialise(bodies: Sequence[nn.Module], mode: str) -> None:
    for body in bodies:
        for module in body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")  # type: ignore[arg-type]
