"""Box blurs."""

import numpy as np

from ltray.data.transforms.kernels import HALF, Floats, Levels, compiled


@compiled
def blur(levels: Levels, weights: Floats, passes: int) -> None:
    """Average along the rows, then along the columns, `passes` times each.

    Args:
        levels: uint8 (n, 3, H, W), changed in place.
        weights: Weights of the pixel itself and of the pixels at distance k (n, reach + 1).
        passes: Number of averages along each axis.
    """
    height, width = levels.shape[2:]
    longest, reach = max(height, width), weights.shape[1] - 1
    line = np.empty(longest + 2 * reach, dtype=np.float32)
    total = np.empty(longest, dtype=np.float32)
    transposed = np.empty((width, height), dtype=np.uint8)
    for sample in range(levels.shape[0]):
        for channel in range(3):
            plane = levels[sample, channel]
            _along_rows(plane, weights[sample], passes, line, total)
            transposed[:] = plane.T
            _along_rows(transposed, weights[sample], passes, line, total)
            plane[:] = transposed.T


@compiled
def _along_rows(plane: Levels, weights: Floats, passes: int, line: Floats, total: Floats) -> None:
    """Average along every row of (h, w); the pixels of the edge are repeated outside the image."""
    height, width = plane.shape
    reach = weights.size - 1
    middle = line[reach : reach + width]
    for y in range(height):
        row = plane[y]
        for x in range(width):
            middle[x] = np.float32(row[x])
        for _ in range(passes):
            line[:reach] = middle[0]
            line[reach + width : 2 * reach + width] = middle[width - 1]
            for x in range(width):
                total[x] = middle[x] * weights[0]
            for k in range(1, reach + 1):
                # Slices that start at 0: the compiler does not vectorise an index that may be negative.
                left, right, weight = line[reach - k :], line[reach + k :], weights[k]
                for x in range(width):
                    total[x] += (left[x] + right[x]) * weight
            for x in range(width):
                middle[x] = np.floor(total[x] + HALF)
        for x in range(width):
            row[x] = np.uint8(middle[x])
