"""Defocus, glass, motion and zoom blur; images are levels of 0 to 1 (N, H, W, 3), float32."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, signal

from ltray.data.corruptions.draws import Draws, Floats
from ltray.data.corruptions.warps import along_line, zoomed


def disk(radius: float, deviation: float) -> Floats:
    """Return the kernel of a lens out of focus: a disk, smoothed at its edge; odd sides, sum 1.

    Args:
        radius: In pixels.
        deviation: Of the Gaussian (3 or, for radii above 8, 5 pixels wide) that smooths it.
    """
    reach = int(np.ceil(radius))
    side = np.arange(-reach, reach + 1)
    inside = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float64)
    taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    line = np.exp(-(taps**2) / (2 * deviation**2))
    line /= line.sum()
    smooth = signal.convolve2d(inside / inside.sum(), np.outer(line, line))
    return np.asarray(smooth, dtype=np.float32)


def defocus_blur(images: Floats, draws: Draws, constants: tuple[float, float]) -> Floats:
    """Convolve with a disk: a lens out of focus."""
    kernel = disk(*constants)
    reach = len(kernel) // 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return np.asarray(signal.fftconvolve(padded, kernel[None, :, :, None], mode="valid", axes=(1, 2)), np.float32)


def glass_blur(images: Floats, draws: Draws, constants: tuple[float, int, int]) -> Floats:
    """Blur, exchange neighbouring pixels, blur: frosted glass.

    Pixels whose neighbourhoods do not overlap are exchanged at once, in as many steps as a neighbourhood has pixels;
    the authors' program exchanges them one after another.
    """
    deviation, distance, rounds = constants
    blurred = _gaussian(images, deviation)
    height, width = images.shape[1:3]
    shifts = draws.integers(rounds, height, width, 2, low=-distance, high=distance)
    for number in range(rounds):
        for place in range((2 * distance) ** 2):
            first = (distance + place // (2 * distance), distance + place % (2 * distance))
            _exchange(blurred, shifts[:, number], first, distance)
    return _gaussian(blurred, deviation)


def _exchange(images: Floats, shifts: np.ndarray, first: tuple[int, int], distance: int) -> None:
    """Exchange every pixel of a grid, from `first` in steps of 2·`distance`, with a neighbour; in place."""
    height, width = images.shape[1:3]
    rows = np.arange(first[0], height - distance + 1, 2 * distance)
    columns = np.arange(first[1], width - distance + 1, 2 * distance)
    rows, columns = rows[rows < height], columns[columns < width]
    if not len(rows) or not len(columns):
        return
    which = np.arange(len(images))[:, None, None]
    here = (which, rows[None, :, None], columns[None, None, :])
    moved = shifts[here]
    there = (which, rows[None, :, None] + moved[..., 0], columns[None, None, :] + moved[..., 1])
    kept = images[here].copy()
    images[here] = images[there]
    images[there] = kept


def motion_blur(images: Floats, draws: Draws, constants: tuple[float, float]) -> Floats:
    """Blur along a line of random direction, up to 45 degrees from horizontal: a moving camera."""
    angles = draws.uniform(low=-45.0, high=45.0)
    return along_line(images, angles, radius=constants[0], deviation=constants[1])


def zoom_blur(images: Floats, draws: Draws, factors: Sequence[float]) -> Floats:
    """Average the image with enlarged ones: a camera that moves towards the object."""
    planes = np.ascontiguousarray(np.moveaxis(images, -1, 1))
    total = planes.copy()
    for factor in factors:
        total += zoomed(planes, factor)
    return np.moveaxis(total, 1, -1) / np.float32(len(factors) + 1)


def _gaussian(images: Floats, deviation: float) -> Floats:
    found = ndimage.gaussian_filter(images, (0, deviation, deviation, 0), mode="nearest")
    return np.asarray(found, dtype=np.float32)
