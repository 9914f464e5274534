"""Trains several independent runs, as many in parallel as fit the cluster, each in its own folder."""

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from rich.console import Console

from ltray.checkpoints import complete_checkpoints
from ltray.data.pin import Pins
from ltray.engine.train_step import NotFinite
from ltray.errors import CannotWrite, UsageError
from ltray.experiment import Experiment
from ltray.on_ray import cluster
from ltray.on_ray.failure_count import INTERRUPTED, FailureCount, interruption
from ltray.on_ray.final_evaluation import evaluate_where_trained
from ltray.on_ray.pins import pins_of
from ltray.on_ray.tasks import Placement, WaveTask
from ltray.on_ray.trainer import cause_of_death
from ltray.on_ray.workers import run_workers
from ltray.reporting import FAILURE, LATER
from ltray.results.final_evaluation import accuracy_line, keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.seal import write_sealed
from ltray.space.search_settings import TrialResources
from ltray.study.fold_runs import train_experiment

CHECKPOINT = "checkpoint_*"


@dataclass(frozen=True)
class WaveRun:
    """One run of a wave.

    Attributes:
        name: Its name in messages.
        settings: Complete flat settings of its experiment.
        folder: Its folder, absolute; it continues from the newest checkpoint there.
        stamps: Further entries of `evaluation.json`.
        selection: Prefix of the metrics that are printed at its end: "val" or "test".
    """

    name: str
    settings: Mapping[str, Any]
    folder: Path
    stamps: Mapping[str, Any]
    selection: str


class Wave:
    """Runs several trainings, as many in parallel as fit the cluster.

    Args:
        trial: The resources of a run.
        what: What the runs are, for messages: "finalists".
        console: Receives the lines.
    """

    def __init__(self, trial: TrialResources, what: str, console: Console) -> None:
        cluster.connect()
        self.trial, self.what, self.console = trial, what, console
        self.resources = cluster.worker_resources(trial)
        self.concurrent = cluster.concurrent_trials(trial)
        self.failures: dict[Path, FailureCount] = {}
        self.pins = Pins({})

    def run(self, runs: Sequence[WaveRun], *, of: int) -> list[str]:
        """Run all of them; return the reasons why runs crashed.

        Args:
            runs: The runs that are not finished.
            of: Their number together with those that are finished or may be left out.

        Raises:
            KeyboardInterrupt: The user interrupted the command; the next one continues the runs.
        """
        self.console.print(f"{self.what}: {len(runs)} runs of at most {of}, {self.concurrent} at a time")
        self.pins = pins_of(Experiment.from_settings(one.settings, complete=True) for one in runs)
        waiting, running, crashed = deque(runs), dict[Any, WaveRun](), list[str]()
        try:
            while waiting or running:
                while waiting and len(running) < self.concurrent:
                    run = waiting.popleft()
                    running[self._start(run)] = run
                done, _ = ray.wait(list(running), timeout=1.0)
                for task in done:
                    run = running.pop(task)
                    why = self._end(task, run)
                    if why is None:
                        waiting.appendleft(run)
                    else:
                        crashed += why
        except KeyboardInterrupt:
            for task in running:
                ray.cancel(task, force=True)
            raise
        return crashed

    def _start(self, run: WaveRun) -> Any:
        alone = self.trial.workers == 1
        task = _train.options(
            num_cpus=self.resources["CPU"] if alone else 0,
            num_gpus=self.resources.get("GPU", 0) if alone else 0,
            max_retries=0,  # `_end` decides
        )
        placement = Placement(Path.cwd(), self.trial.workers, dict(self.resources), self.trial.retries, self.pins)
        return task.remote(WaveTask(run.settings, run.folder, placement, run.stamps, self.trial.logger))

    def _end(self, task: Any, run: WaveRun) -> list[str] | None:
        """Print how a run ended; return why it crashed, "" if it did not crash, None if it restarts."""
        try:
            found = ray.get(task)
        except ray.exceptions.RayError as error:
            origin = getattr(error, "cause", None) or error
            cause = str(origin) if isinstance(origin, UsageError) else cause_of_death(origin)
            if self._starts_again(run, cause, origin):
                return None
            self.console.print(f"{run.name} crashed: {cause}", style="red", soft_wrap=True)
            return [f"{run.name}: {cause}"]
        for text in found.get(INTERRUPTED, ()):
            self.console.print(f"{run.name}: {text}", style="yellow", soft_wrap=True)
        outcome = found.get(FAILURE) or accuracy_line(found["selection"], run.selection)
        self.console.print(f"{run.name}: {outcome}", soft_wrap=True)
        return []

    def _starts_again(self, run: WaveRun, cause: str, error: BaseException) -> bool:
        """Return whether a crashed run restarts, and print it; it restarts if it made progress since the last crash."""
        if isinstance(error, UsageError):
            return False
        known = complete_checkpoints(run.folder)
        epoch = int(known[-1][1]["total_epochs"]) if known else 0
        left = self.failures.setdefault(run.folder, FailureCount(self.trial.retries)).fail(epoch)
        if left >= 0:
            text = interruption(run.name, cause, epoch=epoch, left=left)
            self.console.print(text, style="yellow", soft_wrap=True)
        return left >= 0


@ray.remote
def _train(task: WaveTask) -> dict[str, Any]:
    """Train one run from its newest checkpoint, then evaluate its best checkpoint once."""
    task.placement.enter()
    task.folder.mkdir(parents=True, exist_ok=True)
    try:
        found = _in_this_process(task) if task.placement.workers == 1 else _with_workers(task)
    except CannotWrite:
        raise  # not an error of the run; the next command continues it
    except (NotFinite, UsageError) as error:
        failure = {FAILURE: str(error)} | dict(task.stamps)
        write_sealed(RunFolder(task.folder).failure_file, failure)
        return failure
    for checkpoint in task.folder.glob(CHECKPOINT):  # the best one is now in best/
        shutil.rmtree(checkpoint)
    return found


def _in_this_process(task: WaveTask) -> dict[str, Any]:
    torch.set_num_threads(task.placement.threads)
    experiment = Experiment.from_settings(task.settings, complete=True)
    pin = task.placement.pins.of(experiment.dataset)
    with closing(FolderSession(task.folder, logger=task.logger)) as session:
        train_experiment(experiment, session, task.placement.device, pin=pin)
    return keep_evaluated(task.folder, checkpoint_of(task.folder), task.placement.device, stamps=task.stamps)


def _with_workers(task: WaveTask) -> dict[str, Any]:
    folder = task.folder
    for _, metrics in RunFolder(folder).unrecorded():
        RunFolder(folder).append_history(metrics)
    known = complete_checkpoints(folder)
    survived: list[str] = []
    reports = run_workers(
        task.settings,
        task.placement,
        folder=folder,
        earlier=known[-1][0] if known else None,
        notify=survived.append,
    )
    for metrics, _ in reports:
        if FAILURE in metrics:
            raise CannotWrite(metrics[FAILURE]) if LATER in metrics else NotFinite(metrics[FAILURE])
        RunFolder(folder).append_history(metrics)
    found = evaluate_where_trained(folder, checkpoint_of(folder), task.placement.resources, stamps=task.stamps)
    return found | {INTERRUPTED: survived}
