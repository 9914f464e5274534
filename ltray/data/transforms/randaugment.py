"""RandAugment (Cubuk et al., NeurIPS 2020) in timm's variant, which all the papers use.

Operations are drawn with replacement from 15; each is then skipped with probability 1/2. Normal
noise with standard deviation 0.5 is added to the magnitude, which is then clipped to 0..10. At
magnitude 10 some operations are weak: solarize changes almost no pixels, posterize keeps 4 bits.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ltray.data.transforms import affine as warp
from ltray.data.transforms import tone
from ltray.data.transforms.affine import Sampling
from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.per_sample import Drawn, Render, apply_drawn
from ltray.data.transforms.pixels import on_some

HIGHEST = 10.0
SPREAD = 0.5
PROBABILITY = 0.5
MEAN_COLOUR = (124.0, 116.0, 104.0)  # the mean of ImageNet for every data set, as in the papers' code


def _warp(levels: Tensor, matrices: Tensor, drawn: Drawn) -> Tensor:
    """Warp each sample with a bilinear or bicubic filter, chosen at random."""
    filters: dict[Sampling, Tensor] = {"bilinear": drawn.second_choice, "bicubic": ~drawn.second_choice}
    for sampling, chosen in filters.items():
        change = partial(_warp_rows, matrices=matrices, sampling=sampling)
        levels = on_some(levels, chosen, change)
    return levels


def _warp_rows(levels: Tensor, rows: Tensor, *, matrices: Tensor, sampling: Sampling) -> Tensor:
    return warp.warp(levels, matrices[rows], sampling=sampling, fill=MEAN_COLOUR)


def _along_x(levels: Tensor, drawn: Drawn) -> Tensor:
    matrices = warp.identity(len(levels))
    amount = drawn.magnitudes * drawn.signs
    matrices[:, 1] = 0.3 * amount * (drawn.names == SHEAR_X)
    matrices[:, 2] = 0.45 * amount * levels.shape[3] * (drawn.names == TRANSLATE_X)
    return _warp(levels, matrices, drawn)


def _along_y(levels: Tensor, drawn: Drawn) -> Tensor:
    matrices = warp.identity(len(levels))
    amount = drawn.magnitudes * drawn.signs
    matrices[:, 3] = 0.3 * amount * (drawn.names == SHEAR_Y)
    matrices[:, 5] = 0.45 * amount * levels.shape[2] * (drawn.names == TRANSLATE_Y)
    return _warp(levels, matrices, drawn)


def _rotate(levels: Tensor, drawn: Drawn) -> Tensor:
    height, width = levels.shape[2:]
    degrees = 30.0 * drawn.magnitudes * drawn.signs
    return _warp(levels, warp.rotation(degrees, height=height, width=width), drawn)


def _adjust(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.adjust(levels, drawn.names - ADJUSTMENTS, 0.1 + 1.8 * drawn.magnitudes)


def _sharpness(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.sharpness(levels, 0.1 + 1.8 * drawn.magnitudes)


def _posterize(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.posterize(levels, (4.0 * drawn.magnitudes).floor())


def _solarize(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.solarize(levels, (256.0 * drawn.magnitudes).floor())


def _solarize_add(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.solarize_add(levels, (110.0 * drawn.magnitudes).floor())


TABLE: Mapping[str, Render] = {
    "brightness": _adjust,
    "contrast": _adjust,
    "colour": _adjust,
    "shear_x": _along_x,
    "translate_x": _along_x,
    "shear_y": _along_y,
    "translate_y": _along_y,
    "rotate": _rotate,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "autocontrast": lambda levels, drawn: tone.autocontrast(levels),
    "equalize": lambda levels, drawn: tone.equalize(levels),
    "invert": lambda levels, drawn: tone.invert(levels),
}

_NAMES = tuple(TABLE)
SHEAR_X, TRANSLATE_X, SHEAR_Y, TRANSLATE_Y = (
    _NAMES.index(name) for name in ("shear_x", "translate_x", "shear_y", "translate_y")
)
ADJUSTMENTS = _NAMES.index("brightness") - tone.BRIGHTNESS  # the first three have the order of `tone`


@dataclass(frozen=True)
class RandAugment:
    """Apply a few random operations to each sample, with similar magnitudes.

    Attributes:
        count: Number of operations per sample, n.
        magnitude: Mean magnitude m, in [0, 10].
    """

    count: int = 2
    magnitude: float = 10.0

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        draws = uniform(keys, 5 * self.count, salt=salt).view(len(keys), self.count, 5)
        for turn in range(self.count):
            name, chance, radius, angle, sides = draws[:, turn].unbind(1)
            noise = (-2.0 * (1.0 - radius.double()).log()).sqrt() * (2.0 * math.pi * angle.double()).cos()
            magnitudes = (self.magnitude + SPREAD * noise).clamp(0.0, HIGHEST) / HIGHEST  # noise: Box-Muller transform
            drawn = Drawn((name * len(TABLE)).long(), magnitudes, sides)
            levels = apply_drawn(levels, drawn, chance < PROBABILITY, TABLE)
        return levels
