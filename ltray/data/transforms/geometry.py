"""The geometric operations of a view: the crop of the image and the horizontal flip."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.pixels import mirror
from ltray.data.transforms.resize import crop_resize
from ltray.errors import UsageError

ATTEMPTS = 10  # torchvision stops after this many boxes that exceed the image


class Cut(Protocol):
    """A random crop of each image."""

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the crops, uint8 (n, 3, S, S), of uint8 images (n, 3, H, W); the keys (n,) are on the CPU."""
        ...


@dataclass(frozen=True)
class PaddedCrop:
    """The crop of the CIFAR recipes: pad with black, crop a square at a random position, flip with probability 1/2.

    Attributes:
        size: Side of the square in pixels.
        padding: Number of pixels added on each side.
        flip: Whether to flip images left to right with probability 1/2.
    """

    size: int
    padding: int
    flip: bool

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the crops; see `Cut`.

        Raises:
            UsageError: The padded images are smaller than the square.
        """
        height, width = images.shape[2:]
        room = torch.tensor([height, width]) + 2 * self.padding - self.size
        if int(room.min()) < 0:
            raise UsageError(
                f"A crop of {self.size} pixels needs images of at least {self.size - 2 * self.padding} pixels a side, "
                f"but got {height} x {width}. Convert the data set with a higher resolution."
            )
        draws = uniform(keys, 3)
        corner = (draws[:, :2] * (room + 1)).long()
        mirrored = draws[:, 2] < (0.5 if self.flip else 0.0)
        if images.device.type != "cpu":
            return padded_crop(images, corner, mirrored=mirrored, padding=self.padding, size=self.size)
        from ltray.data.transforms.kernels import geometry as cuts
        from ltray.data.transforms.kernels import run

        result = torch.empty(*images.shape[:2], self.size, self.size, dtype=torch.uint8)
        run(cuts.padded_crop, images, corner, mirrored, self.padding, result)
        return result


def padded_crop(images: Tensor, corner: Tensor, *, mirrored: Tensor, padding: int, size: int) -> Tensor:
    """Crop squares from padded images on any device, in one batch.

    Args:
        images: uint8 (n, 3, H, W).
        corner: Row and column of each square's upper left corner in the padded image (n, 2), on the CPU.
        mirrored: Which squares to flip left to right (n,), bool on the CPU.
        padding: Number of black pixels added on each side.
        size: Side of a square in pixels.

    Returns:
        uint8 (n, 3, size, size).
    """
    n, channels = images.shape[:2]
    step = torch.arange(size).expand(n, size)
    rows = (step + corner[:, :1]).to(images.device)
    columns = (torch.where(mirrored[:, None], size - 1 - step, step) + corner[:, 1:]).to(images.device)
    padded = functional.pad(images, (padding,) * 4)
    indices = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    crops = padded.flatten(2).gather(2, indices.view(n, 1, -1).expand(-1, channels, -1))
    return crops.view(n, channels, size, size)


@dataclass(frozen=True)
class ResizedCrop:
    """Inception's crop: a box of random area and aspect ratio, resized to a square, flipped with probability 1/2.

    Attributes:
        size: Side of the square in pixels.
        scale: Range of the box's area as a fraction of the image's area.
        flip: Whether to flip images left to right with probability 1/2.
    """

    size: int
    scale: tuple[float, float]
    flip: bool

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the crops; see `Cut`."""
        height, width = images.shape[2:]
        boxes = self.boxes(keys, torch.tensor([width, height]))
        return crop_resize(images, boxes, self.size, mirrored=self.mirrored(keys))

    def boxes(self, keys: Tensor, limits: Tensor) -> Tensor:
        """Return the boxes to crop from images of these widths and heights (n, 2); see `random_boxes`."""
        return random_boxes(keys, limits=limits, scale=self.scale)

    def mirrored(self, keys: Tensor) -> Tensor:
        """Return which images are flipped left to right (n,), bool."""
        return uniform(keys, 1, salt=1)[:, 0] < (0.5 if self.flip else 0.0)


