"""Random changes of colour: jitter and grayscale, equal to torchvision's on PIL images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.pixels import in_bytes, luminance, on_some, per_sample
from ltray.data.transforms.tone import BRIGHTNESS, CONTRAST, SATURATION, adjust

HUE = 3
assert sorted((BRIGHTNESS, CONTRAST, SATURATION, HUE)) == [0, 1, 2, 3]  # indices into a permutation of four

# Each channel of a fully saturated colour is a trapezoid function of the hue (0 to 6), clipped to 0..1:
# top + slope * |hue - centre|, for red, green and blue.
TRAPEZOIDS = torch.tensor([[3.0, 2.0, 4.0], [1.0, -1.0, -1.0], [-1.0, 2.0, 2.0]]).view(3, 3, 1, 1)


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast, saturation and hue in an order drawn for each sample.

    Attributes:
        strength: Largest deviation of the factors of brightness, contrast and saturation from 1, in [0, 1].
        hue: Largest rotation of the hue, as a fraction of the full colour circle, in [0, 0.5].
        probability: Probability that a sample is changed.
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
                levels = turn_hues(levels, turns * ((kinds == HUE) & changed))
        return levels


def turn_hues(levels: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue of the samples whose rotation is not 0; see `turn_hue`."""
    if in_bytes(levels):
        return turn_hue(levels, turns)  # the compiled loop skips rotations of 0
    return on_some(levels, turns != 0.0, lambda some, rows: turn_hue(some, turns[rows]))


def turn_hue(levels: Tensor, turns: Tensor) -> Tensor:
    """Rotate the hue of integer levels (m, 3, H, W) by `turns` (m,), fractions of the full colour circle."""
    if in_bytes(levels):
        from ltray.data.transforms.kernels import run, tone

        return run(tone.turn_hue, levels, turns)
    red, green, blue = levels[:, 0:1], levels[:, 1:2], levels[:, 2:3]
    high, low = torch.maximum(green, blue), torch.minimum(green, blue)
    # `swapped` is 1 where blue > green, `beyond` is 1 where green or blue > red; both are 0 elsewhere. Clamping
    # is enough because the differences are integers.
    swapped = (blue - green).clamp_(0.0, 1.0)
    beyond = (high - red).clamp_(0.0, 1.0)
    largest, middle = torch.maximum(red, high), torch.minimum(red, high)
    smallest = torch.minimum(middle, low)
    chroma = largest - smallest
    # The hue as a number from 0 to 6: red is 0, green is 2, blue is 4; the middle channel gives the value between.
    side = (2.0 * beyond).sub_(1.0).mul_(swapped).mul_(6.0).sub_(beyond, alpha=2.0)
    hue = (middle - low).div_(chroma.clamp(min=1.0)).add_(side).abs_().mul_(1 / 6).add_(per_sample(turns, levels))
    hue.sub_(hue.floor()).mul_(6.0)
    centre, slope, top = TRAPEZOIDS.to(levels.device)
    full: Tensor = (hue - centre).abs_().mul_(slope).add_(top).clamp_(0.0, 1.0)
    return full.mul_(chroma).add_(smallest).round_()


@dataclass(frozen=True)
class Grayscale:
    """Replace the colours of some samples by their luminance.

    Attributes:
        probability: Probability that a sample is changed.
    """

    probability: float

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        chosen = uniform(keys, 1, salt=salt)[:, 0] < self.probability
        if in_bytes(levels):
            from ltray.data.transforms.kernels import run, tone

            return run(tone.grayscale, levels, chosen.nonzero().squeeze(1))
        return on_some(levels, chosen, lambda some, rows: luminance(some))
