"""Snow, frost and fog; images are levels of 0 to 1 (N, H, W, 3), float32."""

import numpy as np
from scipy import ndimage

from ltray.data.corruptions.draws import Draws, Floats
from ltray.data.corruptions.warps import along_line, zoomed

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # brightness of red, green and blue
COLD = np.array([0.80, 0.90, 1.0], dtype=np.float32)  # colour of thin frost; thick frost is white
THICKNESS = 1.6  # decay of the octaves of the ice's thickness
NEEDLES, NARROW, SHARP = 16.0, 0.2, 0.35  # length in parts of the image's side, width in lengths, width of a ridge


def snow(images: Floats, draws: Draws, constants: tuple[float, ...]) -> Floats:
    """Whiten the image, and add flakes that fall steeply, twice, the second time rotated by 180 degrees."""
    mean, deviation, zoom, threshold, radius, blur, weight = constants
    height, width = images.shape[1:3]
    layer = zoomed(mean + np.float32(deviation) * draws.normal(height, width), zoom)[..., None]
    layer = np.clip(np.where(layer < threshold, 0, layer), 0, 1).astype(np.float32)
    layer = along_line(layer, draws.uniform(low=45.0, high=135.0), radius=radius, deviation=blur)
    grey = (images @ LUMA)[..., None]
    white = np.float32(weight) * images + np.float32(1 - weight) * np.maximum(images, grey * 1.5 + 0.5)
    return white + layer + layer[:, ::-1, ::-1]


def frost(images: Floats, draws: Draws, constants: tuple[float, float]) -> Floats:
    """Add a layer of ice.

    The authors add crops of six photographs. Here the layer is drawn: a plasma fractal is its thickness, and needles
    in two directions (ridges of noise that is smoothed along them) are on it. Its mean level is about 0.5.
    """
    height, width = images.shape[1:3]
    thickness = plasma(draws, max(height, width), THICKNESS)[:, :height, :width]
    needles = np.zeros_like(thickness)
    for long, narrow in ((1, NARROW), (NARROW, 1)):
        noise = draws.normal(height, width)
        smooth = ndimage.gaussian_filter(noise, (0, long * height / NEEDLES, narrow * width / NEEDLES))
        smooth /= np.maximum(smooth.std(axis=(1, 2), keepdims=True), 1e-6)
        needles = np.maximum(needles, np.exp(-((smooth / SHARP) ** 2)))
    layer = np.clip(0.7 * thickness + 0.35 * needles, 0, 1)[..., None]
    tinted = layer * (COLD + (1 - COLD) * layer)
    frosted: Floats = np.float32(constants[0]) * images + np.float32(constants[1]) * tinted
    return frosted


def fog(images: Floats, draws: Draws, constants: tuple[float, float]) -> Floats:
    """Mix the image with a plasma fractal, keeping the brightest level."""
    weight, decay = constants
    height, width = images.shape[1:3]
    brightest = images.max(axis=(1, 2, 3), keepdims=True)
    mist = plasma(draws, max(height, width), decay)[:, :height, :width, None]
    return np.asarray((images + np.float32(weight) * mist) * brightest / (brightest + np.float32(weight)), np.float32)


def plasma(draws: Draws, side: int, decay: float) -> Floats:
    """Return height maps of the diamond-square algorithm on a torus (N, S, S), from 0 to 1; S ≥ `side`, a power of 2.

    Args:
        draws: Of the images (N).
        side: Pixels.
        decay: The random displacement is divided by its square from octave to octave.
    """
    whole = 1 << max(side - 1, 1).bit_length()
    step, amplitude = whole, 1.0
    heights = np.zeros((len(draws.generators), whole, whole), dtype=np.float32)
    while step >= 2:
        half, places = step // 2, whole // step
        corners = heights[:, ::step, ::step]
        low = corners + np.roll(corners, -1, axis=1)
        centres = (low + np.roll(low, -1, axis=2)) / 4
        centres += draws.uniform(places, places, low=-amplitude, high=amplitude)
        heights[:, half::step, half::step] = centres
        across = (corners + np.roll(corners, -1, axis=2) + centres + np.roll(centres, 1, axis=1)) / 4
        heights[:, ::step, half::step] = across + draws.uniform(places, places, low=-amplitude, high=amplitude)
        down = (corners + np.roll(corners, -1, axis=1) + centres + np.roll(centres, 1, axis=2)) / 4
        heights[:, half::step, ::step] = down + draws.uniform(places, places, low=-amplitude, high=amplitude)
        step, amplitude = half, amplitude / decay**2
    heights -= heights.min(axis=(1, 2), keepdims=True)
    scaled: Floats = heights / np.maximum(heights.max(axis=(1, 2), keepdims=True), 1e-12)
    return scaled
