"""The learning rate as a function of the position: nothing of it needs saving."""

import math

from ltray.recipe import Recipe


def learning_rate(recipe: Recipe, *, epoch: int, step: int = 0, steps: int = 1) -> float:
    """Return the learning rate of one step.

    Epochs count from 0. Warm-up is linear, lr·(e+1)/w for e < w. Then, with E epochs:

    * `constant`: lr.
    * `step`: lr times `decay` for every milestone m with e >= m (BCL, ResCom, LDAM-DRW).
    * `cosine`: lr·½(1 + cos(π(e−w+1)/(E−w+1))), which ends above 0 (PaCo, BCL).
    * `cosine_annealing`: lr·½(1 + cos(π(e−w)/(E−w))), full in its first epoch (MiSLAS, cRT, LWS).
    * `cosine_to_floor`: from lr to 1e-5·lr, reached in the last epoch (ResCom, large sets).
    * `cosine_per_step`: warm-up from 0 and cosine to 0, changing every step (DSCL).

    Args:
        recipe: The stage's recipe.
        epoch: Epoch of the stage, from 0.
        step: Step of the epoch, from 0.
        steps: Steps an epoch.
    """
    peak, warmup, epochs = recipe.learning_rate, recipe.warmup_epochs, recipe.epochs
    if recipe.schedule == "cosine_per_step":
        position = epoch + step / steps
        if position < warmup:
            return peak * position / warmup
        return peak * _half_cosine((position - warmup) / max(epochs - warmup, 1))
    if epoch < warmup:
        return peak * (epoch + 1) / warmup
    if recipe.schedule == "step":
        return peak * recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)
    if recipe.schedule == "cosine":
        return peak * _half_cosine((epoch - warmup + 1) / (epochs - warmup + 1))
    if recipe.schedule == "cosine_annealing":
        return peak * _half_cosine((epoch - warmup) / (epochs - warmup))
    if recipe.schedule == "cosine_to_floor":
        floor = 1e-5 * peak
        return floor + (peak - floor) * _half_cosine((epoch + 1 - warmup) / max(epochs - warmup, 1))
    return peak


def _half_cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))
