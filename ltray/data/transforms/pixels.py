"""Helpers of the operations: pixel levels, luminance, blending, and changes of some samples only.

Inside the augmentations, images are integer levels 0..255 of shape (n, 3, H, W). The papers'
pipelines process 8-bit PIL images and round after every operation. Rounding at the same points
makes the operations equal to PIL's and exact, hence independent of the batch. On a CPU, levels
are uint8 and compiled loops change them; on an accelerator, levels are float32 and tensor
operations change them, with the same results.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

LARGEST = 255.0


class Operation(Protocol):
    """A random change of pixel levels."""

    def __call__(self, levels: Tensor, keys: Tensor, *, salt: int) -> Tensor:
        """Return changed levels.

        Args:
            levels: Integer levels 0..255 (n, 3, H, W), uint8 on a CPU, else float32; may be changed in place.
            keys: One key per sample (n,), int64, on the CPU; random choices are made there, so that
                grouping samples never waits for an accelerator.
            salt: The index of the operation in its policy; it makes the operations' random numbers independent.
        """
        ...


def in_bytes(levels: Tensor) -> bool:
    """Return whether compiled loops change these levels; see this module's docstring."""
    return levels.dtype == torch.uint8


def mirror(levels: Tensor, chosen: Tensor) -> Tensor:
    """Flip the chosen samples (n,), bool on the CPU, left to right; in place."""
    if in_bytes(levels) and levels.device.type == "cpu":
        from ltray.data.transforms.kernels import geometry as cuts
        from ltray.data.transforms.kernels import run

        return run(cuts.mirror, levels, chosen.nonzero().squeeze(1))
    return on_some(levels, chosen, lambda some, rows: some.flip(3))


def luminance(levels: Tensor) -> Tensor:
    """Return the luminance (n, 1, H, W) of PIL's mode "L": ITU-R 601 weights in 16 bits, rounded."""
    # All intermediate values are integers below 2^24, which float32 represents exactly.
    total = levels[:, 0:1] * 19595.0
    total.add_(levels[:, 1:2], alpha=38470.0).add_(levels[:, 2:3], alpha=7471.0)
    return total.add_(32768.0).mul_(2.0**-16).floor_()


def mean_luminance(gray: Tensor) -> Tensor:
    """Return the rounded mean (n, 1, 1, 1) of a luminance (n, 1, H, W)."""
    # A sum of integers is exact in any order; in float32, if it is below 2^24.
    pixels = gray[0].numel()
    exact = torch.float32 if pixels * LARGEST < 2**24 else torch.float64
    return gray.sum(dim=(2, 3), keepdim=True, dtype=exact).div_(pixels).add_(0.5).floor_().to(gray.dtype)


def blend(levels: Tensor, towards: Tensor, factor: Tensor) -> Tensor:
    """Return towards + factor * (levels - towards), clipped to 0..255 and rounded down, in place.

    Args:
        levels: Integer levels (n, 3, H, W), overwritten.
        towards: The result for a factor of 0; broadcastable to `levels`.
        factor: Factors (n, 1, 1, 1), at least 0; 1 gives `levels`, above 1 the difference grows.
    """
    return levels.sub_(towards).mul_(factor).add_(towards).clamp_(0.0, LARGEST).floor_()


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Return values (n,) as (n, 1, 1, 1) with the dtype and device of `like`."""
    return values.to(device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)


def on_some(levels: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Apply `change(levels[rows], rows)` to the chosen samples only.

    Args:
        levels: Integer levels (n, 3, H, W), overwritten where chosen.
        chosen: Which samples to change (n,), bool on the CPU.
        change: A function of the chosen samples (m, 3, H, W) and their indices (m,) on the CPU, which returns
            (m, 3, H, W) or (m, 1, H, W).
    """
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == 0:
        return levels
    device_rows = rows.to(levels.device, non_blocking=True)
    changed = change(levels.index_select(0, device_rows), rows)
    return levels.index_copy_(0, device_rows, changed.expand(-1, levels.shape[1], -1, -1))
