"""The metrics of an epoch that tell why a training succeeds or fails; they never change it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ltray.distributed import total
from ltray.engine.ema import WeightAverage
from ltray.parts.key_queue import KeyQueue
from ltray.parts.queues import ClassQueue
from ltray.stage import Stage


def observed_metrics(stage: Stage, average: WeightAverage | None, norms: Sequence[Tensor]) -> dict[str, float]:
    """Return what an epoch has besides losses; values of the last step are those of all workers.

    * `train/gradient_norm`: norm of all gradients together, before a limit; the mean over every 16th step.
    * `train/average_distance`: ‖average − weights‖ / ‖weights‖, with the moving average of the weights.
    * `train/queue_fill`: share of the queue's positions that contain keys of images, not the initial noise.
    * `train/hardest_positive`, `train/hardest_negative`: mean over the anchors of the last step of the cosine
      similarity to the least similar key of the same class, and to the most similar key of other classes.

    Args:
        stage: After the epoch's last step.
        average: The moving average of its weights; None: there is none.
        norms: Norms of the gradients, shape () each.
    """
    found = {"gradient_norm": torch.stack(list(norms)).mean()} if norms else {}
    if average:
        found["average_distance"] = average.distance()
    queues = [module.fill() for module in stage.modules() if isinstance(module, KeyQueue | ClassQueue)]
    means = {name: total(sums) for name, sums in stage.observed.items()}
    if queues:
        means["queue_fill"] = torch.stack(queues).sum(dim=0)
    found |= {name: sums[0] / sums[1] for name, sums in means.items() if sums[1] > 0}
    return {f"train/{name}": float(value) for name, value in found.items()}
