"""Cut a box out of each image and resize it: bilinear with antialiasing, as PIL does.

The filter is a triangle that widens when shrinking and never looks beyond the box. It works
along rows, then along columns, and rounds to whole levels after each. On an accelerator all
boxes are done at once, on a CPU a compiled loop takes the small ones and torch's own resize the
large ones, each fastest there. All equal PIL when enlarging; when shrinking torch's own may be
a level off at ties.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ltray.data.transforms.pixels import mirror

Tap = tuple[Tensor, Tensor]
"""The place that each result reads (m, size), int64, and its weight in fixed point (m, size), int32."""

SMALL = 64  # up to this side a call of torch's resize costs more than its pixels
CENTRE = 224 / 256  # share of the shorter side that evaluation looks at: resize 256, centre crop 224
BITS = 22  # PIL's fixed point: whole-number sums are exact, on every device and in any batch
HALF = 1 << (BITS - 1)


def crop_resize(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor | None = None) -> Tensor:
    """Return the boxes' content, each resized to a square.

    Args:
        images: uint8 (n, 3, H, W).
        boxes: Whole x1 y1 x2 y2 with x2 and y2 excluded (m, 4), int64 on the CPU.
        size: Side of the result in pixels.
        mirrored: Which results to flip left to right (m,), bool on the CPU.
        owners: The image each box is cut from (m,), int64 on the CPU; None: box i from image i.

    Returns:
        uint8 (m, 3, size, size).
    """
    owners = torch.arange(len(boxes)) if owners is None else owners
    if images.device.type != "cpu":
        return resize_together(images, boxes, size, mirrored=mirrored, owners=owners)
    if images.shape[3] <= SMALL:
        return resize_small(images, boxes, size, mirrored=mirrored, owners=owners)
    return resize_each(images, boxes, size, mirrored=mirrored, owners=owners)


def resize_small(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor) -> Tensor:
    """Do `crop_resize` in a compiled loop."""
    from ltray.data.transforms.kernels import geometry as cuts
    from ltray.data.transforms.kernels import run

    result = torch.empty(len(boxes), 3, size, size, dtype=torch.uint8)
    run(cuts.resize, images, boxes, owners, mirrored, result)
    return result


def resize_each(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor) -> Tensor:
    """Do `crop_resize` box by box."""
    result = torch.empty(len(boxes), 3, size, size, dtype=torch.uint8)
    for place, (owner, box) in enumerate(zip(owners.tolist(), boxes.tolist(), strict=True)):
        result[place] = resize_one(images[owner], box, size)
    return mirror(result, mirrored)


def resize_one(image: Tensor, box: Sequence[int], size: int) -> Tensor:
    """Cut a box out of an image (3, H, W), planar or interleaved, and resize it to a square."""
    x1, y1, x2, y2 = box
    part = image[None, :, y1:y2, x1:x2]
    return functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True)[0]


def centre_of(image: Tensor, view: int) -> Tensor:
    """Return the centre (3, view, view) of one image (3, H, W), uint8, what evaluation looks at."""
    height, width = image.shape[1:]
    side = max(int(min(height, width) * CENTRE), 1)
    left, top = (width - side) // 2, (height - side) // 2
    return resize_one(image, (left, top, left + side, top + side), view)


def resize_together(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor) -> Tensor:
    """Do `crop_resize` for all boxes at once."""
    m = len(boxes)
    spans = torch.cat([boxes[:, 0::2], boxes[:, 1::2]])
    taps = _taps(spans, size, reverse=torch.cat([mirrored, torch.zeros_like(mirrored)]), device=images.device)
    turned = images.to(torch.int32).transpose(2, 3).contiguous()
    narrow = _resample_rows(turned, [(index[:m], weight[:m]) for index, weight in taps], owners=owners)
    turned = narrow.transpose(2, 3).contiguous()
    whole = _resample_rows(turned, [(index[m:], weight[m:]) for index, weight in taps], owners=torch.arange(m))
    return whole.to(torch.uint8)


def _resample_rows(images: Tensor, taps: Sequence[Tap], *, owners: Tensor) -> Tensor:
    """Make rows of levels out of the rows of int32 (n, 3, H, W): (m, 3, size, W)."""
    n, channels, height, width = images.shape
    rows = images.view(n * channels * height, width)
    channel = torch.arange(channels, device=images.device)
    above = ((owners.to(images.device)[:, None] * channels + channel) * height).unsqueeze(2)  # (m, 3, 1)
    total = torch.tensor(HALF, dtype=torch.int32, device=images.device)
    for index, weight in taps:
        part = rows.index_select(0, (above + index.unsqueeze(1)).view(-1)).view(len(owners), channels, -1, width)
        total = part.mul_(weight[:, None, :, None]).add_(total)
    return total.bitwise_right_shift_(BITS)


def _taps(spans: Tensor, size: int, *, reverse: Tensor, device: torch.device) -> list[Tap]:
    """Return the taps of the triangle filter that resizes each span (m, 2) to `size` pixels."""
    widest = float((spans[:, 1] - spans[:, 0]).max()) / size
    spans = spans.to(device)
    start, length = spans[:, :1], (spans[:, 1:] - spans[:, :1])
    step = torch.arange(size, device=device).expand(len(spans), size)
    step = torch.where(reverse.to(device)[:, None], size - 1 - step, step)
    scale = length.to(torch.float64) / size
    support = scale.clamp(min=1.0)
    centre = (step + 0.5) * scale
    first = (centre - support + 0.5).floor().clamp_(min=0.0)
    taps = []
    for k in range(math.ceil(2 * max(widest, 1.0))):
        place = first + k
        weight = (1.0 - ((place + 0.5 - centre) / support).abs()).clamp_(min=0.0) * (place < length)
        taps.append((start + torch.minimum(place.long(), length - 1), weight))
    # Summed tap by tap: further taps of weight 0, there for another box of the batch, change nothing.
    total = sum(weight for _, weight in taps)
    return [(index, (weight / total * (1 << BITS)).round_().to(torch.int32)) for index, weight in taps]
