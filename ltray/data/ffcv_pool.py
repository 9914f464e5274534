"""Images of a .beton file for loaders: decoded once into memory, or decoded and cropped at every use."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.reader import BetonFile
from ltray.data.originals import Pixels
from ltray.data.pools import Cuts, ImagePool, MemoryPool, batches, decoding_threads
from ltray.data.splits import Indices
from ltray.data.transforms.five_crops import five_crops
from ltray.data.transforms.resize import CENTRE, resize_one

RESIDENT = 2 << 30  # bytes of decoded images of one size up to which a split is kept in memory
AHEAD = 3  # batches that are decoded while the device works on another


def open_beton(sidecar: Sidecar, indices: Indices, *, view: int, device: torch.device) -> ImagePool:
    """Open some images of a .beton file, which must have passed its sidecar's check.

    Args:
        sidecar: Of the file.
        indices: The images (n,); position i of the pool is image `indices[i]`.
        view: Side of a view in pixels.
        device: The device of the images.

    Raises:
        IndexError: An index is outside the file; FFCV would return wrong pixels.
    """
    file = BetonFile(sidecar)
    if len(indices) and not (0 <= indices.min() and indices.max() < len(file)):
        raise IndexError(f"{sidecar.beton} has {len(file)} images; requested are {indices.min()} to {indices.max()}.")
    return open_stored(file, indices, view=view, device=device, square=bool(sidecar.options["square"]))


class StoredImages(Protocol):
    """Images in the form in which they are stored."""

    heights: NDArray[np.int64]
    widths: NDArray[np.int64]

    def decode(self, index: int) -> Pixels:
        """Decode an image (H, W, 3)."""
        ...


def open_stored(
    file: StoredImages, indices: Indices, *, view: int, device: torch.device, square: bool
) -> "MemoryPool | StreamedPool":
    """Open some stored images: in memory if they have one size and fit into memory, else decoded at every use.

    Args:
        file: The images.
        indices: Which of them (n,).
        view: Side of a view in pixels.
        device: The device of the images.
        square: Whether all have the size of a view.
    """
    if square and 3 * view * view * len(indices) <= RESIDENT:
        return MemoryPool(_decoded(file, indices, view).to(device))
    return StreamedPool(file, indices, view=view, device=device)


def _decoded(file: StoredImages, indices: Indices, side: int) -> Tensor:
    images = np.empty((len(indices), side, side, 3), dtype=np.uint8)
    for place, index in enumerate(indices.tolist()):
        images[place] = file.decode(index)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


class StreamedPool:
    """Images that are decoded at every use, by threads, some batches ahead.

    Args:
        file: The file.
        indices: Which of its images (n,).
        view: Side of the images that `stream` gives, in pixels.
        device: The device of the batches.
    """

    def __init__(self, file: StoredImages, indices: Indices, *, view: int, device: torch.device) -> None:
        self.file = file
        self.indices = indices
        self.view = view
        self.device = device
        self.sizes = torch.from_numpy(np.stack([file.heights[indices], file.widths[indices]], axis=1))
        self._threads = ThreadPoolExecutor(decoding_threads(), thread_name_prefix="ltray-decode")

    def __len__(self) -> int:
        return len(self.indices)

    def stream(self, order: Tensor, batch_size: int) -> Iterator[Tensor]:
        """Yield the centre of each image of `order` (b, 3, S, S), uint8, for evaluation."""
        shorter = self.sizes.min(dim=1).values
        side = (shorter * CENTRE).long().clamp(min=1)
        corner = (self.sizes.flip(1) - side[:, None]) // 2
        boxes = torch.cat([corner, corner + side[:, None]], dim=1)
        wanted = (Cuts(positions, boxes[positions][:, None]) for positions in batches(order, batch_size))
        for images in self.cut(wanted, self.view):
            yield images[:, 0]

    def stream_crops(self, order: Tensor, batch_size: int, *, size: int, margin: int) -> Iterator[Tensor]:
        """Yield five crops of each image of `order` (b, 5, 3, size, size), uint8 on the device."""

        def crops(index: int) -> Tensor:
            return five_crops(self._image(index), size, margin)

        for positions in batches(order, batch_size):
            yield torch.stack(list(self._threads.map(crops, self.indices[positions.numpy()].tolist()))).to(self.device)

    def cut(self, wanted: Iterable[Cuts], size: int) -> Iterator[Tensor]:
        """Yield the boxes of each request, resized to squares (b, V, 3, size, size), uint8 on the device.

        Each image is decoded once for its V boxes. An iterator that is closed early first completes the
        decoding that it has started.
        """
        running: deque[tuple[Tensor, list[Future[None]]]] = deque()
        requests = iter(wanted)
        try:
            while True:
                while len(running) < AHEAD and (request := next(requests, None)) is not None:
                    running.append(self._begin(request, size))
                if not running:
                    return
                images, parts = running.popleft()
                for part in parts:
                    part.result()
                yield images.to(self.device, non_blocking=True)
        finally:
            for _, parts in running:
                for part in parts:
                    part.cancel()

    def _begin(self, request: Cuts, size: int) -> tuple[Tensor, list[Future[None]]]:
        """Start decoding a batch into a new buffer (b, V, 3, size, size)."""
        shape = (len(request.positions), request.boxes.shape[1], 3, size, size)
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        indices = self.indices[request.positions.numpy()].tolist()
        boxes = request.boxes.tolist()
        parts = [
            self._threads.submit(self._decode, indices[start:end], boxes[start:end], images[start:end])
            for start, end in _slices(len(indices))
        ]
        return images, parts

    def _decode(self, indices: list[int], boxes: list[list[tuple[int, int, int, int]]], targets: Tensor) -> None:
        for index, several, places in zip(indices, boxes, targets, strict=True):
            image = self._image(index)
            for box, place in zip(several, places, strict=True):
                place.copy_(resize_one(image, box, place.shape[1]))

    def _image(self, index: int) -> Tensor:
        """Decode an image of the file (3, H, W)."""
        # PyTorch warns about read-only arrays; an image that is stored raw is a read-only view of the file.
        pixels = np.require(self.file.decode(index), requirements="W")
        return torch.from_numpy(pixels).permute(2, 0, 1)


PART = 8  # images per task of a thread


def _slices(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + PART, count)) for start in range(0, count, PART)]
