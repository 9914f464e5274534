"""A corruption by name, applied to a batch of images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltray.data.corruptions import blurs, digital, noise, weather
from ltray.data.corruptions.draws import Draws, Floats
from ltray.data.corruptions.severities import SEVERITIES, table_for
from ltray.errors import UsageError, chosen

CORRUPTIONS: Mapping[str, Callable[[Floats, Draws, Any], Floats]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blurs.defocus_blur,
    "glass_blur": blurs.glass_blur,
    "motion_blur": blurs.motion_blur,
    "zoom_blur": blurs.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": digital.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
"""The corruptions by name, in the order of Hendrycks and Dietterich's tables."""


def corrupt(
    images: NDArray[np.uint8], corruption: str, severity: int, *, keys: NDArray[np.int64], seed: int = 0
) -> NDArray[np.uint8]:
    """Return corrupted images; the same for the same image, key, severity and seed in any batch.

    Args:
        images: RGB levels of 0 to 255 (N, H, W, 3), uint8. Up to 64 pixels the constants of CIFAR-C are used, above
            them those of ImageNet-C; lengths in pixels are not adapted to other sides than 32 and 224.
        corruption: A key of `CORRUPTIONS`.
        severity: 1 to 5; 0 returns the images unchanged.
        keys: A number for each image (N,), not negative, from which its random numbers are drawn.
        seed: Of the random numbers.

    Raises:
        UsageError: The corruption is not known, or the severity is not from 0 to 5.
    """
    function = chosen(corruption, CORRUPTIONS, "a corruption")
    if severity not in range(SEVERITIES + 1):
        raise UsageError(f"`severity` must be from 0 to {SEVERITIES}, but got {severity!r}.")
    if severity == 0 or not len(images):
        return images.copy()
    _, table = table_for(min(images.shape[1:3]))
    levels = images.astype(np.float32) / 255
    changed = function(levels, Draws.of(corruption, keys, seed=seed), table[corruption][severity - 1])
    return np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8)
