"""Affine warps."""

import numpy as np
from numpy.typing import NDArray

from ltray.data.transforms.kernels import LARGEST, ONE, ZERO, Float, Floats, Levels, compiled

TWO = np.float32(2)
NEAREST, BILINEAR, BICUBIC = 1, 2, 4  # pixels a filter reads along an axis


@compiled
def warp(levels: Levels, matrices: NDArray[np.float64], reach: int, fill: Floats) -> None:
    """See `ltray.data.transforms.affine.warp`; `reach` is NEAREST, BILINEAR or BICUBIC."""
    height, width = levels.shape[2:]
    before = np.empty((3, height * width), dtype=np.uint8)
    across, down = np.empty(4, dtype=np.float32), np.empty(4, dtype=np.float32)
    for sample in range(levels.shape[0]):
        a, b, c, d, e, f = matrices[sample]
        # Along an axis that does not change, every filter returns the pixel itself: read only this pixel.
        wide = NEAREST if a == 1.0 and b == 0.0 and c == 0.0 else reach
        high = NEAREST if d == 0.0 and e == 1.0 and f == 0.0 else reach
        image = levels[sample].reshape(3, -1)
        before[:] = image
        for y in range(height):
            for x in range(width):
                place_x = a * (x + 0.5) + (b * (y + 0.5) + c)
                place_y = d * (x + 0.5) + (e * (y + 0.5) + f)
                here = y * width + x
                if not (0.0 <= place_x < width and 0.0 <= place_y < height):
                    for channel in range(3):
                        image[channel, here] = np.uint8(fill[channel])
                    continue
                if wide == NEAREST and high == NEAREST:
                    there = int(place_y) * width + int(place_x)
                    for channel in range(3):
                        image[channel, here] = before[channel, there]
                    continue
                column, across[0], across[1], across[2], across[3] = _taps(place_x, wide)
                row, down[0], down[1], down[2], down[3] = _taps(place_y, high)
                red = green = blue = ZERO
                for j in range(high):
                    line = min(max(row + j, 0), height - 1) * width
                    for i in range(wide):
                        there, weight = line + min(max(column + i, 0), width - 1), down[j] * across[i]
                        red += np.float32(before[0, there]) * weight
                        green += np.float32(before[1, there]) * weight
                        blue += np.float32(before[2, there]) * weight
                image[0, here] = np.uint8(min(max(red, ZERO), LARGEST))
                image[1, here] = np.uint8(min(max(green, ZERO), LARGEST))
                image[2, here] = np.uint8(min(max(blue, ZERO), LARGEST))


@compiled
def _taps(place: float, reach: int) -> tuple[int, Float, Float, Float, Float]:
    """Return the index of the first pixel that a filter reads along an axis, and the weights of four pixels.

    The result is five numbers and not an array because numba counts references to arrays at every call.
    """
    if reach == NEAREST:
        return int(np.floor(place)), ONE, ZERO, ZERO, ZERO
    first = np.floor(place - 0.5)
    t = np.float32(place - 0.5 - first)
    if reach == BILINEAR:
        return int(first), ONE - t, t, ZERO, ZERO
    square, cube = t * t, t * t * t  # Keys' cubic with a = -1
    return int(first) - 1, -t + TWO * square - cube, ONE - TWO * square + cube, t + square - cube, -square + cube
