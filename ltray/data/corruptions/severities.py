"""The constants of the five severities of each corruption, at 32 and at 224 pixels.

Source: `make_cifar_c.py` (32 pixels) and `make_imagenet_c.py` (224 pixels) of the authors' repository
hendrycks/robustness, revisions ca36008 and e0377d4. Lengths are in pixels, levels are fractions of 1.
"""

from collections.abc import Mapping
from typing import Any

SEVERITIES = 5
SMALL = 64  # up to this side in pixels the constants of CIFAR-C apply, above it those of ImageNet-C
CIFAR_SIDE, IMAGENET_SIDE = 32, 244  # 244: the side by which ImageNet-C's elastic transform multiplies its constants


def _zooms(step: float, *counts: int) -> tuple[tuple[float, ...], ...]:
    """Return the zoom factors 1, 1 + step, … of each severity."""
    return tuple(tuple(1 + step * number for number in range(count)) for count in counts)


def _elastic(side: int, *shares: tuple[float, float, float]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(side * share for share in severity) for severity in shares)


CIFAR_C: Mapping[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),  # standard deviation
    "shot_noise": (500, 250, 100, 75, 50),  # photons at level 1
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),  # share of the values that become 0 or 1
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),  # radius, standard deviation
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),  # deviation, distance, rounds
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),  # radius, standard deviation
    "zoom_blur": _zooms(0.01, 6, 11, 16, 21, 26),
    "snow": (  # mean, deviation, zoom, threshold, radius and deviation of the blur, weight of the image
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),  # weights of the image and of the frost
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),  # weight of the fog, decay of its octaves
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),  # added to the value
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),  # factor of the differences from the mean
    "elastic_transform": _elastic(  # displacement, its standard deviation in space, largest shift of the corners
        CIFAR_SIDE, (0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)
    ),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),  # share of the side that remains
    "jpeg_compression": (80, 65, 58, 50, 40),  # quality
}
"""Constants by corruption at 32 pixels, severities 1 to 5."""

IMAGENET_C: Mapping[str, tuple[Any, ...]] = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": (
        *_zooms(0.01, 11, 16),
        *_zooms(0.02, 11, 13),
        *_zooms(0.03, 11),
    ),
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": _elastic(
        IMAGENET_SIDE, (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)
    ),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": (25, 18, 15, 10, 7),
}
"""Constants by corruption at 224 pixels, severities 1 to 5."""


def table_for(side: int) -> tuple[str, Mapping[str, tuple[Any, ...]]]:
    """Return name and constants of the benchmark whose images have about this side in pixels."""
    return ("CIFAR-C", CIFAR_C) if side <= SMALL else ("ImageNet-C", IMAGENET_C)
