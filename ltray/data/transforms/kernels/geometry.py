"""Padded crops, resized crops, flips and Cutout."""

import numpy as np
from numpy.typing import NDArray

from ltray.data.transforms.kernels import Ints, Levels, compiled

BITS = 22
HALF = 1 << (BITS - 1)


@compiled
def padded_crop(images: Levels, corners: Ints, mirrored: NDArray[np.bool_], padding: int, result: Levels) -> None:
    """See `ltray.data.transforms.geometry.PaddedCrop`; corners are (row, column) in the padded image (n, 2)."""
    height, width = images.shape[2:]
    size = result.shape[2]
    for sample in range(images.shape[0]):
        top, left = corners[sample, 0] - padding, corners[sample, 1] - padding
        # The columns of the result that lie inside the image: [begin, end).
        begin, end = max(0, -left), min(size, width - left)
        for channel in range(3):
            plane, target = images[sample, channel], result[sample, channel]
            for y in range(size):
                line = target[y]
                line[:] = 0
                if top + y < 0 or top + y >= height:
                    continue
                source = plane[top + y]
                if mirrored[sample]:
                    for x in range(begin, end):
                        line[size - 1 - x] = source[left + x]
                else:
                    for x in range(begin, end):
                        line[x] = source[left + x]


@compiled
def resize(images: Levels, boxes: Ints, owners: Ints, mirrored: NDArray[np.bool_], result: Levels) -> None:
    """See `ltray.data.transforms.resize.crop_resize`."""
    size = result.shape[2]
    narrow = np.empty((images.shape[2], size), dtype=np.uint8)
    total = np.empty(size, dtype=np.int64)
    for place in range(boxes.shape[0]):
        left, top, right, bottom = boxes[place]
        columns, across = _taps(right - left, size, mirrored[place])
        rows, down = _taps(bottom - top, size, False)
        for channel in range(3):
            plane = images[owners[place], channel]
            for y in range(bottom - top):
                line = plane[top + y, left:right]
                for x in range(size):
                    level = HALF
                    for k in range(columns.shape[0]):
                        level += across[k, x] * line[columns[k, x]]
                    narrow[y, x] = np.uint8(level >> BITS)
            for y in range(size):
                total[:] = HALF
                for k in range(rows.shape[0]):
                    line, weight = narrow[rows[k, y]], down[k, y]
                    for x in range(size):
                        total[x] += weight * line[x]
                target = result[place, channel, y]
                for x in range(size):
                    target[x] = np.uint8(total[x] >> BITS)


@compiled
def _taps(length: int, size: int, reverse: bool) -> tuple[Ints, Ints]:
    """Return the indices of the pixels that each result reads and their weights, (taps, size) each."""
    scale = length / size
    support = max(scale, 1.0)
    taps = int(np.ceil(2 * support))
    places, weights = np.zeros((taps, size), dtype=np.int64), np.zeros((taps, size), dtype=np.int64)
    parts = np.empty(taps)
    for step in range(size):
        target = size - 1 - step if reverse else step
        centre = (step + 0.5) * scale
        first = max(np.floor(centre - support + 0.5), 0.0)
        total = 0.0
        for k in range(taps):
            place = first + k
            parts[k] = max(1.0 - abs((place + 0.5 - centre) / support), 0.0) if place < length else 0.0
            total += parts[k]
        for k in range(taps):
            places[k, target] = min(int(first) + k, length - 1)
            weights[k, target] = int(np.rint(parts[k] / total * (1 << BITS)))
    return places, weights


@compiled
def mirror(levels: Levels, chosen: Ints) -> None:
    """Flip the chosen samples left to right."""
    width = levels.shape[3]
    for sample in chosen:
        for channel in range(3):
            for y in range(levels.shape[2]):
                line = levels[sample, channel, y]
                for x in range(width // 2):
                    line[x], line[width - 1 - x] = line[width - 1 - x], line[x]


@compiled
def cut_holes(levels: Levels, centres: Ints, side: int) -> None:
    """Set [centre - side/2, centre + side/2) of rows and columns to 0; centres (n, 2)."""
    height, width = levels.shape[2:]
    for sample in range(levels.shape[0]):
        top, left = centres[sample, 0] - side // 2, centres[sample, 1] - side // 2
        for channel in range(3):
            for y in range(max(top, 0), min(top + side, height)):
                levels[sample, channel, y, max(left, 0) : min(left + side, width)] = 0
