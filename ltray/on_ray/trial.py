"""One trial of a search: in its own process, or as a nested Ray Train run of several workers."""

import math
import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import ray.tune
import torch

from ltray.checkpoints import complete_checkpoints
from ltray.errors import UsageError
from ltray.files import writing
from ltray.on_ray.failure_count import INTERRUPTED
from ltray.on_ray.last_line import last_line
from ltray.on_ray.session import RaySession
from ltray.on_ray.tasks import SEARCH, TASK, SearchTask, TrialTask
from ltray.on_ray.workers import run_workers
from ltray.reporting import FAILURE, report_of, train_and_report
from ltray.run_folder import RunFolder, attempts, trial_name


def workers_folder(run: Path, number: int) -> Path:
    """Return the folder for Ray Train's files of a trial with several workers."""
    return RunFolder(run).workers / trial_name(number)


def checkpoints(trials: Path, number: int) -> list[tuple[Path, dict[str, float]]]:
    """Return a trial's complete checkpoints with their metrics, oldest epoch first."""
    found = [item for attempt in attempts(trials, number) for item in complete_checkpoints(attempt)]
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def copies_folder(trials: Path, number: int) -> Path:
    """Return the folder of the checkpoints that a member of a population copied."""
    return RunFolder(trials.parent).copies / trial_name(number)


def resumable(trials: Path, number: int) -> list[tuple[Path, dict[str, float]]]:
    """Return the checkpoints from which a trial can continue; the last one is used."""
    found = checkpoints(trials, number) + complete_checkpoints(copies_folder(trials, number))
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def run_trial(config: Mapping[str, Any]) -> None:
    """Train one trial from its newest checkpoint, reporting every epoch to Tune.

    Args:
        config: The `TrialTask` under `TASK`, the `SearchTask` under `SEARCH`.
    """
    task: TrialTask = config[TASK]
    search: SearchTask = config[SEARCH]
    search.placement.enter()
    if search.placement.workers == 1:
        _in_this_process(task, search)
    else:
        _with_workers(task, search)


def _in_this_process(task: TrialTask, search: SearchTask) -> None:
    torch.set_num_threads(search.placement.threads)
    known = resumable(search.trials, task.number)
    if ray.tune.get_checkpoint() is None:
        _report_again(known[-1:])
    session = RaySession(ray.tune, known[-1][0] if known else None, search.trials, raises=False)
    train_and_report(task.settings, session, search.placement.device, pins=search.placement.pins, runs=search.runs)


def _with_workers(task: TrialTask, search: SearchTask) -> None:
    trials, number = search.trials, task.number
    folder = workers_folder(trials.parent, number)
    known = resumable(trials, number)[-1:]
    # When the driver was killed, the newest checkpoint may not have been in Tune's folder yet.
    reported = known[0][1]["total_epochs"] if known else 0
    known += [item for item in complete_checkpoints(folder) if item[1]["total_epochs"] > reported]
    survived: list[str] = []
    reports = run_workers(
        task.settings,
        search.placement,
        folder=folder,
        earlier=known[-1][0] if known else None,
        runs=search.runs,
        notify=survived.append,
    )
    try:
        _report_again(known)
        with closing(reports), writing(trials):
            for metrics, path in reports:
                checkpoint = ray.tune.Checkpoint.from_directory(str(path)) if path else None
                if survived:  # the output of this process is not shown
                    metrics |= {INTERRUPTED: "; ".join(survived)}
                    survived.clear()
                ray.tune.report(metrics, checkpoint=checkpoint)  # does not return if Tune stops the trial
    except UsageError as error:
        ray.tune.report(report_of(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # Tune has copies of all reports


def _report_again(known: Iterable[tuple[Path, Mapping[str, float]]]) -> None:
    """Repeat the reports that an earlier driver may not have received; the study records every epoch once."""
    for path, metrics in known:
        ray.tune.report(dict(metrics), checkpoint=ray.tune.Checkpoint.from_directory(str(path)))


def is_finite(value: Any) -> bool:
    """Return whether a reported metric can be compared."""
    return isinstance(value, int | float) and math.isfinite(value)


def error_of(trial: Any) -> str:
    """Return the reason why a trial failed, in one line, from the error file of Tune's trial."""
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        text = ""
    return last_line(text)


def failure_of(result: Mapping[str, Any] | None) -> str | None:
    """Return the reason that a trial has reported because it cannot continue, or None."""
    return None if result is None else result.get(FAILURE)
