"""A sample of a data set that is not converted yet, repeated to its full size, for the timing of steps."""

import numpy as np
import torch

from ltray.data.beton.reader import decode_jpeg
from ltray.data.decoding import decode
from ltray.data.encoding import JPEG, Storage, Stored
from ltray.data.ffcv_pool import open_stored
from ltray.data.originals import Originals, Pixels
from ltray.data.pools import ImagePool
from ltray.data.splits import Indices
from ltray.errors import UsageError
from ltray.files import reason

SAMPLE = 256  # images that are read


class SampledImages:
    """Some originals as a conversion would store them, repeated until they have the size of the split.

    Args:
        originals: One pool of a source.
        indices: The split's images (n,).
        storage: How images are stored.

    Raises:
        UsageError: None of the sampled images can be read.
    """

    def __init__(self, originals: Originals, indices: Indices, storage: Storage) -> None:
        self.path = "originals"
        self._stored: list[Stored] = []
        said = ""
        for place in np.unique(np.linspace(0, len(indices) - 1, min(SAMPLE, len(indices))).astype(int)).tolist():
            index = int(indices[place])
            try:
                self._stored.append(storage.store(decode(originals.read(index), longest=storage.cap)))
            except (OSError, ValueError) as error:
                said = f"{originals.name(index)}: {reason(error)}"
        if not self._stored:
            raise UsageError(f"None of {SAMPLE} images can be used; the last error is: {said}.")
        sizes = np.array([one.pixels.shape[:2] for one in self._stored], dtype=np.int64)
        self.heights, self.widths = sizes[np.arange(len(indices)) % len(sizes)].T

    def __len__(self) -> int:
        return len(self.heights)

    def decode(self, index: int) -> Pixels:
        """Decode an image (H, W, 3), as from converted files."""
        one = self._stored[index % len(self._stored)]
        if one.mode != JPEG:
            return one.pixels
        pixels = np.empty_like(one.pixels)
        decode_jpeg(np.frombuffer(one.content, dtype=np.uint8), pixels)
        return pixels


def open_sampled(
    originals: Originals, indices: Indices, storage: Storage, *, view: int, device: torch.device
) -> ImagePool:
    """Open a sample instead of all images.

    Args:
        originals: One pool of a source.
        indices: Which images (n,).
        storage: How they would be stored.
        view: Side of a view in pixels.
        device: The device of the images.
    """
    images = SampledImages(originals, indices, storage)
    return open_stored(images, np.arange(len(indices)), view=view, device=device, square=bool(storage.square))
