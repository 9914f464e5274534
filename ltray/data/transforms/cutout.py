"""Cutout (DeVries and Taylor, 2017): a black square at a random position in each image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.pixels import in_bytes


@dataclass(frozen=True)
class Cutout:
    """Set a square to level 0 before normalisation, so that it becomes -mean / std afterwards.

    The square's centre is uniform over the pixels. The square is clipped at the image's edge, so
    that between a quarter and all of its area is inside the image.

    Attributes:
        share: Side of the square, as a fraction of the image's height.
    """

    share: float

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        height, width = levels.shape[2:]
        centres = (uniform(keys, 2, salt=salt) * torch.tensor([height, width])).long()
        side = round(self.share * height)
        if in_bytes(levels):
            from ltray.data.transforms.kernels import geometry as cuts
            from ltray.data.transforms.kernels import run

            return run(cuts.cut_holes, levels, centres, side)
        return levels.mul_(cutout_mask(centres.to(levels.device), height=height, width=width, side=side))


def cutout_mask(centres: Tensor, *, height: int, width: int, side: int) -> Tensor:
    """Return a mask that is 0 in the squares and 1 elsewhere.

    Args:
        centres: Row and column of each centre (n, 2); a square is [c - side/2, c + side/2).
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        side: Side of the squares in pixels, an even number.

    Returns:
        float32 (n, 1, height, width).
    """
    rows = _near(centres[:, :1], height, side)
    columns = _near(centres[:, 1:], width, side)
    return (1.0 - rows[:, :, None] * columns[:, None, :]).unsqueeze(1)


def _near(centres: Tensor, length: int, side: int) -> Tensor:
    """Return a mask (n, length) that is 1 at the positions in [c - side/2, c + side/2) and 0 elsewhere."""
    positions = torch.arange(length, device=centres.device)
    return (torch.div(positions - centres + side // 2, side, rounding_mode="floor") == 0).to(torch.float32)
