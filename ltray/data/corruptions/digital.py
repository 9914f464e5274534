"""Brightness, contrast, elastic transform, pixelate and JPEG; images are levels of 0 to 1 (N, H, W, 3), float32."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image
from scipy import ndimage

from ltray.data.corruptions.draws import Draws, Floats
from ltray.data.corruptions.warps import bilinear

WINDOW = 3  # standard deviations at which the smoothing of displacements is cut off


def brightness(images: Floats, draws: Draws, added: float) -> Floats:
    """Add to the value of HSV, the largest of a pixel's three levels; hue and saturation are kept."""
    value = images.max(axis=3, keepdims=True)
    brighter = np.clip(value + np.float32(added), 0, 1)
    changed: Floats = np.where(value > 0, images * (brighter / np.maximum(value, 1e-6)), brighter)
    return changed


def contrast(images: Floats, draws: Draws, factor: float) -> Floats:
    """Multiply the differences from the mean of each channel."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    changed: Floats = (images - mean) * np.float32(factor) + mean
    return changed


def elastic_transform(images: Floats, draws: Draws, constants: tuple[float, float, float]) -> Floats:
    """Move three points of the image by an affine map, and every pixel by a smooth random displacement.

    Both are one interpolation; the authors' program interpolates twice.
    """
    displacement, deviation, shift = constants
    height, width = images.shape[1:3]
    centre, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    points = centre + np.array([[reach, reach], [reach, -reach], [-reach, -reach]])  # row, column
    moved = points + draws.uniform(3, 2, low=-shift, high=shift)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).astype(np.float32)
    fields = draws.uniform(2, height, width, low=-1.0, high=1.0)
    smooth = ndimage.gaussian_filter(fields, (0, 0, deviation, deviation), mode="reflect", truncate=WINDOW)
    places = grid + np.float32(displacement) * np.moveaxis(smooth, 1, -1)
    source = _affine(moved, points, places)
    return bilinear(images, source[..., 0], source[..., 1])


def _affine(moved: Floats, points: np.ndarray, places: Floats) -> Floats:
    """Map places (N, H, W, 2) by the affine maps that take three moved points (N, 3, 2) to their positions before."""
    ones = np.ones((*moved.shape[:2], 1))
    maps = np.linalg.solve(np.concatenate([moved.astype(np.float64), ones], axis=2), points.astype(np.float64))
    linear, offset = maps[:, :2].astype(np.float32), maps[:, 2].astype(np.float32)
    found: Floats = np.einsum("nhwi,nij->nhwj", places, linear, optimize=True) + offset[:, None, None]
    return found


def pixelate(images: Floats, draws: Draws, share: float) -> Floats:
    """Reduce the image, and enlarge it again, by means over boxes."""
    height, width = images.shape[1:3]
    small = (max(1, int(width * share)), max(1, int(height * share)))

    def reduced(image: Image.Image) -> Image.Image:
        return image.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)

    return _by_pillow(images, reduced)


def jpeg_compression(images: Floats, draws: Draws, quality: int) -> Floats:
    """Compress as JPEG with a quality of 1 to 100."""

    def compressed(image: Image.Image) -> Image.Image:
        content = BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content)

    return _by_pillow(images, compressed)


def _by_pillow(images: Floats, change: Callable[[Image.Image], Image.Image]) -> Floats:
    levels = np.rint(images * 255).astype(np.uint8)
    changed = np.stack([np.asarray(change(Image.fromarray(one)).convert("RGB")) for one in levels])
    return changed.astype(np.float32) / 255
