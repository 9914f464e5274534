"""AutoAugment's policy for CIFAR-10 (Cubuk et al., CVPR 2019, table 7), as the papers implement it.

The 25 sub-policies are the published ones. The operations follow the implementation that
PaCo and ResCom share: gray fill, bicubic shear, nearest-neighbour rotation in one direction
only, and shifts up to 150/331 of the image; the two operations of a sub-policy are applied
independently of each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.transforms import affine as warp
from ltray.data.transforms import tone
from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.per_sample import Drawn, Render, apply_drawn

Step = tuple[str, float, int]
"""Operation, probability, magnitude 0..9."""

SUB_POLICIES: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("colour", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("colour", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("colour", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("colour", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("colour", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)

GRAY = (128.0, 128.0, 128.0)
HIGHEST = 9  # magnitudes are integers 0..9; the functions below use them divided by 9


def _shear(levels: Tensor, drawn: Drawn) -> Tensor:
    matrices = warp.identity(len(levels))
    matrices[:, 3] = 0.3 * drawn.magnitudes * drawn.signs
    return warp.warp(levels, matrices, sampling="bicubic", fill=GRAY)


def _move(levels: Tensor, drawn: Drawn) -> Tensor:
    height, width = levels.shape[2:]
    matrices = warp.rotation(30.0 * drawn.magnitudes * (drawn.names == ROTATE), height=height, width=width)
    shift = 150 / 331 * drawn.magnitudes * drawn.signs
    matrices[:, 2] += shift * width * (drawn.names == TRANSLATE_X)
    matrices[:, 5] += shift * height * (drawn.names == TRANSLATE_Y)
    return warp.warp(levels, matrices, sampling="nearest", fill=GRAY)


def _factor(drawn: Drawn) -> Tensor:
    return 1.0 + 0.9 * drawn.magnitudes * drawn.signs


def _adjust(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.adjust(levels, drawn.names - ADJUSTMENTS, _factor(drawn))


def _sharpness(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.sharpness(levels, _factor(drawn))


def _posterize(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.posterize(levels, (8.0 - 4.0 * drawn.magnitudes).round())


def _solarize(levels: Tensor, drawn: Drawn) -> Tensor:
    return tone.solarize(levels, 256.0 * (1.0 - drawn.magnitudes))


TABLE: Mapping[str, Render] = {
    "brightness": _adjust,
    "contrast": _adjust,
    "colour": _adjust,
    "translate_x": _move,
    "translate_y": _move,
    "rotate": _move,
    "shear_y": _shear,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": lambda levels, drawn: tone.autocontrast(levels),
    "equalize": lambda levels, drawn: tone.equalize(levels),
    "invert": lambda levels, drawn: tone.invert(levels),
}

_NAMES = tuple(TABLE)
TRANSLATE_X, TRANSLATE_Y, ROTATE = (_NAMES.index(name) for name in ("translate_x", "translate_y", "rotate"))
ADJUSTMENTS = _NAMES.index("brightness") - tone.BRIGHTNESS  # the first three have the order of `tone`

_NAME = torch.tensor([[_NAMES.index(name) for name, _, _ in pair] for pair in SUB_POLICIES])
_CHANCE = torch.tensor([[chance for _, chance, _ in pair] for pair in SUB_POLICIES])
_MAGNITUDE = torch.tensor([[m / HIGHEST for _, _, m in pair] for pair in SUB_POLICIES], dtype=torch.float64)


@dataclass(frozen=True)
class AutoAugment:
    """Draw a sub-policy for each sample and apply each of its two operations with its probability."""

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        draws = uniform(keys, 5, salt=salt)
        policies = (draws[:, 0] * len(SUB_POLICIES)).long()
        for turn in range(2):
            drawn = Drawn(_NAME[policies, turn], _MAGNITUDE[policies, turn], draws[:, 3 + turn])
            levels = apply_drawn(levels, drawn, draws[:, 1 + turn] < _CHANCE[policies, turn], TABLE)
        return levels
