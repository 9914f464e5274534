"""A basic check of a training program: a method must be able to overfit a few images."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltray.data.dataset import ImageData, Opened
from ltray.data.definition import DatasetDefinition
from ltray.data.pools import MemoryPool
from ltray.data.splits import Split
from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.engine.session import Run
from ltray.network import Backbone, Network
from ltray.parts.heads import new_classifier
from ltray.stage import BuildContext, Method, Stage

SIZE = 8
COUNTS = (12, 8, 4)
NewBackbone = Callable[[], Backbone]


class TinyBlock(nn.Module):
    """A convolution with BatchNorm, which stochastic depth can leave out."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(width, 16, 3, stride, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.drop_path = nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, 16, H/stride, W/stride)."""
        found: Tensor = self.drop_path(self.body(features))
        return found


class TinyBackbone(Backbone):
    """Two convolutions with BatchNorm: images (B, 3, 8, 8) to features (B, 16)."""

    width = 16
    stride = 2

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(TinyBlock(3, 1), TinyBlock(16, 2))

    def feature_map(self, images: Tensor) -> Tensor:
        """Map (B, 3, 8, 8) to (B, 16, 4, 4)."""
        features: Tensor = self.blocks(images)
        return features


def textures() -> ImageData:
    """Open 24 images of three textures; the selection images are the same.

    Crops, flips and changes of colour do not change the class of rows, columns and plain grey.
    """
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    stripes = torch.tensor([40.0, 215.0]).repeat(SIZE // 2)
    patterns = torch.stack(
        [stripes[:, None].expand(SIZE, SIZE), stripes.expand(SIZE, SIZE), torch.full((SIZE, SIZE), 128.0)]
    )
    noise = torch.randn(len(labels), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    pixels = (patterns[torch.from_numpy(labels)][:, None] + 12.0 * noise).clamp(0, 255).to(torch.uint8)

    def images(split: Split) -> MemoryPool:
        return MemoryPool(pixels[torch.from_numpy(split.indices)])

    definition = DatasetDefinition(name="textures", source="digits", image_size=SIZE, flip=False, protocol="paper")
    opened = Opened(("rows", "columns", "grey"), {"train": labels, "test": labels}, str, images, "memory")
    return ImageData(definition, opened, torch.device("cpu"))


def learned(
    methods: Sequence[Method], knobs: Mapping[str, Mapping[str, Any]], *, new_backbone: NewBackbone = TinyBackbone
) -> list[float]:
    """Train methods that continue from one another on the textures.

    Args:
        methods: In order.
        knobs: Values that differ from those for the digits, by method.
        new_backbone: Builds the backbone.

    Returns:
        The best accuracy on the training images that each stage reached.
    """
    data, reports = textures(), MemorySession()
    torch.manual_seed(0)
    network, stages = None, list[Stage]()
    for method in methods:
        context = BuildContext(data.tail, lambda kind: _network(new_backbone(), kind), network, SIZE)
        stages += method.stages(method.knobs.resolve("digits_lt", knobs.get(method.name, {})), context)
        network = stages[-1].network
    train(stages, data, reports, Run(seed=0, device=torch.device("cpu"), selection="test"))
    best = {int(report["stage"]): report["test/acc_all_best"] for report in reports.reports}
    return [best[index] for index in range(len(stages))]


def _network(backbone: Backbone, kind: str) -> Network:
    return Network(backbone, new_classifier(kind, width=backbone.width, classes=len(COUNTS)))
