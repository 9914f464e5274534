"""Loops over 8-bit pixels, compiled by numba: the CPU version of the augmentations.

A tensor operation reads and writes all pixels once for every `+`. A compiled loop changes an image
in one pass, on bytes instead of float32, while the image is in the cache. Each loop gives exactly
the same levels as the corresponding tensor operation (a test compares them).

Compiled code is cached next to these files, or in the user's cache folder if they are read-only.
The first process that uses a loop waits for the compiler (about a second per loop); later
processes load the code in milliseconds. numba is imported when the first loop is used. It does
not detect changes in other files, so that a loop calls only functions of its own file.

* `affine`: affine warps.
* `blur`: box blurs.
* `geometry`: crops, flips and Cutout.
* `tone`: brightness, contrast, hue, sharpness, look-up tables.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])
Levels = NDArray[np.uint8]
"""Images (n, 3, H, W), contiguous."""
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Float = np.float32

ZERO, HALF, ONE, LARGEST = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)


def compiled(function: F) -> F:
    """Return the loop, which is compiled at its first call and releases Python's global lock while it runs."""
    loop: F = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    return loop


def run(loop: Callable[..., None], levels: Tensor, *parameters: Tensor | int) -> Tensor:
    """Change levels in place and return them.

    Args:
        loop: A compiled loop.
        levels: uint8 (n, 3, H, W) on the CPU.
        parameters: Further arguments of the loop; tensors on the CPU.
    """
    levels = levels.contiguous()
    loop(levels.numpy(), *(one if isinstance(one, int) else one.contiguous().numpy() for one in parameters))
    return levels
