"""The crops of LIFT+: from a wide range of sizes in the first epoch to the complete image in the last one."""

import math
from collections.abc import Callable, Mapping

SMALLEST = 0.08  # share of the area

CROP_SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "convex": lambda t: 1.0 - math.sqrt(1.0 - t * t),
    "linear": lambda t: t,
    "concave": lambda t: math.sqrt(1.0 - (1.0 - t) ** 2),
    "min": lambda t: 0.0,
    "max": lambda t: 1.0,
}
"""How far the smallest crop has grown from `SMALLEST` to the complete image, by the share t of the run; names of
LIFT+'s code: `min` keeps it small, `max` is the complete image from the start."""


def smallest_areas(schedule: str, epochs: int) -> tuple[float, ...]:
    """Return the smallest crop of each epoch, as a share of the image's area.

    Args:
        schedule: A key of `CROP_SCHEDULES`.
        epochs: Epochs of the run; a single one is the first.
    """
    grown = CROP_SCHEDULES[schedule]
    return tuple(SMALLEST + (1.0 - SMALLEST) * grown(epoch / max(epochs - 1, 1)) for epoch in range(epochs))
