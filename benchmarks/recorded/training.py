"""One run at a time, with ltray's own training loop."""

from collections.abc import Mapping
from typing import Any

import torch

from ltray.engine.checkpoint import Checkpoint
from ltray.engine.train_step import NotFinite
from ltray.experiment import Experiment


class ValuesOnly:
    """A session that keeps the value of every epoch and no checkpoint.

    Args:
        metric: The metric to keep, such as "val/acc_all".
    """

    def __init__(self, metric: str) -> None:
        self.values: list[float] = []
        self._metric = metric

    def resume(self) -> None:
        """Start from scratch."""

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Keep the value."""
        self.values.append(metrics[self._metric])


def curve(settings: Mapping[str, Any], seed: int) -> list[float]:
    """Train one setting with one seed; return the value after each epoch, until a loss is NaN."""
    experiment = Experiment.from_settings(dict(settings) | {"seed": seed})
    session = ValuesOnly(experiment.metric)
    try:
        experiment.train(session, torch.device("cpu"))
    except NotFinite:
        pass  # the curve ends with the first loss that is not finite
    return session.values
