"""Measures the budget that a search uses, and ends the search when the budget is used up."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune import Callback

from ltray.on_ray.shutdown import GracefulStopper
from ltray.study.budget import Budget, Spent

WRITE_EVERY = 5.0  # seconds; after a kill, at most this time is missing from the record


class BudgetCallback(Callback):
    """Counts wall-clock time, and CPU and GPU time summed over the running trials.

    Args:
        folder: The run folder, in which the record is stored.
        stopper: Called when the budget is used up.
        budget: The limit, or None.
        each: The resources of one trial, of all its workers together: {"CPU": …, "GPU": …}.
        started: `time.monotonic()` when the command began to use the cluster.
    """

    def __init__(
        self,
        folder: Path,
        stopper: GracefulStopper,
        *,
        budget: Budget | None,
        each: Mapping[str, float],
        started: float,
    ) -> None:
        self.spent = Spent.read(folder)
        self._folder, self._stopper, self._budget, self._each = folder, stopper, budget, each
        self._running: set[str] = set()
        self._counted, self._written = started, 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Count the time since the last step."""
        self._count()
        if self._counted - self._written >= WRITE_EVERY:
            self.write()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count the trial's resources from now on."""
        self._count()
        self._running.add(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stop counting the trial's resources."""
        self._count()
        self._running.discard(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stop counting the resources of a failed trial."""
        self.on_trial_complete(iteration, trials, trial)

    def write(self) -> None:
        """Write the record."""
        self.spent.write(self._folder)
        self._written = self._counted

    def _count(self) -> None:
        now = time.monotonic()
        in_use = {name: amount * len(self._running) for name, amount in self._each.items()}
        self.spent.add(now - self._counted, cpus=in_use.get("CPU", 0.0), gpus=in_use.get("GPU", 0.0))
        self._counted = now
        if self._budget and self._budget.is_spent(self.spent):
            self._stopper.after_this_epoch(self._budget.spent_message)
