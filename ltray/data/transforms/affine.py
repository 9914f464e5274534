"""Affine warps, each sample with its own matrix, as PIL's `Image.transform` samples them."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from ltray.data.transforms.pixels import LARGEST, in_bytes

Sampling = Literal["nearest", "bilinear", "bicubic"]
REACH: Mapping[Sampling, int] = {"nearest": 1, "bilinear": 2, "bicubic": 4}  # pixels a filter reads along an axis


def warp(levels: Tensor, matrices: Tensor, *, sampling: Sampling, fill: Sequence[float]) -> Tensor:
    """Return images whose pixel (x, y) is the input's at (a x + b y + c, d x + e y + f).

    Coordinates are those of pixel centres; what lies outside the input becomes `fill`, and
    filters repeat the rim pixel.

    Args:
        levels: Whole levels (m, 3, H, W), uint8 or float32; bytes are overwritten.
        matrices: a b c d e f (m, 6), float64 on the CPU.
        sampling: "nearest", "bilinear", or "bicubic" with PIL's slope of -1.
        fill: Level of each channel outside the input (3,).
    """
    if in_bytes(levels):
        from ltray.data.transforms.kernels import affine as loops
        from ltray.data.transforms.kernels import run

        return run(loops.warp, levels, matrices, REACH[sampling], torch.tensor(fill))
    m, channels, height, width = levels.shape
    a, b, c, d, e, f = matrices.to(levels.device)[:, :, None].unbind(1)
    x = torch.arange(width, device=levels.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=levels.device, dtype=torch.float64) + 0.5
    across = (a * x)[:, None, :] + (b * y + c)[:, :, None]  # (m, H, W)
    down = (d * x)[:, None, :] + (e * y + f)[:, :, None]
    # Along an axis that stays as it is every filter returns the pixel itself: read that one only.
    stays = (matrices == identity(m)).all(dim=0)
    columns, beside = _taps(across, width, "nearest" if stays[:3].all() else sampling)
    rows, above = _taps(down, height, "nearest" if stays[3:].all() else sampling)
    flat = levels.view(m, channels, -1)
    total = torch.zeros_like(levels)
    for row, row_weight in rows:
        for column, column_weight in columns:
            place = (row * width + column).long().view(m, 1, -1).expand(-1, channels, -1)
            total.add_(flat.gather(2, place).view_as(levels).mul_(row_weight * column_weight))
    outside = torch.tensor(fill, device=levels.device, dtype=levels.dtype).view(1, channels, 1, 1)
    inside = 1.0 - beside.add_(above).clamp_(max=1.0).unsqueeze(1)
    return total.clamp_(0.0, LARGEST).floor_().sub_(outside).mul_(inside).add_(outside)


def _taps(place: Tensor, size: int, sampling: Sampling) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the pixels that a filter reads along one axis, and how far they are outside the image.

    Args:
        place: Coordinates (m, H, W), float64, overwritten.
        size: Length of the axis.
        sampling: The filter.

    Returns:
        Index (m, H, W) and weight (m, 1, H, W) or () of each pixel it reads; pixels outside, 0
        inside (m, H, W). All float32: whole numbers are exact, and faster.
    """
    pixel = place.floor().float()
    held = pixel.clamp(0, size - 1)
    outside = pixel.sub_(held).abs_()
    if sampling == "nearest":
        return [(held, torch.ones((), device=place.device))], outside
    first = place.sub_(0.5).floor()
    t = (place - first).float().unsqueeze(1)
    if sampling == "bilinear":
        weights = {0: 1.0 - t, 1: t}
    else:  # Keys' cubic with a = -1
        weights = {
            -1: -t + 2 * t**2 - t**3,
            0: 1 - 2 * t**2 + t**3,
            1: t + t**2 - t**3,
            2: -(t**2) + t**3,
        }
    return [((first.float() + step).clamp_(0, size - 1), weight) for step, weight in weights.items()], outside


def identity(m: int) -> Tensor:
    """Matrices (m, 6) that change nothing: to be filled in, "x" = a x + b y + c, "y" = d x + e y + f."""
    return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64).repeat(m, 1)


def rotation(degrees: Tensor, *, height: int, width: int) -> Tensor:
    """Matrices (m, 6) that turn counter-clockwise about the centre by `degrees` (m,)."""
    angle = degrees.to(torch.float64) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return torch.stack([cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], dim=1)
