"""Gaussian blur as in PIL: three box blurs along each axis."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ltray.data.transforms.counter_rng import uniform
from ltray.data.transforms.pixels import in_bytes, on_some, per_sample

PASSES = 3


@dataclass(frozen=True)
class GaussianBlur:
    """Blur some samples.

    Attributes:
        sigma: Range of the standard deviation, in pixels; at most 2.9.
        probability: Probability that a sample is blurred.
    """

    sigma: tuple[float, float]
    probability: float

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels; see `Operation`."""
        draws = uniform(keys, 2, salt=salt)
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * draws[:, 1]
        return on_some(levels, draws[:, 0] < self.probability, lambda some, rows: blur(some, sigma[rows]))


def blur(levels: Tensor, sigma: Tensor) -> Tensor:
    """Return levels (m, 3, H, W) blurred by standard deviations `sigma` (m,) in pixels."""
    weights = _weights(box_radius(sigma))
    if in_bytes(levels):
        from ltray.data.transforms.kernels import blur as loops
        from ltray.data.transforms.kernels import run

        return run(loops.blur, levels, weights, PASSES)
    for _ in range(2):
        levels = levels.transpose(2, 3).contiguous()  # along the rows first, like PIL; `_average` needs contiguous rows
        for _ in range(PASSES):
            levels = _average(levels, weights)
    return levels


def box_radius(sigma: Tensor) -> Tensor:
    """Return the fractional radius of the box blur that gives this standard deviation when applied three times.

    Gwosdek et al., "Theoretical foundations of Gaussian convolution by extended box
    filtering", equations 10 to 14; PIL uses the same formula.
    """
    variance = sigma.to(torch.float64).square() / PASSES
    whole = (((12.0 * variance + 1.0).sqrt() - 1.0) / 2.0).floor()
    return whole + (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))


def _weights(radius: Tensor) -> Tensor:
    """Return the weights of the pixel itself and of the pixels at distance k (m, 1 + reach); the last is partial."""
    steps = torch.arange(math.ceil(float(radius.max())) + 1)
    return ((radius[:, None] - (steps - 1)).clamp(0.0, 1.0) / (2.0 * radius[:, None] + 1.0)).float()


def _average(levels: Tensor, weights: Tensor) -> Tensor:
    """Average along the third axis, in place; the pixels of the edge are repeated outside the image."""
    reach, height = weights.shape[1] - 1, levels.shape[2]
    padded = functional.pad(levels, (0, 0, reach, reach), mode="replicate")
    both = torch.empty_like(levels)
    levels.mul_(per_sample(weights[:, 0], levels))
    for k in range(1, reach + 1):
        torch.add(padded[:, :, reach - k : reach - k + height], padded[:, :, reach + k : reach + k + height], out=both)
        levels.add_(both.mul_(per_sample(weights[:, k], levels)))
    return levels.add_(0.5).floor_()
