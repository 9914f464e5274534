"""Allows long trials any number of failures if they make progress between the failures."""

from typing import Any

from ray.tune import Callback

from ltray.on_ray.scheduler import EPOCHS


class ForgiveFailures(Callback):
    """Resets Tune's count of a trial's failures when the trial has finished a new epoch since the last failure."""

    def __init__(self) -> None:
        self._failed_at: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed and restarts from its last epoch, which it reports again."""
        self._failed_at[trial.trial_id] = last_epoch(trial)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **i: Any) -> None:
        """A trial has finished an epoch."""
        if result.get(EPOCHS, 0) > self._failed_at.get(trial.trial_id, -1):
            trial.run_metadata.num_failures = 0


def last_epoch(trial: Any) -> int:
    """Return the last epoch that a trial of Tune has reported; 0: none."""
    return int((trial.last_result or {}).get(EPOCHS, 0))
