"""Decoded images by position: the interface from which loaders read, and its implementation in memory."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ltray.data.decoding import decode
from ltray.data.encoding import Storage
from ltray.data.originals import Originals
from ltray.data.splits import Indices
from ltray.data.transforms.five_crops import five_crops
from ltray.errors import UsageError
from ltray.files import reason


class ImagePool(Protocol):
    """The decoded images of one split, by position 0 … n−1."""

    def __len__(self) -> int:
        """Number of images n."""
        ...

    def stream(self, order: Tensor, batch_size: int) -> Iterator[Tensor]:
        """Yield uint8 images (b, 3, H, W) at the positions of `order` (m,), in this order.

        The last batch contains the remaining images; a position may occur more than once.
        """
        ...

    def stream_crops(self, order: Tensor, batch_size: int, *, size: int, margin: int) -> Iterator[Tensor]:
        """Yield five crops of each image of `order` (b, 5, 3, size, size), uint8; see `five_crops`."""
        ...


@dataclass(frozen=True)
class Cuts:
    """A request for parts of some images.

    Attributes:
        positions: Which images (b,).
        boxes: x1 y1 x2 y2 of V parts of each, in pixels, x2 and y2 excluded (b, V, 4), int64.
    """

    positions: Tensor
    boxes: Tensor


@runtime_checkable
class CuttingPool(ImagePool, Protocol):
    """A pool whose images differ in size and are cropped while they are decoded."""

    sizes: Tensor
    """(height, width) of each image (n, 2), int64 on the CPU."""

    def cut(self, wanted: Iterable[Cuts], size: int) -> Iterator[Tensor]:
        """Yield the boxes of each request, resized to squares (b, V, 3, size, size), uint8."""
        ...


def batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Divide positions (m,) into batches; the last batch contains the rest; without positions there is no batch."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


class MemoryPool:
    """A pool whose images are in memory, on the device that uses them.

    Args:
        images: uint8 (n, 3, H, W).
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images.shape[0]

    def stream(self, order: Tensor, batch_size: int) -> Iterator[Tensor]:
        """Yield the images of `order` in batches."""
        for positions in batches(order.to(self.images.device), batch_size):
            yield self.images[positions]

    def stream_crops(self, order: Tensor, batch_size: int, *, size: int, margin: int) -> Iterator[Tensor]:
        """Yield five crops of each image of `order`, in batches."""
        for positions in batches(order.to(self.images.device), batch_size):
            crops = torch.stack([five_crops(image, size, margin) for image in self.images[positions]])
            yield crops.to(self.images.device)


def decode_originals(originals: Originals, indices: Indices, storage: Storage, device: torch.device) -> MemoryPool:
    """Decode some originals into memory, without any conversion.

    Args:
        originals: One pool of a source.
        indices: Which of them (n,).
        storage: The form, which determines their size.
        device: The device of the images.

    Raises:
        UsageError: The data set's images keep their own sizes, or one cannot be decoded.
    """
    side = storage.square
    if not side:
        raise UsageError(
            "Images of a data set with `image_size` above 64 have different sizes; read them from FFCV files."
        )
    images = torch.empty(len(indices), side, side, 3, dtype=torch.uint8)
    for place in np.argsort(indices):  # in the order of the source, which reads adjacent images together
        index = int(indices[place])
        try:
            pixels = storage.fit(decode(originals.read(index), longest=storage.cap).pixels)
        except (OSError, ValueError) as error:
            raise UsageError(f"{originals.name(index)}: {reason(error)}") from error
        images[int(place)] = torch.from_numpy(pixels)
    return MemoryPool(images.permute(0, 3, 1, 2).contiguous().to(device))


def decoding_threads() -> int:
    """Return this worker's share of the processors it may use."""
    workers = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // workers)
