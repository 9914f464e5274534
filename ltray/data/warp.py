"""Affine warps, each sample with its own matrix, as PIL's `Image.transform` samples them."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ltray.data.pixels import LARGEST

Sampling = Literal["nearest", "bilinear", "bicubic"]


def warp(levels: Tensor, matrices: Tensor, *, sampling: Sampling, fill: Sequence[float]) -> Tensor:
    """Return images whose pixel (x, y) is the input's at (a x + b y + c, d x + e y + f).

    Coordinates are those of pixel centres; what lies outside the input becomes `fill`, and
    filters repeat the rim pixel.

    Args:
        levels: Whole levels (m, 3, H, W).
        matrices: a b c d e f (m, 6), float64 on the CPU.
        sampling: "nearest", "bilinear", or "bicubic" with PIL's slope of -1.
        fill: Level of each channel outside the input (3,).
    """
    m, channels, height, width = levels.shape
    a, b, c, d, e, f = matrices.to(levels.device)[:, :, None, None].unbind(1)
    x = torch.arange(width, device=levels.device, dtype=torch.float64) + 0.5
    y = (torch.arange(height, device=levels.device, dtype=torch.float64) + 0.5)[:, None]
    across, down = a * x + b * y + c, d * x + e * y + f  # (m, H, W)
    inside = ((across >= 0) & (across < width) & (down >= 0) & (down < height)).to(levels.dtype).unsqueeze(1)
    flat = levels.view(m, channels, -1)
    # Along an axis that stays as it is every filter returns the pixel itself: read that one only.
    stays = (matrices == identity(m)).all(dim=0)
    columns = _taps(across, width, "nearest" if stays[:3].all() else sampling)
    rows = _taps(down, height, "nearest" if stays[3:].all() else sampling)
    total: Tensor | None = None
    for row, row_weight in rows:
        line: Tensor | None = None
        for column, weight in columns:
            place = (row * width + column).view(m, 1, -1).expand(-1, channels, -1)
            pixel = flat.gather(2, place).view_as(levels)
            pixel = pixel if weight is None else pixel.mul_(weight)
            line = pixel if line is None else line.add_(pixel)
        assert line is not None
        line = line if row_weight is None else line.mul_(row_weight)
        total = line if total is None else total.add_(line)
    assert total is not None
    outside = torch.tensor(fill, device=levels.device, dtype=levels.dtype).view(1, channels, 1, 1)
    return total.clamp_(0.0, LARGEST).floor_().sub_(outside).mul_(inside).add_(outside)


def _taps(place: Tensor, size: int, sampling: Sampling) -> list[tuple[Tensor, Tensor | None]]:
    """Return (index (m, H, W), weight (m, 1, H, W)) of each pixel that a filter reads along one axis."""
    if sampling == "nearest":
        return [(place.floor().long().clamp_(0, size - 1), None)]
    first = (place - 0.5).floor()
    t = (place - 0.5 - first).to(torch.float32).unsqueeze(1)
    if sampling == "bilinear":
        weights = {0: 1.0 - t, 1: t}
    else:  # Keys' cubic with a = -1
        weights = {
            -1: -t + 2 * t**2 - t**3,
            0: 1 - 2 * t**2 + t**3,
            1: t + t**2 - t**3,
            2: -(t**2) + t**3,
        }
    return [((first.long() + step).clamp_(0, size - 1), weight) for step, weight in weights.items()]


def identity(m: int) -> Tensor:
    """Matrices (m, 6) that change nothing: to be filled in, "x" = a x + b y + c, "y" = d x + e y + f."""
    return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64).repeat(m, 1)


def rotation(degrees: Tensor, *, height: int, width: int) -> Tensor:
    """Matrices (m, 6) that turn counter-clockwise about the centre by `degrees` (m,)."""
    angle = degrees.to(torch.float64) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return torch.stack([cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], dim=1)
