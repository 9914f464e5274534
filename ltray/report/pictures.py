"""Pictures inside the page: small PNG or JPEG images as data URIs."""

import base64
import io
from dataclasses import dataclass

from PIL import Image

SHOWN = 112  # pixels on the page
LARGEST = 2 * SHOWN  # pixels of the longer side, for screens with two pixels for one
EXACT = 64  # pixels up to which an image is stored exactly
QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """A picture with its text alternative.

    Attributes:
        source: Its data URI.
        alt: What it is, for readers who cannot see it.
        title: The line below it.
        note: A further line.
        pixels: Whether its pixels are drawn as squares, because it is smaller than its place.
    """

    source: str
    alt: str
    title: str = ""
    note: str = ""
    pixels: bool = False

    @property
    def width(self) -> int:
        """Width on the page in pixels."""
        return SHOWN

    @property
    def height(self) -> int:
        """Height on the page in pixels."""
        return SHOWN


def picture(image: Image.Image, alt: str, *, title: str = "", note: str = "") -> Picture:
    """Return an image of any size as a picture: small ones exact, large ones as reduced JPEGs."""
    small = max(image.size) <= EXACT
    content = io.BytesIO()
    if small:
        image.save(content, "png", optimize=True)
    else:
        reduced = image.copy()
        reduced.thumbnail((LARGEST, LARGEST))
        reduced.convert("RGB").save(content, "jpeg", quality=QUALITY)
    kind = "png" if small else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
    return Picture(source, alt, title, note, pixels=max(image.size) < SHOWN)
