"""Gaussian, shot and impulse noise; images are levels of 0 to 1 (N, H, W, 3), float32."""

import numpy as np

from ltray.data.corruptions.draws import Draws, Floats


def gaussian_noise(images: Floats, draws: Draws, deviation: float) -> Floats:
    """Add normal noise to every value: noise of a sensor in low light."""
    return images + np.float32(deviation) * draws.normal(*images.shape[1:])


def shot_noise(images: Floats, draws: Draws, photons: float) -> Floats:
    """Replace every value by a Poisson count of photons: noise of the light itself."""
    return draws.poisson(images * np.float32(photons)) / np.float32(photons)


def impulse_noise(images: Floats, draws: Draws, share: float) -> Floats:
    """Set a share of the values to 0 or 1 (salt and pepper): errors of bits."""
    hit = draws.uniform(*images.shape[1:]) < share
    salt = draws.uniform(*images.shape[1:]) < 0.5
    return np.where(hit, salt.astype(np.float32), images)