@dataclass(frozen=True)
class SquareCrop(ResizedCrop):
    """A square of random area, resized, without distortion: the crop of LIFT+."""

    def boxes(self, keys: Tensor, limits: Tensor) -> Tensor:
        """Return the squares to crop from images of these widths and heights (n, 2); see `square_boxes`."""
        return square_boxes(uniform(keys, 3).to(torch.float64), limits=limits, scale=self.scale)


@dataclass(frozen=True)
class AsItIs:
    """The unchanged image, for patches, which `patches` has already cropped and resized."""

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the images unchanged; see `Cut`."""
        return images


@dataclass(frozen=True)
class Mirror:
    """Flip images left to right with probability 1/2, for patches; their boxes refer to the unflipped view."""

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        return mirror(levels, uniform(keys, 1, salt=salt)[:, 0] < 0.5)


def random_boxes(
    keys: Tensor, *, limits: Tensor, scale: tuple[float, float], ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> Tensor:
    """Return random boxes drawn like torchvision's `RandomResizedCrop`.

    The area and the logarithm of width / height are uniform. The first of ten drawn boxes that
    fits into the image is used; if none fits, the largest centred box of a permitted ratio.

    Args:
        keys: One key per box (m,), int64, on the CPU.
        limits: Width and height of the images in pixels (2,) or (m, 2), int64.
        scale: Range of the box's area as a fraction of the image's area.
        ratio: Range of width / height.

    Returns:
        x1, y1, x2, y2 in pixels, with x2 and y2 excluded (m, 4), int64.
    """
    draws = uniform(keys, 2 * ATTEMPTS + 2).to(torch.float64)
    share = scale[0] + (scale[1] - scale[0]) * draws[:, :ATTEMPTS]
    log_ratio = math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * draws[:, ATTEMPTS : 2 * ATTEMPTS]
    limits = limits.expand(len(keys), 2)
    area = share * limits.prod(dim=1, keepdim=True)
    sides = torch.stack([(area * log_ratio.exp()).sqrt(), (area * (-log_ratio).exp()).sqrt()], dim=2).round().long()
    fits = ((sides > 0) & (sides <= limits[:, None])).all(dim=2)  # (m, ATTEMPTS)
    first = fits.to(torch.int8).argmax(dim=1)
    chosen = sides[torch.arange(len(keys)), first]  # (m, 2): width, height
    corner = (draws[:, -2:] * (limits - chosen + 1)).long()
    none = ~fits.any(dim=1, keepdim=True)
    whole = _largest(limits, ratio)
    chosen = torch.where(none, whole, chosen)
    corner = torch.where(none, (limits - whole) // 2, corner)
    return torch.cat([corner, corner + chosen], dim=1)


def square_boxes(draws: Tensor, *, limits: Tensor, scale: tuple[float, float]) -> Tensor:
    """Return squares whose area is uniform in a range, at uniform positions.

    Args:
        draws: Uniform in [0, 1), for the area, the left and the upper edge (m, 3), float64.
        limits: Width and height of the images in pixels (2,) or (m, 2), int64.
        scale: Range of the area as a fraction of the image's area; both ends are at most that of the largest square.

    Returns:
        x1, y1, x2, y2 in pixels, with x2 and y2 excluded (m, 4), int64.
    """
    limits = limits.expand(len(draws), 2)
    shorter = limits.min(dim=1).values
    area = limits.prod(dim=1).double()
    largest = shorter.double() ** 2 / area
    low, high = (torch.clamp(largest, max=end) for end in scale)
    side = ((low + (high - low) * draws[:, 0]) * area).sqrt().round().long().clamp(min=1)
    side = torch.minimum(side, shorter)[:, None]
    corner = (draws[:, 1:] * (limits - side + 1)).long()
    return torch.cat([corner, corner + side], dim=1)


def _largest(limits: Tensor, ratio: tuple[float, float]) -> Tensor:
    """Return width and height of the largest box of a permitted ratio (m, 2), int64."""
    width, height = limits.double().unbind(1)
    sides = torch.stack(
        [torch.minimum(width, (height * ratio[1]).round()), torch.minimum(height, (width / ratio[0]).round())], dim=1
    )
    return sides.long()
