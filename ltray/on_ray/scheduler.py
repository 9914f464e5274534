"""Early stopping: Tune asks, the rules of `ltray.strategies.stopping_rules` answer from what the study holds."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import error_of, is_finite
from ltray.strategies.stopping_rules import Rule
from ltray.study.progress import TrialProgress

EPOCHS = "total_epochs"  # our own counter: Tune's starts again at 1 in a resumed trial


class RuleScheduler(FIFOScheduler):
    """Ends trials by a rule, or because their value is not finite.

    Ray's own schedulers lose what they know with the driver, let a trial with NaN run on
    (`NaN < cutoff` is False) and keep a trial that erred. Here all that a rule knows are the
    values by epoch, which the study holds: after a restart it decides as it would have
    decided. A trial that is taken up reports its last epoch once more; what was decided on it
    before stays, since by now more trials may have come to that epoch.

    Args:
        rule: None: only values that are not finite end a trial.
        metric: What is maximised.
        recorded: Values by epoch of every earlier trial, by trial number.
        progress: What every earlier trial has reached and what was decided of it, by trial number.
        errors: Gets why trials crashed, by Tune's names; for the searcher, which cannot see it.
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
        """Decide whether a trial goes on."""
        if not is_finite(result.get(self._watched)):
            return str(TrialScheduler.STOP)
        number, epoch = task_of(trial).number, int(result[EPOCHS])
        self._record(number, epoch, result)
        if self._goes_on(number, epoch):
            self._continued[number] = max(epoch, self._continued.get(number, 0))
            return str(TrialScheduler.CONTINUE)
        return str(TrialScheduler.STOP)

    def _goes_on(self, number: int, epoch: int) -> bool:
        """Return what was decided of an epoch, now or by an earlier driver."""
        if self._stopped.get(number) == epoch:
            return False
        if self._rule is None or epoch <= self._continued.get(number, 0):
            return True
        return self._rule.should_continue(number, epoch, self._records)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value, which comes only here; one that is not finite leaves no mark."""
        if is_finite(result.get(self._watched)):
            self._record(task_of(trial).number, int(result[EPOCHS]), result)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep why a trial crashed, whether it is retried or not: Tune asks this before it tells the searcher."""
        self._errors[trial.trial_id] = error_of(trial)

    def _record(self, number: int, epoch: int, result: Mapping[str, Any]) -> None:
        self._records.setdefault(number, {})[epoch] = float(result[self._watched])
