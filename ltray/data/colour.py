"""Random changes of colour: jitter and grayscale, equal to torchvision's on PIL images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.pixels import luminance, on_some, per_sample
from ltray.data.randomness import uniform
from ltray.data.tone import BRIGHTNESS, CONTRAST, SATURATION, adjust

HUE = 3
assert sorted((BRIGHTNESS, CONTRAST, SATURATION, HUE)) == [0, 1, 2, 3]  # places of a permutation


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast, saturation and hue in an order drawn for each sample.

    Attributes:
        strength: How far brightness, contrast and saturation may go from 1, in [0, 1].
        hue: How far the hue may turn, in turns, in [0, 0.5].
        probability: Share of the samples that are changed at all.
    """

    strength: float
    hue: float
    probability: float = 1.0

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        draws = uniform(keys, 9, salt=salt)
        order = draws[:, :4].argsort(dim=1)
        changed = draws[:, 8] < self.probability
        factors = torch.ones(len(keys), 4)  # a factor of 1, as the hue has here, changes nothing
        factors[:, :HUE] += self.strength * (2.0 * draws[:, 4:7] - 1.0) * changed[:, None]
        turns = self.hue * (2.0 * draws[:, 7] - 1.0)
        for kinds, chosen in zip(order.T, factors.gather(1, order).T, strict=True):
            levels = adjust(levels, kinds, chosen)
            if self.hue > 0.0:
                levels = on_some(levels, (kinds == HUE) & changed, lambda some, rows: turn_hue(some, turns[rows]))
        return levels


def turn_hue(levels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of whole levels (m, 3, H, W) by `turns` (m,) of the colour circle."""
    red, green, blue = levels[:, 0:1], levels[:, 1:2], levels[:, 2:3]
    largest = torch.maximum(torch.maximum(red, green), blue)
    smallest = torch.minimum(torch.minimum(red, green), blue)
    chroma = largest - smallest
    # 1 where red (else green, else blue) is the largest, and 0 elsewhere: differences are whole numbers.
    is_red = (red - largest).add_(1.0).clamp_(min=0.0)
    is_green = (green - largest).add_(1.0).clamp_(min=0.0).mul_(1.0 - is_red)
    is_blue = 1.0 - is_red - is_green
    hue = (green - blue).mul_(is_red).add_((blue - red).mul_(is_green)).add_((red - green).mul_(is_blue))
    hue.div_(chroma.clamp(min=1.0)).add_(is_green.mul_(2.0)).add_(is_blue.mul_(4.0))
    hue.mul_(1.0 / 6.0).add_(per_sample(turns, levels))
    hue.sub_(hue.floor()).mul_(6.0)
    # Of a full colour, each channel is a trapezoid of the hue: red about 0, green 2, blue 4 sixths.
    full = [(hue - 3.0).abs_().sub_(1.0), 2.0 - (hue - 2.0).abs_(), 2.0 - (hue - 4.0).abs_()]
    return torch.cat(full, dim=1).clamp_(0.0, 1.0).mul_(chroma).add_(smallest).add_(0.5).floor_()


@dataclass(frozen=True)
class Grayscale:
    """Replace the colours of some samples by their luminance.

    Attributes:
        probability: Share of the samples.
    """

    probability: float

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        chosen = uniform(keys, 1, salt=salt)[:, 0] < self.probability
        return on_some(levels, chosen, lambda some, rows: luminance(some))
