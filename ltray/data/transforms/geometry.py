"""The geometric part of a view: the crop of the image, and whether it is flipped."""

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

TRIES = 10  # torchvision stops after this many boxes that exceed the image


class Cut(Protocol):
    """A random cut-out of each image."""

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return uint8 (n, 3, S, S) of uint8 images (n, 3, H, W); keys (n,) on the CPU."""
        ...


@dataclass(frozen=True)
class PaddedCrop:
    """CIFAR's crop: pad with black, cut a square at a random place, flip half of them.

    Attributes:
        size: Side of the square, in pixels.
        padding: Pixels added on each side.
        flip: Whether to mirror half of the images.
    """

    size: int
    padding: int
    flip: bool

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the cut-out; see `Cut`.

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
    """Cut squares out of padded images on any device, all at once.

    Args:
        images: uint8 (n, 3, H, W).
        corner: Row and column of each square in its padded image (n, 2), on the CPU.
        mirrored: Which squares to flip left to right (n,), bool on the CPU.
        padding: Black pixels added on each side.
        size: Side of a square in pixels.
    """
    n, channels = images.shape[:2]
    step = torch.arange(size).expand(n, size)
    rows = (step + corner[:, :1]).to(images.device)
    columns = (torch.where(mirrored[:, None], size - 1 - step, step) + corner[:, 1:]).to(images.device)
    padded = functional.pad(images, (padding,) * 4)
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    cut = padded.flatten(2).gather(2, places.view(n, 1, -1).expand(-1, channels, -1))
    return cut.view(n, channels, size, size)


@dataclass(frozen=True)
class ResizedCrop:
    """Inception's crop: a box of random area and shape, resized to a square; half are flipped.

    Attributes:
        size: Side of the square, in pixels.
        scale: Range of the box's share of the image's area.
        flip: Whether to mirror half of the images.
    """

    size: int
    scale: tuple[float, float]
    flip: bool

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the cut-out; see `Cut`."""
        height, width = images.shape[2:]
        boxes = self.boxes(keys, torch.tensor([width, height]))
        return crop_resize(images, boxes, self.size, mirrored=self.mirrored(keys))

    def boxes(self, keys: Tensor, limits: Tensor) -> Tensor:
        """Return what is cut out of images of these widths and heights; see `random_boxes`."""
        return random_boxes(keys, limits=limits, scale=self.scale)

    def mirrored(self, keys: Tensor) -> Tensor:
        """Return which images are mirrored (n,), bool."""
        return uniform(keys, 1, salt=1)[:, 0] < (0.5 if self.flip else 0.0)


@dataclass(frozen=True)
class AsItIs:
    """The whole image: for patches, which `patches` has cut and resized."""

    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        """Return the images unchanged; see `Cut`."""
        return images


@dataclass(frozen=True)
class Mirror:
    """Mirror half of the images: for patches, whose boxes belong to the view as it was."""

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        return mirror(levels, uniform(keys, 1, salt=salt)[:, 0] < 0.5)


def random_boxes(
    keys: Tensor, *, limits: Tensor, scale: tuple[float, float], ratio: tuple[float, float] = (3 / 4, 4 / 3)
) -> Tensor:
    """Return random boxes drawn like torchvision's `RandomResizedCrop`.

    The share of the area is uniform, the logarithm of width / height is uniform; of ten tries
    the first that fits is taken, else the largest centred box of a permitted shape.

    Args:
        keys: One key a box (m,), int64, on the CPU.
        limits: Width and height of the images, in pixels (2,) or (m, 2), int64.
        scale: Range of the box's share of the area.
        ratio: Range of width / height.

    Returns:
        x1 y1 x2 y2 in whole pixels, x2 and y2 excluded (m, 4), int64.
    """
    draws = uniform(keys, 2 * TRIES + 2).to(torch.float64)
    share = scale[0] + (scale[1] - scale[0]) * draws[:, :TRIES]
    log_ratio = math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * draws[:, TRIES : 2 * TRIES]
    limits = limits.expand(len(keys), 2)
    area = share * limits.prod(dim=1, keepdim=True)
    sides = torch.stack([(area * log_ratio.exp()).sqrt(), (area * (-log_ratio).exp()).sqrt()], dim=2).round().long()
    fits = ((sides > 0) & (sides <= limits[:, None])).all(dim=2)  # (m, tries)
    first = fits.to(torch.int8).argmax(dim=1)
    chosen = sides[torch.arange(len(keys)), first]  # (m, 2): width, height
    corner = (draws[:, -2:] * (limits - chosen + 1)).long()
    none = ~fits.any(dim=1, keepdim=True)
    whole = _largest(limits, ratio)
    chosen = torch.where(none, whole, chosen)
    corner = torch.where(none, (limits - whole) // 2, corner)
    return torch.cat([corner, corner + chosen], dim=1)


def _largest(limits: Tensor, ratio: tuple[float, float]) -> Tensor:
    """Return width and height of the largest box of a permitted shape (m, 2)."""
    width, height = limits.double().unbind(1)
    sides = torch.stack(
        [torch.minimum(width, (height * ratio[1]).round()), torch.minimum(height, (width / ratio[0]).round())], dim=1
    )
    return sides.long()
