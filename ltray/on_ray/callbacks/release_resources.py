"""Frees what a trial's workers held when the trial's own process died."""

from pathlib import Path
from typing import Any

import ray.tune

from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import workers_folder
from ltray.on_ray.workers import free


class ReleaseResourcesCallback(ray.tune.Callback):
    """Frees, from the driver, what a trial of several workers held when its own process died.

    Args:
        run: The run folder.
    """

    def __init__(self, run: Path) -> None:
        self._run = run

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial starts again, and reserves anew."""
        free(workers_folder(self._run, task_of(trial).number))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial has failed for good."""
        free(workers_folder(self._run, task_of(trial).number))
