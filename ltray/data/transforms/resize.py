"""Crop a box from each image and resize it, bilinear with antialiasing, like PIL.

The filter is a triangle, which is wider when an image shrinks, and reads no pixel outside the
box. It is applied along rows, then along columns, and rounds to integer levels after each. Three
implementations, each the fastest in its case: an accelerator processes all boxes at once; on a
CPU, a compiled loop resizes small images and torch's resize resizes large images. All results
equal PIL's when an image is enlarged; when it shrinks, torch's resize may differ by one level
where a value lies halfway between two levels.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ltray.data.transforms.pixels import mirror

Tap = tuple[Tensor, Tensor]
"""The index of the pixel that each result reads (m, size), int64, and its fixed-point weight (m, size), int32."""

SMALL = 64  # up to this side, the overhead of a call of torch's resize exceeds the time for the pixels
CENTRE = 224 / 256  # fraction of the shorter side that evaluation uses: resize to 256, centre crop of 224
BITS = 22  # bits of PIL's fixed-point weights: sums of integers are exact, on every device and in any batch
HALF = 1 << (BITS - 1)


def crop_resize(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor | None = None) -> Tensor:
    """Return the pixels of each box, resized to a square.

    Args:
        images: uint8 (n, 3, H, W).
        boxes: Integer x1, y1, x2, y2 with x2 and y2 excluded (m, 4), int64 on the CPU.
        size: Side of the result in pixels.
        mirrored: Which results to flip left to right (m,), bool on the CPU.
        owners: The index of each box's image (m,), int64 on the CPU; None: box i belongs to image i.

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
    """Compute `crop_resize` in a compiled loop."""
    from ltray.data.transforms.kernels import geometry as cuts
    from ltray.data.transforms.kernels import run

    result = torch.empty(len(boxes), 3, size, size, dtype=torch.uint8)
    run(cuts.resize, images, boxes, owners, mirrored, result)
    return result


def resize_each(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor) -> Tensor:
    """Compute `crop_resize` for one box at a time."""
    result = torch.empty(len(boxes), 3, size, size, dtype=torch.uint8)
    for index, (owner, box) in enumerate(zip(owners.tolist(), boxes.tolist(), strict=True)):
        result[index] = resize_one(images[owner], box, size)
    return mirror(result, mirrored)


def resize_one(image: Tensor, box: Sequence[int], size: int) -> Tensor:
    """Crop the box x1, y1, x2, y2 from an image (3, H, W) of any strides and resize it to a square (3, size, size)."""
    x1, y1, x2, y2 = box
    part = image[None, :, y1:y2, x1:x2]
    return functional.interpolate(part, size=(size, size), mode="bilinear", antialias=True)[0]


def centre_of(image: Tensor, view: int) -> Tensor:
    """Return the centre crop (3, view, view) of one image (3, H, W), uint8, as evaluation uses it."""
    height, width = image.shape[1:]
    side = max(int(min(height, width) * CENTRE), 1)
    left, top = (width - side) // 2, (height - side) // 2
    return resize_one(image, (left, top, left + side, top + side), view)


def resize_together(images: Tensor, boxes: Tensor, size: int, *, mirrored: Tensor, owners: Tensor) -> Tensor:
    """Compute `crop_resize` for all boxes at once."""
    m = len(boxes)
    spans = torch.cat([boxes[:, 0::2], boxes[:, 1::2]])
    taps = _taps(spans, size, reverse=torch.cat([mirrored, torch.zeros_like(mirrored)]), device=images.device)
    transposed = images.to(torch.int32).transpose(2, 3).contiguous()
    narrow = _resample_rows(transposed, [(index[:m], weight[:m]) for index, weight in taps], owners=owners)
    upright = narrow.transpose(2, 3).contiguous()
    result = _resample_rows(upright, [(index[m:], weight[m:]) for index, weight in taps], owners=torch.arange(m))
    return result.to(torch.uint8)


def _resample_rows(images: Tensor, taps: Sequence[Tap], *, owners: Tensor) -> Tensor:
    """Return weighted sums (m, 3, size, W) of the rows of int32 images (n, 3, H, W)."""
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
    # Added one after the other: taps of weight 0, which another box of the batch needs, do not change the sum.
    total = sum(weight for _, weight in taps)
    return [(index, (weight / total * (1 << BITS)).round_().to(torch.int32)) for index, weight in taps]
