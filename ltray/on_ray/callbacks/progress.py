"""The output of a running search: a live table, or a line per event, and its loggers."""

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ltray.data.dataset import ImageData
from ltray.data.definition import DatasetDefinition
from ltray.experiment import Experiment
from ltray.loggers import Logger
from ltray.metrics import PLANNED_EPOCHS
from ltray.on_ray.callbacks.forgive_failures import last_epoch
from ltray.on_ray.failure_count import INTERRUPTED, interruption
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import task_of
from ltray.on_ray.trial import error_of, failure_of
from ltray.reporting import LATER
from ltray.run_logger import begun_logger

REDRAW_EVERY = 0.5  # seconds


class ProgressCallback(Callback):
    """Shows the trials of a search in the driver's process.

    Args:
        console: The console; a live table is shown if it is a terminal.
        explored: Short names of the explored knobs, by their full names.
        metric: The first objective, on the selection images, such as "val/acc_few".
        trials: Number of trials of the complete search.
        done: Trials that an earlier run of the search has finished.
        best: The best value of these, and its trial; None if none is complete.
        stopper: Has the reason why a search ends before its last trial.
        logger: Name or dotted path of the logger of each trial.
    """

    def __init__(
        self,
        console: Console,
        explored: Mapping[str, str],
        *,
        metric: str,
        trials: int,
        done: int,
        best: tuple[float, int] | None,
        stopper: GracefulStopper,
        logger: str = "tensorboard",
    ) -> None:
        self._console, self._explored, self._metric = console, explored, metric
        self._of, self._done = trials, done
        self._stopper, self._told = stopper, ""
        self._loggers: dict[str, Logger] = {}
        self._logger, self._seen = logger, set[tuple[str, ...]]()
        self._opened: dict[DatasetDefinition, ImageData] = {}
        self._running: dict[int, dict[str, Any]] = {}
        self._best = best
        self._started, self._drawn = time.monotonic(), 0.0
        self._live = Live(console=console, transient=True, refresh_per_second=4) if console.is_terminal else None

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its parts for its own restore, ltray resumes from the study."""
        return {}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Start the live table."""
        if self._live:
            self._live.start()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Print the reason why the search ends, once."""
        text = self._stopper.text()
        if text != self._told:
            self._told = text
            self._print_line(text)
        self._refresh()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial starts, or continues after a failure."""
        self._running.setdefault(task_of(trial).number, {})
        if trial.trial_id not in self._loggers:
            self._loggers[trial.trial_id] = self._begun(trial)
            self._print_line(f"trial {task_of(trial).number} starts: {self._settings(trial)}")

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **i: Any) -> None:
        """A trial has finished an epoch."""
        if EPOCHS not in result:
            return
        number = task_of(trial).number
        if INTERRUPTED in result:  # failures of the trial's workers after which the trial restarted
            self._print_line(f"trial {number}: {result[INTERRUPTED]}")
        self._running[number] = result
        self._loggers[trial.trial_id].epoch(result, int(result[EPOCHS]))
        best = result.get(f"{self._metric}_best")
        if best is not None and (self._best is None or best > self._best[0]):
            self._best = (best, number)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has ended or was stopped."""
        result = trial.last_result or {}
        number = task_of(trial).number
        reason = failure_of(result)
        if trial.trial_id in self._stopper.ended:
            self._loggers.pop(trial.trial_id).close()
            self._print_line(f"trial {number} is paused at epoch {result[EPOCHS]} of {result[PLANNED_EPOCHS]}")
        elif LATER in result:
            self._loggers.pop(trial.trial_id).close()
            self._print_line(f"trial {number} is paused: {reason}")
        elif reason:
            self._end(trial, f"failed: {reason}")
        else:
            epoch, planned = int(result[EPOCHS]), int(result[PLANNED_EPOCHS])
            how = "finished" if epoch >= planned else f"stopped early at epoch {epoch} of {planned}"
            self._end(trial, f"{how}, {self._metric} {100 * result[f'{self._metric}_best']:.1f} %")
        self._running.pop(number, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed and is not retried."""
        number = task_of(trial).number
        self._end(trial, f"failed: {error_of(trial)} (complete message: {trial.error_file})")
        self._running.pop(number, None)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed and continues from its checkpoint."""
        left = trial.max_failures - trial.num_failures
        who = f"trial {task_of(trial).number}"
        self._print_line(interruption(who, error_of(trial), epoch=last_epoch(trial), left=left))

    def close(self) -> None:
        """Remove the live table, and close the loggers of trials that have not ended."""
        if self._live:
            self._live.stop()
        while self._loggers:
            self._loggers.popitem()[1].close()

    def _begun(self, trial: Any) -> Logger:
        """Create a trial's logger; the first trial of each sequence of methods logs the views of some images."""
        experiment = Experiment.from_settings(task_of(trial).settings, complete=True)
        names = tuple(method.name for method in experiment.methods)
        data = None if names in self._seen else self._data_of(experiment)
        self._seen.add(names)
        explored = self._explored_of(trial)
        return begun_logger(self._logger, Path(trial.path), explored, experiment=experiment, data=data)

    def _data_of(self, experiment: Experiment) -> ImageData:
        """Return the opened data of an experiment; each data set is opened once, because Tune waits meanwhile."""
        definition = experiment.dataset
        if definition not in self._opened:
            self._opened[definition] = experiment.opened(torch.device("cpu"))
        return self._opened[definition]

    def _end(self, trial: Any, how: str) -> None:
        self._done += 1
        logger = self._loggers.pop(trial.trial_id, None)
        if logger:
            with closing(logger):
                logger.finish(self._explored_of(trial), trial.last_result or {})
        self._print_line(f"trial {task_of(trial).number} {how}  [{self._done} of {self._of} done]")

    def _settings(self, trial: Any) -> str:
        return ", ".join(f"{self._explored[k]}={_short(v)}" for k, v in self._explored_of(trial).items())

    def _explored_of(self, trial: Any) -> dict[str, Any]:
        """Return the explored settings of this trial: those of its method."""
        settings = task_of(trial).settings
        return {key: settings[key] for key in self._explored if key in settings}

    def _print_line(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _refresh(self) -> None:
        if self._live and time.monotonic() - self._drawn >= REDRAW_EVERY:
            self._drawn = time.monotonic()
            self._live.update(self._view())

    def _view(self) -> Group:
        """Return the state of the search above a table of the running trials, at most as high as the terminal."""
        best = f"best {100 * self._best[0]:.1f} % (trial {self._best[1]})" if self._best else "no result yet"
        minutes = (time.monotonic() - self._started) / 60
        state = f"{self._done} of {self._of} trials done · {best} · {minutes:.1f} min"
        table = Table("trial", "epoch", self._metric, "loss", "images/s", box=None, pad_edge=False)
        for column in table.columns:
            column.justify, column.no_wrap = "right", True
        running = sorted(self._running.items())
        shown = running[: max(self._console.height - 6, 1)]
        for number, result in shown:
            table.add_row(*(_cells(number, result, self._metric) if result else (str(number), "starting")))
        more = [Text(f"and {len(running) - len(shown)} more")] if len(running) > len(shown) else []
        return Group(Rule(style="dim"), Text(state, no_wrap=True, overflow="ellipsis", style="bold"), table, *more)


def _cells(number: int, result: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    missing = float("nan")
    return (
        str(number),
        f"{result[EPOCHS]}/{result[PLANNED_EPOCHS]}",
        f"{100 * result.get(metric, missing):.1f} %",
        f"{result.get('loss/total', missing):.3f}",
        f"{result.get('train/images_per_second', missing):.0f}",
    )


def _short(value: Any) -> str:
    """Return four digits of a drawn number; a number from the user's file, such as 0.99999, is not rounded."""
    return f"{value:.4g}" if isinstance(value, float) and len(str(value)) > 8 else str(value)
