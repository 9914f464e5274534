"""Releases the resources of a trial's workers after the trial's process has crashed."""

from pathlib import Path
from typing import Any

import ray.tune

from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import workers_folder
from ltray.on_ray.workers import free


class ReleaseResourcesCallback(ray.tune.Callback):
    """Releases, from the driver, the resources of a trial with several workers whose process has crashed.

    Args:
        run: The run folder.
    """

    def __init__(self, run: Path) -> None:
        self._run = run

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Release them before the trial restarts and reserves new ones."""
        free(workers_folder(self._run, task_of(trial).number))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Release them when the trial has failed for the last time."""
        free(workers_folder(self._run, task_of(trial).number))
