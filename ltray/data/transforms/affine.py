"""Affine warps with one matrix per sample, sampled like PIL's `Image.transform`."""

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

    Coordinates refer to pixel centres. Pixels outside the input become `fill`; filters repeat
    the pixels of the image's edge.

    Args:
        levels: Integer levels 0..255 (m, 3, H, W), uint8 or float32; uint8 levels are overwritten.
        matrices: The coefficients a, b, c, d, e, f (m, 6), float64 on the CPU.
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
    # Along an axis that does not change, every filter returns the pixel itself: read only this pixel.
    unchanged = (matrices == identity(m)).all(dim=0)
    columns, outside_columns = _taps(across, width, "nearest" if unchanged[:3].all() else sampling)
    rows, outside_rows = _taps(down, height, "nearest" if unchanged[3:].all() else sampling)
    flat = levels.view(m, channels, -1)
    total = torch.zeros_like(levels)
    for row, row_weight in rows:
        for column, column_weight in columns:
            index = (row * width + column).long().view(m, 1, -1).expand(-1, channels, -1)
            total.add_(flat.gather(2, index).view_as(levels).mul_(row_weight * column_weight))
    background = torch.tensor(fill, device=levels.device, dtype=levels.dtype).view(1, channels, 1, 1)
    inside = 1.0 - outside_columns.add_(outside_rows).clamp_(max=1.0).unsqueeze(1)
    return total.clamp_(0.0, LARGEST).floor_().sub_(background).mul_(inside).add_(background)


def _taps(coordinates: Tensor, size: int, sampling: Sampling) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Return the pixels that a filter reads along one axis, and how far they are outside the image.

    Args:
        coordinates: Coordinates along the axis (m, H, W), float64, overwritten.
        size: Length of the axis in pixels.
        sampling: The filter.

    Returns:
        Index (m, H, W) and weight (m, 1, H, W) or () of each pixel that the filter reads; and the
        distance from the image in pixels, 0 inside (m, H, W). All are float32, which is exact for
        integers of this size and faster than int64.
    """
    pixel = coordinates.floor().float()
    nearest = pixel.clamp(0, size - 1)
    outside = pixel.sub_(nearest).abs_()
    if sampling == "nearest":
        return [(nearest, torch.ones((), device=coordinates.device))], outside
    first = coordinates.sub_(0.5).floor()
    t = (coordinates - first).float().unsqueeze(1)
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
    """Return identity matrices (m, 6): the coefficients of x' = a x + b y + c and y' = d x + e y + f."""
    return torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64).repeat(m, 1)


def rotation(degrees: Tensor, *, height: int, width: int) -> Tensor:
    """Return matrices (m, 6) that rotate counter-clockwise around the centre by `degrees` (m,)."""
    angle = degrees.to(torch.float64) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return torch.stack([cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], dim=1)
