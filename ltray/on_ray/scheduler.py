"""Early stopping on Tune: the rules of `ltray.strategies.stopping_rules` decide from the study's record."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import error_of, is_finite
from ltray.strategies.stopping_rules import Rule
from ltray.study.progress import TrialProgress
from ltray.study.run_of_several import is_later_run

EPOCHS = "total_epochs"  # ltray's counter: Tune's counter restarts at 1 in a resumed trial


class RuleScheduler(FIFOScheduler):
    """Ends trials by a rule, or because their value is not finite.

    Ray's own schedulers lose their state when the driver ends, let a trial with NaN continue
    (`NaN < cutoff` is False) and keep a trial with an error. Here, the only inputs of a rule are
    the values by epoch, which are in the study: after a restart, its decisions are the same as without
    it. A resumed trial reports its last epoch again; the earlier decision on that epoch
    is used again, because more trials may have reached that epoch since then.

    Args:
        rule: None: only values that are not finite end a trial.
        metric: The metric to maximise.
        recorded: Values by epoch of every earlier trial, by trial number.
        progress: The state of every earlier trial and the decisions on it, by trial number.
        errors: Receives the reasons why trials crashed, by Tune's names; Tune does not pass them to the searcher.
    """

    def __init__(
        self,
        rule: Rule | None,
        *,
        metric: str,
        recorded: Mapping[int, Mapping[int, float]],
        progress: Mapping[int, TrialProgress] = MappingProxyType({}),
        errors: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._rule = rule
        self._watched = metric
        self._errors = {} if errors is None else errors
        self._continued = {number: known.continued for number, known in progress.items()}
        self._stopped = {number: known.stopped for number, known in progress.items() if known.stopped}
        self._records = {number: dict(values) for number, values in recorded.items()}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial continues."""
        if not is_finite(result.get(self._watched)):
            return str(TrialScheduler.STOP)
        number, epoch = task_of(trial).number, int(result[EPOCHS])
        self._record(number, epoch, result)
        if is_later_run(result) or self._continues(number, epoch):
            self._continued[number] = max(epoch, self._continued.get(number, 0))
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)

    def _continues(self, number: int, epoch: int) -> bool:
        """Return the decision on an epoch, from an earlier driver or a new one."""
        if self._stopped.get(number) == epoch:
            return False
        if self._rule is None or epoch <= self._continued.get(number, 0):
            return True
        return self._rule.should_continue(number, epoch, self._records)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value, which only this call receives; a value that is not finite is not recorded."""
        if is_finite(result.get(self._watched)):
            self._record(task_of(trial).number, int(result[EPOCHS]), result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Store the reason why a trial crashed, even if it is retried: Tune calls this before it calls the searcher."""
        self._errors[trial.trial_id] = error_of(trial)

    def _record(self, number: int, epoch: int, result: Mapping[str, Any]) -> None:
        if not is_later_run(result):
            self._records.setdefault(number, {})[epoch] = float(result[self._watched])
