"""The learning rate as a function of the position in a stage; it has no state to save."""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from ltray.errors import chosen


class Timetable(Protocol):
    """The part of a `Recipe` that a schedule reads."""

    @property
    def learning_rate(self) -> float:
        """The peak."""
        ...

    @property
    def epochs(self) -> int:
        """Epochs of the stage, E."""
        ...

    @property
    def warmup_epochs(self) -> int:
        """Epochs of linear warm-up, w."""
        ...

    @property
    def milestones(self) -> tuple[int, ...]:
        """Epochs at which "step" decays, from 0."""
        ...

    @property
    def decay(self) -> float:
        """Factor at each milestone."""
        ...

    @property
    def schedule(self) -> str:
        """A key of `SCHEDULES`."""
        ...


Schedule = Callable[[Timetable, int, float], float]
"""The learning rate of a step, from the recipe, the epoch (from 0) and the share of the epoch before it, in [0, 1)."""


def learning_rate(recipe: Timetable, *, epoch: int, step: int = 0, steps: int = 1) -> float:
    """Return the learning rate of one step.

    Args:
        recipe: The stage's recipe.
        epoch: Epoch of the stage, from 0.
        step: Step of the epoch, from 0.
        steps: Steps per epoch.

    Raises:
        UsageError: The recipe's schedule is unknown.
    """
    return chosen(recipe.schedule, SCHEDULES, "a learning-rate schedule")(recipe, epoch, step / steps)


def _by_epoch(after_warmup: Callable[[Timetable, int], float]) -> Schedule:
    """Return a schedule that changes once per epoch, after the warm-up lr·(e+1)/w for e < w."""

    def schedule(recipe: Timetable, epoch: int, share: float) -> float:
        if epoch < recipe.warmup_epochs:
            return recipe.learning_rate * (epoch + 1) / recipe.warmup_epochs
        return after_warmup(recipe, epoch)

    return schedule


def _constant(recipe: Timetable, epoch: int) -> float:
    return recipe.learning_rate


def _step(recipe: Timetable, epoch: int) -> float:
    return recipe.learning_rate * recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)


def _cosine(recipe: Timetable, epoch: int) -> float:
    warmup = recipe.warmup_epochs
    return recipe.learning_rate * _half_cosine((epoch - warmup + 1) / (recipe.epochs - warmup + 1))


def _cosine_annealing(recipe: Timetable, epoch: int) -> float:
    warmup = recipe.warmup_epochs
    return recipe.learning_rate * _half_cosine((epoch - warmup) / (recipe.epochs - warmup))


def _cosine_to_floor(recipe: Timetable, epoch: int) -> float:
    peak, warmup = recipe.learning_rate, recipe.warmup_epochs
    floor = 1e-5 * peak
    return floor + (peak - floor) * _half_cosine((epoch + 1 - warmup) / max(recipe.epochs - warmup, 1))


def _cosine_per_step(recipe: Timetable, epoch: int, share: float) -> float:
    peak, warmup, position = recipe.learning_rate, recipe.warmup_epochs, epoch + share
    if position < warmup:
        return peak * position / warmup
    return peak * _half_cosine((position - warmup) / max(recipe.epochs - warmup, 1))


def _half_cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))


SCHEDULES: Mapping[str, Schedule] = {
    "constant": _by_epoch(_constant),
    "step": _by_epoch(_step),
    "cosine": _by_epoch(_cosine),
    "cosine_annealing": _by_epoch(_cosine_annealing),
    "cosine_to_floor": _by_epoch(_cosine_to_floor),
    "cosine_per_step": _cosine_per_step,
}
"""Every schedule by its name. With E epochs, w of them warm-up, in epoch e:

* `constant`: lr.
* `step`: lr times `decay` for every milestone m with e >= m (BCL, ResCom, LDAM-DRW).
* `cosine`: lr·½(1 + cos(π(e−w+1)/(E−w+1))), which ends above 0 (PaCo, BCL).
* `cosine_annealing`: lr·½(1 + cos(π(e−w)/(E−w))), full in its first epoch (MiSLAS, cRT, LWS).
* `cosine_to_floor`: from lr to 1e-5·lr, reached in the last epoch (ResCom, large sets).
* `cosine_per_step`: warm-up from 0 and cosine to 0, changing every step (DSCL).
"""
