"""Brightness, contrast, saturation, hue, sharpness, look-up tables and normalisation."""

import numpy as np

from ltray.data.transforms.kernels import HALF, LARGEST, ONE, ZERO, Float, Floats, Ints, Levels, compiled

RED, GREEN, BLUE, SHIFT = np.float32(19595), np.float32(38470), np.float32(7471), np.float32(2.0**-16)
ROUND = np.float32(32768)
TWO, THREE, FOUR, FIVE, SIX, THIRTEEN = (np.float32(n) for n in (2, 3, 4, 5, 6, 13))
SIXTH = np.float32(1 / 6)


@compiled
def adjust(levels: Levels, kinds: Ints, factors: Floats) -> None:
    """See `ltray.data.transforms.tone.adjust`: kinds 0, 1, 2 are brightness, contrast and saturation.

    Samples with a factor of 1 are skipped.
    """
    for sample in range(levels.shape[0]):
        factor, image = factors[sample], levels[sample].reshape(3, -1)
        if factor == ONE:
            continue
        if kinds[sample] == 2:
            _saturate(image, factor)
            continue
        towards = _mean_luminance(image) if kinds[sample] == 1 else ZERO
        for channel in range(3):
            plane = image[channel]
            for i in range(plane.size):
                moved = (np.float32(plane[i]) - towards) * factor + towards
                plane[i] = np.uint8(min(max(moved, ZERO), LARGEST))


@compiled
def _luminance(red: np.uint8, green: np.uint8, blue: np.uint8) -> Float:
    total = np.float32(red) * RED + np.float32(green) * GREEN + np.float32(blue) * BLUE
    return np.float32(np.floor((total + ROUND) * SHIFT))


@compiled
def _mean_luminance(image: Levels) -> Float:
    total = np.int64(0)
    for i in range(image.shape[1]):
        total += np.int32(_luminance(image[0, i], image[1, i], image[2, i]))
    return np.float32(np.floor(total / image.shape[1] + 0.5))


@compiled
def _saturate(image: Levels, factor: Float) -> None:
    red, green, blue = image[0], image[1], image[2]
    for i in range(red.size):
        gray = _luminance(red[i], green[i], blue[i])
        red[i] = np.uint8(min(max((np.float32(red[i]) - gray) * factor + gray, ZERO), LARGEST))
        green[i] = np.uint8(min(max((np.float32(green[i]) - gray) * factor + gray, ZERO), LARGEST))
        blue[i] = np.uint8(min(max((np.float32(blue[i]) - gray) * factor + gray, ZERO), LARGEST))


@compiled
def grayscale(levels: Levels, chosen: Ints) -> None:
    """Replace the colours of the chosen samples by their luminance."""
    for sample in chosen:
        image = levels[sample].reshape(3, -1)
        red, green, blue = image[0], image[1], image[2]
        for i in range(red.size):
            gray = np.uint8(_luminance(red[i], green[i], blue[i]))
            red[i] = gray
            green[i] = gray
            blue[i] = gray


@compiled
def turn_hue(levels: Levels, turns: Floats) -> None:
    """See `ltray.data.transforms.colour.turn_hue`; samples with a rotation of 0 are skipped."""
    for sample in range(levels.shape[0]):
        image, turn = levels[sample].reshape(3, -1), turns[sample]
        reds, greens, blues = image[0], image[1], image[2]
        if turn == ZERO:
            continue
        for i in range(reds.size):
            red, green, blue = np.float32(reds[i]), np.float32(greens[i]), np.float32(blues[i])
            high, low = max(green, blue), min(green, blue)
            swapped = min(max(blue - green, ZERO), ONE)
            beyond = min(max(high - red, ZERO), ONE)
            middle = min(red, high)
            smallest = min(middle, low)
            chroma = max(red, high) - smallest
            side = (TWO * beyond - ONE) * swapped * SIX - TWO * beyond
            hue = abs((middle - low) / max(chroma, ONE) + side) * SIXTH + turn
            hue = (hue - np.floor(hue)) * SIX
            reds[i] = np.uint8(np.rint(min(max(abs(hue - THREE) - ONE, ZERO), ONE) * chroma + smallest))
            greens[i] = np.uint8(np.rint(min(max(TWO - abs(hue - TWO), ZERO), ONE) * chroma + smallest))
            blues[i] = np.uint8(np.rint(min(max(TWO - abs(hue - FOUR), ZERO), ONE) * chroma + smallest))


@compiled
def sharpness(levels: Levels, factors: Floats) -> None:
    """See `ltray.data.transforms.tone.sharpness`."""
    height, width = levels.shape[2:]
    before = np.empty((height, width), dtype=np.uint8)
    for sample in range(levels.shape[0]):
        factor = factors[sample]
        for channel in range(3):
            plane = levels[sample, channel]
            before[:] = plane
            for y in range(1, height - 1):
                above, here, below = before[y - 1], before[y], before[y + 1]
                for x in range(1, width - 1):
                    around = np.float32(above[x - 1]) + np.float32(above[x]) + np.float32(above[x + 1])
                    around += np.float32(here[x - 1]) + FIVE * np.float32(here[x]) + np.float32(here[x + 1])
                    around += np.float32(below[x - 1]) + np.float32(below[x]) + np.float32(below[x + 1])
                    smooth = np.floor(around / THIRTEEN + HALF)
                    moved = (np.float32(here[x]) - smooth) * factor + smooth
                    plane[y, x] = np.uint8(min(max(moved, ZERO), LARGEST))


@compiled
def look_up(levels: Levels, tables: Levels) -> None:
    """Replace every level by its entry in a table (n, 1 or 3, 256): one for all channels, or one per channel."""
    last = tables.shape[1] - 1
    for sample in range(levels.shape[0]):
        for channel in range(3):
            plane, table = levels[sample, channel].reshape(-1), tables[sample, min(channel, last)]
            for i in range(plane.size):
                plane[i] = table[plane[i]]


@compiled
def count(levels: Levels, counts: Ints) -> None:
    """Add the number of pixels with each level to the counts of each channel (n, 3, 256)."""
    for sample in range(levels.shape[0]):
        for channel in range(3):
            plane, found = levels[sample, channel].reshape(-1), counts[sample, channel]
            for i in range(plane.size):
                found[plane[i]] += 1


@compiled
def normalise(levels: Levels, centre: Floats, scale: Floats, result: Floats) -> None:
    """Write (level - centre) * scale into `result` (n, 3, H, W); centre and scale have one value per channel (3,)."""
    for sample in range(levels.shape[0]):
        for channel in range(3):
            plane, target = levels[sample, channel].reshape(-1), result[sample, channel].reshape(-1)
            middle, factor = centre[channel], scale[channel]
            for i in range(plane.size):
                target[i] = (np.float32(plane[i]) - middle) * factor
