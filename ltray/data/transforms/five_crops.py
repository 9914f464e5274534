"""The five crops of test-time ensembling: the corners and the centre of an image that is larger than a view."""

import torch
from torch import Tensor
from torch.nn import functional


def resized_sides(width: int, height: int, shorter: int) -> tuple[int, int]:
    """Return width and height after a resize of the shorter side, the other one rounded down as torchvision does."""
    if width <= height:
        return shorter, int(shorter * height / width)
    return int(shorter * width / height), shorter


def five_boxes(width: int, height: int, size: int) -> list[tuple[int, int, int, int]]:
    """Return the boxes (left, top, right, bottom) of four corners and the centre, as torchvision's `FiveCrop`.

    Args:
        width: Of the resized image, at least `size`.
        height: Likewise.
        size: Side of a crop.
    """
    right, bottom = width - size, height - size
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (half(right), half(bottom))]
    return [(left, top, left + size, top + size) for left, top in corners]


def half(number: int) -> int:
    """Return half a number, rounded to the even number as `round` does, by whole numbers that a graph can compute."""
    return number // 2 + (number % 2) * (number // 2 % 2)


def five_crops(image: Tensor, size: int, margin: int) -> Tensor:
    """Return the crops of one image, whose shorter side is first resized to `size` + `margin` pixels.

    Source: `Resize(size + margin)` and `FiveCrop(size)` of LIFT's code, bilinear with antialiasing.

    Args:
        image: uint8 (3, H, W) on any device.
        size: Side of a crop.
        margin: Pixels, at least 0.

    Returns:
        uint8 (5, 3, size, size) on the CPU.
    """
    width, height = resized_sides(image.shape[2], image.shape[1], size + margin)
    resized = functional.interpolate(image[None].cpu(), size=(height, width), mode="bilinear", antialias=True)[0]
    boxes = five_boxes(width, height, size)
    return torch.stack([resized[:, top:bottom, left:right] for left, top, right, bottom in boxes])
