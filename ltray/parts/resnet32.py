"""ResNet-32 for 32-pixel images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.network import Backbone


class _ShortcutA(nn.Module):
    """Takes every second pixel and adds zero channels on both sides; no parameters (He et al., option A)."""

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))


class BasicBlock(nn.Module):
    """conv-BN-ReLU-conv-BN plus shortcut, then ReLU."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Identity() if inputs == planes else _ShortcutA((planes - inputs) // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, planes, H/stride, W/stride)."""
        # In place: the gradients of BatchNorm need its input, not its output.
        out = F.relu_(self.bn1(self.conv1(x)))
        return F.relu_(self.bn2(self.conv2(out)).add_(self.shortcut(x)))


class ResNet32(Backbone):
    """The CIFAR ResNet-32 of ResCom, PaCo and LDAM-DRW: 463,504 parameters, width 64.

    Module names equal the official code's, so its weights can be loaded.

    Args:
        planes: Channels of the first stage; the later stages have two and four times as many. 64 gives the wide
            network: 7,383,616 parameters, width 256.
    """

    stride = 4

    def __init__(self, planes: int = 16) -> None:
        super().__init__()
        self.planes = planes
        self.width = 4 * planes
        self.conv1 = nn.Conv2d(3, planes, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.layer1 = residual_stage(planes, planes, 1)
        self.layer2 = residual_stage(planes, 2 * planes, 2)
        self.layer3 = residual_stage(2 * planes, 4 * planes, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to (B, width, H/4, W/4)."""
        x = F.relu_(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        assert isinstance(x, torch.Tensor)
        return x


def residual_stage(inputs: int, planes: int, stride: int) -> nn.Sequential:
    """Build five blocks; the first one changes the width and halves the feature map if `stride` is 2."""
    blocks = [BasicBlock(inputs, planes, stride)] + [BasicBlock(planes, planes, 1) for _ in range(4)]
    return nn.Sequential(*blocks)
