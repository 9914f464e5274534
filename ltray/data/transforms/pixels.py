"""What the operations share: pixel levels, luminance, blending, and work on some samples only.

Inside the augmentations an image is (n, 3, H, W) of whole numbers 0..255. The papers' pipelines
work on 8-bit PIL images and round after every operation; keeping to that grid makes the
operations equal to PIL's and exact, hence independent of how samples are batched. On a CPU
levels are uint8, and compiled loops change them; on an accelerator they are float32, and tensor
operations do, with the same results.
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
            levels: Whole numbers 0..255 (n, 3, H, W), uint8 on a CPU, else float32; may be changed in place.
            keys: One key a sample (n,), int64, on the CPU: decisions are taken there, so that
                grouping samples never waits for an accelerator.
            salt: Tells the draws of one operation of a policy from another's.
        """
        ...


def in_bytes(levels: Tensor) -> bool:
    """Tell whether compiled loops change these levels; see the head of this file."""
    return levels.dtype == torch.uint8


def mirror(levels: Tensor, chosen: Tensor) -> Tensor:
    """Flip the chosen samples (n,), bool on the CPU, left to right; in place."""
    if in_bytes(levels) and levels.device.type == "cpu":
        from ltray.data.transforms.kernels import geometry as cuts
        from ltray.data.transforms.kernels import run

        return run(cuts.mirror, levels, chosen.nonzero().squeeze(1))
    return on_some(levels, chosen, lambda some, rows: some.flip(3))


def luminance(levels: Tensor) -> Tensor:
    """Return PIL's "L" (n, 1, H, W): ITU-R 601 weights in 16 bits, rounded."""
    # Whole numbers below 2^24 all along: exact in float32.
    total = levels[:, 0:1] * 19595.0
    total.add_(levels[:, 1:2], alpha=38470.0).add_(levels[:, 2:3], alpha=7471.0)
    return total.add_(32768.0).mul_(2.0**-16).floor_()


def mean_luminance(gray: Tensor) -> Tensor:
    """Return the rounded mean (n, 1, 1, 1) of a luminance (n, 1, H, W)."""
    # A sum of whole numbers is exact in any order, up to 2^24 in float32.
    pixels = gray[0].numel()
    exact = torch.float32 if pixels * LARGEST < 2**24 else torch.float64
    return gray.sum(dim=(2, 3), keepdim=True, dtype=exact).div_(pixels).add_(0.5).floor_().to(gray.dtype)


def blend(levels: Tensor, towards: Tensor, factor: Tensor) -> Tensor:
    """Return towards + factor * (levels - towards), cut to 0..255 and to whole levels, in place.

    Args:
        levels: (n, 3, H, W), overwritten.
        towards: What factor 0 would give; broadcastable.
        factor: (n, 1, 1, 1), >= 0; above 1 it exaggerates.
    """
    return levels.sub_(towards).mul_(factor).add_(towards).clamp_(0.0, LARGEST).floor_()


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """Return values (n,) as (n, 1, 1, 1) with the dtype and device of `like`."""
    return values.to(device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)


def on_some(levels: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Apply `change(levels[rows], rows)` to the chosen samples only.

    Args:
        levels: (n, 3, H, W), overwritten where chosen.
        chosen: bool (n,) on the CPU.
        change: Gets the samples (m, 3, H, W) and their rows (m,) on the CPU; returns
            (m, 3, H, W) or (m, 1, H, W).
    """
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == 0:
        return levels
    there = rows.to(levels.device, non_blocking=True)
    changed = change(levels.index_select(0, there), rows)
    return levels.index_copy_(0, there, changed.expand(-1, levels.shape[1], -1, -1))
