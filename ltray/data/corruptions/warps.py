"""Resampling of batches of images (N, H, W, C), float32, and the blur along a line."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ltray.data.corruptions.draws import Floats

Positions = NDArray[np.int64]


def bilinear(images: Floats, rows: Floats, columns: Floats) -> Floats:
    """Return the images at other positions, interpolated; outside, the image is mirrored.

    Args:
        images: (N, H, W, C).
        rows: Row of each pixel of the result (N, h, w), in pixels of the image.
        columns: Its column (N, h, w).
    """
    count, height, width, channels = images.shape
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    above, below = _mirrored(top, height), _mirrored(top + 1, height)
    before, after = _mirrored(left, width), _mirrored(left + 1, width)
    first = height * np.arange(count)[:, None, None]
    pixels = images.reshape(-1, channels)

    def at(row: Positions, column: Positions) -> Floats:
        taken: Floats = np.take(pixels, (first + row) * width + column, axis=0)
        return taken

    upper = at(above, before) * (1 - right) + at(above, after) * right
    lower = at(below, before) * (1 - right) + at(below, after) * right
    mixed: Floats = upper * (1 - down) + lower * down
    return mixed


def _mirrored(places: Floats, size: int) -> Positions:
    """Return positions inside 0 … size − 1 after reflections at the edges, which are repeated."""
    folded = np.mod(places.astype(np.int64), 2 * size)
    found: Positions = np.minimum(folded, 2 * size - 1 - folded)
    return found


@lru_cache(maxsize=256)
def zoom_matrix(size: int, factor: float) -> Floats:
    """Return the linear map (size, size) that enlarges the centre of a line of pixels to its length.

    The centre part has ⌈size / factor⌉ pixels, whose first and last one become the ends of a line of round(part ×
    factor) pixels; its centre is returned.

    Args:
        size: Pixels of the line.
        factor: At least 1.
    """
    part = int(np.ceil(size / factor))
    whole = max(int(round(part * factor)), size)
    places = (np.arange(size) + (whole - size) // 2) * ((part - 1) / max(whole - 1, 1)) + (size - part) // 2
    lower = np.clip(np.floor(places).astype(np.int64), 0, size - 1)
    upper = np.minimum(lower + 1, size - 1)
    share = (places - lower).astype(np.float32)
    matrix = np.zeros((size, size), dtype=np.float32)
    np.add.at(matrix, (np.arange(size), lower), 1 - share)
    np.add.at(matrix, (np.arange(size), upper), share)
    return matrix


def zoomed(planes: Floats, factor: float) -> Floats:
    """Return the enlarged centre of planes (…, H, W), in their size."""
    rows, columns = zoom_matrix(planes.shape[-2], factor), zoom_matrix(planes.shape[-1], factor)
    found: Floats = rows @ planes @ columns.T
    return found


def along_line(images: Floats, angles: Floats, *, radius: float, deviation: float) -> Floats:
    """Return the images blurred in one direction by half a Gaussian: a comet's tail.

    Args:
        images: (N, H, W, C); outside, their edges are continued.
        angles: Direction of each image's tail in degrees (N,): 0 to the right, 90 downwards.
        radius: 2·radius + 1 pixels of the tail have weight.
        deviation: Standard deviation of the weights along the tail, in pixels.
    """
    reach = 2 * int(radius)
    steps = np.arange(reach + 1)
    weights = np.exp(-(steps**2) / (2 * deviation**2)).astype(np.float32)
    weights /= weights.sum()
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    turned = np.deg2rad(angles.astype(np.float64))[:, None]
    tops = (reach - np.rint(steps * np.sin(turned))).astype(int).tolist()
    lefts = (reach - np.rint(steps * np.cos(turned))).astype(int).tolist()
    found = np.zeros_like(images)
    for target, source, own_tops, own_lefts in zip(found, padded, tops, lefts, strict=True):
        for weight, top, left in zip(weights, own_tops, own_lefts, strict=True):
            target += weight * source[top : top + height, left : left + width]
    return found
