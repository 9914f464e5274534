"""Decoding of any image file to 8-bit RGB; an error contains the reason if this is impossible."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ltray.data.originals import Pixels

WHITE = (255, 255, 255)  # the colour behind transparent pixels
TINY = 8  # pixels of the shorter side below which an image is noted
MODES = {"L": "grayscale", "1": "black and white", "P": "palette", "RGBA": "transparency", "LA": "transparency"} | {
    mode: "16 bit" for mode in ("I;16", "I;16B", "I;16L", "I;16N", "I")
}
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Decoded:
    """An image as 8-bit RGB.

    Attributes:
        pixels: The image (H, W, 3).
        jpeg: The file itself if it is a JPEG that decodes to exactly `pixels`, else None.
        notes: The changes that were necessary: "rotated by EXIF", "CMYK", "16 bit", ….
    """

    pixels: Pixels
    jpeg: bytes | None = None
    notes: tuple[str, ...] = ()


def decode(content: bytes | Pixels, *, longest: int | None = None) -> Decoded:
    """Decode an image file; arrays are returned unchanged.

    Orientation is applied, CMYK, palettes and grey become RGB, transparency becomes white, 16
    bits become 8 (x / 257, rounded), the first of several frames is used.

    Args:
        content: The file's bytes, or pixels.
        longest: A JPEG whose longer side is more than twice this is decoded at a fraction of its
            size, not below `longest`, so that huge ones need little memory.

    Raises:
        OSError: Not an image, or truncated.
        ValueError: An image without an agreed meaning in 8 bits, or with more pixels than is safe.
    """
    if isinstance(content, np.ndarray):
        return Decoded(content)
    if not content:
        raise OSError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings are about metadata that do not change pixels
            with Image.open(io.BytesIO(content)) as image:
                return _decoded(image, content, longest)
    except UnidentifiedImageError as error:
        raise OSError("not an image of a supported format") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"too many pixels to decode safely: {error}") from error
    except (OSError, ValueError):
        raise
    except Exception as error:  # a broken file may make a decoder fail in any way
        raise OSError(f"cannot be decoded: {type(error).__name__}: {error}") from error


def _decoded(image: Image.Image, content: bytes, longest: int | None) -> Decoded:
    notes = []
    size = image.size
    if longest and image.format == "JPEG" and max(size) > 2 * longest:
        share = longest / max(size)
        image.draft(None, (round(size[0] * share), round(size[1] * share)))
    untouched = image.format == "JPEG" and image.mode in ("RGB", "L") and image.size == size
    if getattr(image, "n_frames", 1) > 1:
        notes.append("first of several frames")
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.size != image.size or image.getexif().get(0x0112, 1) != 1:
        notes.append("rotated by EXIF")
        untouched = False
    if turned.mode != "RGB":
        notes.append(MODES.get(turned.mode, turned.mode))
    if min(size) < TINY:
        notes.append(f"very small: {size[0]} x {size[1]} pixels")
    pixels = np.array(_rgb(turned), dtype=np.uint8)
    return Decoded(pixels, content if untouched else None, tuple(notes))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT or image.mode == "I":
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError(f"grey values from {values.min()} to {values.max()} do not fit 16 bits")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined range")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, WHITE), layer).convert("RGB")
    return image.convert("RGB")
