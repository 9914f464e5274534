"""Small crops (patches) of a view, with their boxes, for the patch-based distillation of DSCL."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ltray.data.transforms.counter_rng import child_keys, uniform
from ltray.data.transforms.geometry import random_boxes
from ltray.data.transforms.resize import crop_resize
from ltray.errors import chosen


def patches(
    images: Tensor,
    keys: Tensor,
    *,
    count: int,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    boxes: str = "area",
) -> tuple[Tensor, Tensor]:
    """Crop patches at random positions from views before their photometric operations.

    Args:
        images: The images that `Policy.geometric` returned, uint8 (n, 3, H, W).
        keys: One key per sample (n,), int64.
        count: Number of patches per image, L.
        size: Side of a patch after resizing, in pixels.
        scale: Range of the box's fraction of the area ("area") or of each side ("side").
        ratio: Range of width / height ("area"), or of the factor that multiplies the height ("side").
        boxes: A key of `BOXES`.

    Returns:
        Patches, uint8 (n, L, 3, size, size), and their boxes x1, y1, x2, y2 in pixels
        of the view (n, L, 4), float32, with x2 and y2 excluded.

    Raises:
        UsageError: `boxes` is not a key of `BOXES`.
    """
    n, channels, height, width = images.shape
    limits = torch.tensor([width, height])
    each = child_keys(keys.cpu(), count)
    draw = chosen(boxes, BOXES, "a way of drawing boxes")
    drawn = draw(each, limits=limits, scale=scale, ratio=ratio).to(torch.float32)
    outer = torch.cat([drawn[:, :2].floor(), drawn[:, 2:].ceil()], dim=1).long()
    owners = torch.arange(n).repeat_interleave(count)
    upright = torch.zeros(len(each), dtype=torch.bool)
    cut = crop_resize(images, outer, size, mirrored=upright, owners=owners)
    return cut.view(n, count, channels, size, size), drawn.view(n, count, 4).to(images.device)


def side_boxes(keys: Tensor, *, limits: Tensor, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Return the boxes of Algorithm 1 in DSCL's supplement.

    The scale multiplies both sides; the ratio, which is uniform, multiplies only the height; the
    boxes are not rounded. Two corrections of the algorithm: a height above the image's height is
    reduced to it, and x is limited by the width (the algorithm uses the height).

    Args:
        keys: One key per box (m,), int64, on the CPU.
        limits: Width and height of the view in pixels (2,).
        scale: Range of the box's fraction of each side.
        ratio: Range of the factor that multiplies the height.

    Returns:
        x1, y1, x2, y2 in pixels (m, 4), float32.
    """
    draws = uniform(keys, 4)
    share = scale[0] + (scale[1] - scale[0]) * draws[:, :1]
    stretch = ratio[0] + (ratio[1] - ratio[0]) * draws[:, 1:2]
    sides = torch.minimum(torch.cat([share, share * stretch], dim=1) * limits, limits.to(draws.dtype))
    corner = draws[:, 2:] * (limits - sides)
    return torch.cat([corner, corner + sides], dim=1)


BOXES: Mapping[str, Callable[..., Tensor]] = {"area": random_boxes, "side": side_boxes}
"""The functions that draw the boxes of patches, by name.

* `area`: as in DSCL's official code, with integer pixels and a log-uniform ratio.
* `side`: Algorithm 1 of DSCL's supplement.
"""
