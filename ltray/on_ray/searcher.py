"""The connection between Tune's trials and Optuna's study."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher

from ltray.metrics import PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.on_ray.trial import failure_of, is_finite
from ltray.reporting import FAILURE, LATER
from ltray.space.search_space import SearchSpace
from ltray.study._compat import as_recorded, live
from ltray.study.progress import TrialProgress
from ltray.study.redraw import redraw, undrawn
from ltray.study.run_of_several import is_later_run
from ltray.study.study import ATTEMPT, PROGRESS, REASON, SETTINGS, as_read, ask, proposed, unfinished


class StudySearch(Searcher):
    """Proposes trials from an Optuna study and records the end of each trial in it.

    Unlike Ray's `OptunaSearch`, it records a stopped trial as pruned with its values by epoch and
    a trial with a NaN as failed. After a restart, it resumes the trials that were running.

    Args:
        study: The study.
        space: The search space.
        metric: The first objective, on the selection images.
        trials: Number of trials that the search proposes.
        stopper: Determines when no more trials start, and the trials that it ended, which remain open.
        errors: The reasons why trials crashed, by Tune's names, including trials that were retried.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        *,
        metric: str,
        trials: int,
        stopper: GracefulStopper,
        errors: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(metric=metric, mode="max")
        self._study = study
        self._space = space
        self._of, self._stopper, self._errors = trials, stopper, errors
        self._undrawn, self._left = undrawn(study), unfinished(study)
        self._trials: dict[str, optuna.Trial] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing, for the same reason."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing, for the same reason."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next trial: one that an earlier driver did not finish, or a new proposal."""
        if self._stopper.reason:
            return str(Searcher.FINISHED)
        if self._left:
            frozen = self._left.pop(0)
            trial = live(self._study, frozen)
            settings = json.loads(frozen.user_attrs[SETTINGS])
            attempt = int(frozen.user_attrs.get(ATTEMPT, 0)) + 1
            trial.set_user_attr(ATTEMPT, attempt)
        elif self._undrawn:
            trial, settings = redraw(self._study, self._space, self._undrawn.pop(0))
            attempt = 0
        elif proposed(self._study) < self._of:
            trial, settings = ask(self._study, self._space)
            attempt = 0
        else:
            return str(Searcher.FINISHED)
        self._trials[trial_id] = trial
        return {TASK: TrialTask(trial.number, attempt, as_read(settings, self._space))}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an epoch after which the trial continues, and this decision of early stopping."""
        self._record(self._trials[trial_id], result, continued=int(result[EPOCHS]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record the end of a trial in the study."""
        trial = self._trials.pop(trial_id, None)
        if trial is None:
            return
        if result and LATER in result:
            self._stopper.fail(result[FAILURE])  # the study keeps the trial open
            return
        reason = self._errors.get(trial_id) if error else None
        # A trial that has ended accepts no more attributes: they are written before its end.
        reason = reason or ("the process exited without a result" if result is None else self._failure(result))
        if error or reason:
            if reason:
                trial.set_user_attr(REASON, reason)
            self._study.tell(trial, state=TrialState.FAIL)
            return
        assert result is not None
        stays_open = trial_id in self._stopper.ended
        stopped = not stays_open and result[EPOCHS] < result[PLANNED_EPOCHS]
        # The last epoch arrives only with the end.
        progress = self._record(trial, result, stopped=int(result[EPOCHS]) if stopped else 0)
        if stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif not stays_open:
            self._study.tell(trial, progress.values(self._space.search.objectives))

    def _failure(self, result: dict[str, Any]) -> str | None:
        """Return the reason why the end of a trial is not a valid result, or None."""
        value = result.get(self.metric)
        if failure_of(result) or is_finite(value):
            return failure_of(result)
        return f"{self.metric} is {value} in epoch {result.get(EPOCHS)}"

    def _record(
        self, trial: optuna.Trial, result: dict[str, Any], *, continued: int = 0, stopped: int = 0
    ) -> TrialProgress:
        """Record an epoch; a record from before a restart does not change.

        Args:
            trial: The trial.
            result: The report of the epoch.
            continued: The epoch, if early stopping let the trial continue after it.
            stopped: The epoch, if early stopping ended the trial after it.
        """
        known = as_recorded(self._study, trial)
        progress = TrialProgress.read(known.user_attrs.get(PROGRESS))
        if is_finite(result.get(self.metric)):
            epoch, before = int(result[EPOCHS]), progress
            if epoch > progress.epoch:
                progress = progress.after(result, metric=self.metric)
            progress = replace(progress, continued=max(continued, progress.continued), stopped=stopped)
            if progress != before:
                trial.set_user_attr(PROGRESS, progress.text())
            # Optuna does not accept values by epoch if there are several objectives.
            single = len(self._space.search.objectives) == 1 and not is_later_run(result)
            if single and epoch not in known.intermediate_values:
                trial.report(float(result[self.metric]), epoch)
        return progress
