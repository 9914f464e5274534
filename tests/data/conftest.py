"""Images for the augmentation tests."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from tests.data.folders_and_commands import here, run_command

__all__ = ["here", "run_command"]

MakeImages = Callable[[int, int], Tensor]


@pytest.fixture(scope="session")
def make_images() -> MakeImages:
    """Make (count, size) images like photographs: smooth colours, edges and noise, uint8 (n, 3, S, S)."""

    def make(count: int, size: int) -> Tensor:
        generator = torch.Generator().manual_seed(count * 1000 + size)
        coarse = torch.rand(count, 3, 5, 5, generator=generator)
        smooth = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)
        edges = (torch.rand(count, 1, size, 1, generator=generator) < 0.1).float().cumsum(2) % 2
        noise = torch.rand(count, 3, size, size, generator=generator)
        light = torch.rand(count, 1, 1, 1, generator=generator)
        mixed = (0.8 * smooth + 0.15 * edges + 0.1 * noise) * (0.4 + 0.6 * light) + 0.1 * (1 - light)
        return (mixed * 255).clamp(0, 255).round().to(torch.uint8)

    return make


@pytest.fixture(scope="session")
def to_pil() -> Callable[[Tensor], list[Image.Image]]:
    """Turn uint8 (n, 3, H, W) into PIL images."""
    return lambda images: [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]


@pytest.fixture(scope="session")
def from_pil() -> Callable[[list[Image.Image]], Tensor]:
    """Turn PIL images into levels, float32 (n, 3, H, W)."""
    return lambda images: torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images]).float()
