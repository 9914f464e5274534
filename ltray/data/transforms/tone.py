"""Brightness, contrast, sharpness and histogram operations, equal to PIL's `ImageOps` and `ImageEnhance`.

Each sample has its own strength. Every function takes integer levels 0..255 (m, 3, H, W), uint8
or float32, which it may overwrite, and returns integer levels.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ltray.data.transforms.pixels import LARGEST, blend, in_bytes, luminance, mean_luminance, per_sample

LEVELS = 256


BRIGHTNESS, CONTRAST, SATURATION = range(3)


def adjust(levels: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Change the brightness, contrast or saturation of each sample, all in one pass.

    Args:
        levels: Integer levels (m, 3, H, W).
        kinds: What to change (m,), int64: BRIGHTNESS blends with black, CONTRAST with the mean luminance,
            SATURATION with the luminance. With any other value, the factor must be 1.
        factors: Strength (m,): 0 gives the image to blend with, 1 gives exactly the input, above 1 the difference
            between them grows.
    """
    if in_bytes(levels):
        from ltray.data.transforms.kernels import run, tone

        return run(tone.adjust, levels, kinds, factors.float())
    gray = luminance(levels)
    mean = mean_luminance(gray).mul_(per_sample(kinds == CONTRAST, levels))
    towards = gray.mul_(per_sample(kinds == SATURATION, levels)).add_(mean)
    return blend(levels, towards, per_sample(factors, levels))


def sharpness(levels: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image: `factor` (m,) 0 is the smoothed image, 1 the input; edge pixels do not change."""
    if in_bytes(levels):
        from ltray.data.transforms.kernels import run, tone

        return run(tone.sharpness, levels, factor.float())
    inner = levels[:, :, 1:-1, 1:-1]
    across = levels[..., :-2] + levels[..., 1:-1] + levels[..., 2:]
    around = across[:, :, :-2] + across[:, :, 1:-1] + across[:, :, 2:]
    # In PIL's SMOOTH filter the centre has weight 5 and each of its eight neighbours weight 1.
    smooth = around.add_(inner, alpha=4.0).div_(13.0).add_(0.5).floor_()
    return blend(levels, functional.pad(smooth - inner, (1, 1, 1, 1)) + levels, per_sample(factor, levels))


def posterize(levels: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` (m,) of 8 bits."""
    if in_bytes(levels):
        return _by_table(levels, lambda ramp: posterize(ramp, bits))
    step = per_sample(torch.exp2(8 - bits), levels)
    return levels.div_(step).floor_().mul_(step)


def solarize(levels: Tensor, threshold: Tensor) -> Tensor:
    """Invert the levels at or above `threshold` (m,)."""
    if in_bytes(levels):
        return _by_table(levels, lambda ramp: solarize(ramp, threshold))
    # For integers this is 0 below the threshold and 1 from there on, several times as fast as a comparison on a CPU.
    above = (levels - per_sample(threshold.ceil() - 1.0, levels)).clamp_(0.0, 1.0)
    return levels.add_(above.mul_(LARGEST - 2.0 * levels))


def solarize_add(levels: Tensor, addition: Tensor) -> Tensor:
    """Add `addition` (m,) to the levels below 128; results are at most 255."""
    if in_bytes(levels):
        return _by_table(levels, lambda ramp: solarize_add(ramp, addition))
    below = (128.0 - levels).clamp_(0.0, 1.0)
    return levels.add_(below.mul_(per_sample(addition, levels))).clamp_(max=LARGEST)


def invert(levels: Tensor) -> Tensor:
    """Return the negative."""
    return levels.bitwise_not_() if in_bytes(levels) else levels.neg_().add_(LARGEST)


def autocontrast(levels: Tensor) -> Tensor:
    """Stretch each channel to the full range; a channel with only one level does not change."""
    low = levels.amin(dim=(2, 3)).to(torch.float64)
    high = levels.amax(dim=(2, 3)).to(torch.float64)
    constant = high <= low
    # float64, the division and this order are those of PIL, which rounds down: 254.99… becomes 254.
    scale = torch.full_like(low, LARGEST).div_(torch.where(constant, 1.0, high - low))
    scale, offset = torch.where(constant, 1.0, scale), torch.where(constant, 0.0, -low * scale)
    ramp = torch.arange(LEVELS, device=levels.device)
    return _look_up(levels, (ramp * scale.unsqueeze(2) + offset.unsqueeze(2)).trunc().clamp_(0.0, LARGEST))


def equalize(levels: Tensor) -> Tensor:
    """Equalize each channel's histogram; a channel with only one level does not change."""
    counts = _counts(levels)
    ramp = torch.arange(LEVELS, device=levels.device)
    last = counts.gather(2, (ramp * (counts > 0)).amax(dim=2, keepdim=True))
    step = (levels[0, 0].numel() - last) // (LEVELS - 1)
    before = counts.cumsum(dim=2) - counts
    table = (before + step // 2) // step.clamp(min=1)
    return _look_up(levels, torch.where(step == 0, ramp, table).clamp_(max=LEVELS - 1))


def _counts(levels: Tensor) -> Tensor:
    """Return the number of pixels with each level in each channel (m, 3, 256), int64."""
    counts = torch.zeros(*levels.shape[:2], LEVELS, dtype=torch.int64, device=levels.device)
    if in_bytes(levels):
        from ltray.data.transforms.kernels import run, tone

        run(tone.count, levels, counts)
        return counts
    flat = levels.flatten(2).long()
    return counts.scatter_add_(2, flat, torch.ones_like(flat))


def _look_up(levels: Tensor, tables: Tensor) -> Tensor:
    """Replace each level by its entry in the table of its channel (m, 3 or 1, 256)."""
    if in_bytes(levels):
        from ltray.data.transforms.kernels import run, tone

        return run(tone.look_up, levels, tables.to(torch.uint8))
    return tables.to(levels.dtype).gather(2, levels.flatten(2).long()).view_as(levels)


def _by_table(levels: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a change that depends only on the level: compute it for all 256 levels, then look up each pixel."""
    ramp = torch.arange(LEVELS, dtype=torch.float32).repeat(len(levels), 1, 1, 1)
    return _look_up(levels, change(ramp).squeeze(2))
