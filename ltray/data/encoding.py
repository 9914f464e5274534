"""The form of images in a .beton: small ones raw and exact, large ones limited in size and as JPEG."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ltray.data.decoding import Decoded
from ltray.data.originals import Pixels

SMALL = 64  # pixels; up to this side, views are crops of images of one size; above it, of stored JPEGs
RAW, JPEG = 1, 0  # FFCV's marks of the two encodings


@dataclass(frozen=True)
class Stored:
    """One image as it is stored in the file.

    Attributes:
        pixels: The image before JPEG (H, W, 3).
        content: Its encoding.
        mode: `RAW` or `JPEG`.
    """

    pixels: Pixels
    content: bytes
    mode: int


@dataclass(frozen=True)
class Storage:
    """The form of all images of a data set.

    Attributes:
        square: Side in pixels to which every image is resized and centre-cropped; images are stored raw.
            0: images keep their shape and are stored as JPEGs.
        longest: Limit of the longer side if `square` is 0.
        quality: JPEG quality; a JPEG that needs no change is stored byte for byte.
    """

    square: int = 0
    longest: int = 500
    quality: int = 90

    @property
    def key(self) -> str:
        """A name that is different if the stored pixels are different."""
        return f"{self.square}px" if self.square else f"{self.longest}px-q{self.quality}"

    @property
    def cap(self) -> int:
        """The longer side in pixels above which the stored image contains no more detail."""
        return 8 * self.square if self.square else self.longest

    def store(self, image: Decoded) -> Stored:
        """Fit and encode an image.

        Raises:
            ValueError: FFCV could not store it.
        """
        pixels = self.fit(image.pixels)
        check_storable(pixels)
        if self.square or pixels.size <= 3 * SMALL**2:
            return Stored(pixels, pixels.tobytes(), RAW)
        if image.jpeg is not None and pixels is image.pixels:
            return Stored(pixels, image.jpeg, JPEG)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "jpeg", quality=self.quality)
        return Stored(pixels, content.getvalue(), JPEG)

    def fit(self, pixels: Pixels) -> Pixels:
        """Return the image in its stored size; the same object if no change is needed.

        Resizing is bilinear with antialiasing, like the papers' `Resize`.
        """
        height, width = pixels.shape[:2]
        if not self.square:
            share = self.longest / max(height, width)
            return pixels if share >= 1 else _resized(pixels, height * share, width * share)
        if (height, width) == (self.square, self.square):
            return pixels
        share = self.square / min(height, width)
        resized = _resized(pixels, height * share, width * share)
        top, left = (resized.shape[0] - self.square) // 2, (resized.shape[1] - self.square) // 2
        return np.ascontiguousarray(resized[top : top + self.square, left : left + self.square])


def _resized(pixels: Pixels, height: float, width: float) -> Pixels:
    size = max(1, round(width)), max(1, round(height))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def check_storable(pixels: Pixels) -> None:
    """Raise ValueError unless FFCV can store the image correctly."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"must be 8-bit RGB, but is {pixels.dtype} of shape {pixels.shape}")
    height, width = pixels.shape[:2]
    if not (0 < height < 65_536 and 0 < width < 65_536) or pixels.nbytes >= 1 << 31:
        raise ValueError(f"{width} x {height} pixels cannot be stored")
