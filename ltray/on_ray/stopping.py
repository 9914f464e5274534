"""Early stopping: Ray's asynchronous successive halving, with its records kept over restarts."""

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from ltray.on_ray.trial import is_finite
from ltray.search_settings import Stop

EPOCHS = "total_epochs"  # our own counter: Tune's starts again at 1 in a resumed trial


class Halving(ASHAScheduler):
    """ASHA with three defects of the stock class mended.

    A metric that is not finite stops its trial (`NaN < cutoff` is False, so the stock class
    lets it run on); the entry of a trial that errs is dropped; and the rungs are filled
    again from the values that the study holds when a search is resumed.

    Args:
        metric: What is maximised.
        epochs: Epochs of a whole run.
        first_rung: Epochs before the first decision.
        keep_one_in: η.
        recorded: Values by epoch of every earlier trial, by trial number.
    """

    def __init__(
        self,
        *,
        metric: str,
        epochs: int,
        first_rung: int,
        keep_one_in: int,
        recorded: Mapping[int, Mapping[int, float]],
    ) -> None:
        self._watched = metric
        super().__init__(
            time_attr=EPOCHS,
            metric=metric,
            mode="max",
            max_t=epochs,
            grace_period=first_rung,
            reduction_factor=keep_one_in,
            stop_last_trials=False,
        )
        self._earlier = dict(recorded)
        for number, values in self._earlier.items():
            self._record(f"earlier-{number}", values)

    def rungs(self) -> list[int]:
        """Return the epochs at which trials are compared, ascending."""
        return sorted(int(milestone) for milestone, _ in self._brackets[0]._rungs)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take up a trial; one that was begun before a restart keeps its rungs, but its last one.

        The trial reports its last epoch once more, and that decision is then made again.
        """
        super().on_trial_add(tune_controller, trial)
        number = trial.config["number"]
        values = self._earlier.get(number, {})
        for _, recorded in self._brackets[0]._rungs:
            recorded.pop(f"earlier-{number}", None)
        self._record(trial.trial_id, {epoch: v for epoch, v in values.items() if epoch < max(values)})

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether a trial goes on."""
        if not is_finite(result.get(self._watched)):
            return str(TrialScheduler.STOP)
        return str(super().on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Record the last value; one that is not finite leaves no mark."""
        if is_finite(result.get(self._watched)):
            super().on_trial_complete(tune_controller, trial, result)
        else:
            self._trial_info.pop(trial.trial_id, None)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forget a trial that erred."""
        self._trial_info.pop(trial.trial_id, None)

    def _record(self, key: str, values: Mapping[int, float]) -> None:
        for milestone, recorded in self._brackets[0]._rungs:
            reached = [epoch for epoch in values if epoch >= milestone]
            if reached:
                recorded[key] = values[min(reached)]


def first_rung(stop: Stop, epochs: int) -> int:
    """Return the epochs before the first decision; a ninth of the run (η = 3) where not stated."""
    return min(stop.first_rung or max(epochs // stop.keep_one_in**2, 1), epochs)


def new_scheduler(stop: Stop, *, metric: str, epochs: int, recorded: Mapping[int, Mapping[int, float]]) -> Any:
    """Build the scheduler of a `stop:` block.

    Args:
        stop: The block.
        metric: What is maximised.
        epochs: Epochs of a whole run.
        recorded: Values by epoch of every earlier trial, by trial number.
    """
    if stop.rule == "none":
        return FIFOScheduler()
    return Halving(
        metric=metric,
        epochs=epochs,
        first_rung=first_rung(stop, epochs),
        keep_one_in=stop.keep_one_in,
        recorded=recorded,
    )
