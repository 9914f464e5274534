"""Small crops of a view, with their boxes: what DSCL distils from."""

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
    """Cut patches at random places out of the geometric half of a view.

    Args:
        images: What `Policy.geometric` returned, uint8 (n, 3, H, W).
        keys: One key a sample (n,), int64.
        count: Patches an image, L.
        size: Side of a patch after resizing, in pixels.
        scale: Range of the box's share of the area ("area") or of each side ("side").
        ratio: Range of width / height ("area") or of height against width ("side").
        boxes: A key of `BOXES`.

    Returns:
        Patches, uint8 (n, L, 3, size, size), and their boxes x1 y1 x2 y2 in pixels
        of the view (n, L, 4), float32, x2 and y2 excluded.

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

    The scale multiplies each side, the ratio, uniform, the height alone, and nothing is
    rounded. Two repairs: a height above the image's is cut to it, and x goes with the width
    (the algorithm pairs it with the height).

    Args:
        keys: One key a box (m,), int64, on the CPU.
        limits: Width and height of the view in pixels (2,).
        scale: Range of the box's share of each side.
        ratio: Range of the factor of the height.

    Returns:
        x1 y1 x2 y2 in pixels (m, 4), float32.
    """
    draws = uniform(keys, 4)
    share = scale[0] + (scale[1] - scale[0]) * draws[:, :1]
    stretch = ratio[0] + (ratio[1] - ratio[0]) * draws[:, 1:2]
    sides = torch.minimum(torch.cat([share, share * stretch], dim=1) * limits, limits.to(draws.dtype))
    corner = draws[:, 2:] * (limits - sides)
    return torch.cat([corner, corner + sides], dim=1)


BOXES: Mapping[str, Callable[..., Tensor]] = {"area": random_boxes, "side": side_boxes}
"""What draws the boxes of patches by name.

* `area`: as DSCL's code draws them, whole pixels and a log-uniform ratio.
* `side`: Algorithm 1 of its supplement.
"""
