"""Trains the finalists of a search on new seeds, each run in its own folder."""

import shutil
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import ray
import torch
from rich.console import Console

from ltray.checkpoints import check_newest, complete_checkpoints
from ltray.data.pin import Pins
from ltray.engine.train_step import NotFinite
from ltray.errors import CannotWrite, UsageError
from ltray.experiment import Experiment
from ltray.on_ray import cluster
from ltray.on_ray.failure_count import INTERRUPTED, FailureCount, interruption
from ltray.on_ray.final_evaluation import evaluate_where_trained
from ltray.on_ray.pins import pins_of
from ltray.on_ray.tasks import FinalistTask, Placement
from ltray.on_ray.trainer import cause_of_death
from ltray.on_ray.workers import run_workers
from ltray.reporting import FAILURE, LATER
from ltray.results.final_evaluation import accuracy_line, keep_evaluated
from ltray.results.finalists import (
    ROUNDS_BEFORE_DROPPING,
    Cell,
    Finalist,
    clear_losers,
    looks,
    read_run,
    read_runs,
    rounds,
)
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.seal import write_sealed
from ltray.space.search_space import SearchSpace
from ltray.study.fold_runs import train_experiment

CHECKPOINT = "checkpoint_*"
Run = tuple[Finalist, Cell]


def run_finalists(space: SearchSpace, finalists: Sequence[Finalist], folder: Path, console: Console) -> list[str]:
    """Train every finalist on its seeds; finished runs are not repeated.

    After three rounds, a finalist that is significantly worse than the leader gets no further round.
    The papers' setting always gets all rounds, because the others are compared with it.

    Args:
        space: The search space.
        finalists: The finalists.
        folder: The search's folder.
        console: Receives the lines.

    Returns:
        The reasons why runs crashed; the next call continues these runs.

    Raises:
        KeyboardInterrupt: The user interrupted the command; all finished runs are kept.
    """
    base = space.base
    order = rounds(space.finalists, seed=base.seed, data_seed=base.dataset.data_seed, used=space.trial.seeds)
    metric = space.base.metric
    alive = list(finalists)
    crashed: list[str] = []
    first = ROUNDS_BEFORE_DROPPING if space.finalists.drop_losers else len(order)
    for done in (min(first, len(order)), *range(first + 1, len(order) + 1)):
        runs = [(one, cell) for cells in order[:done] for cell in cells for one in alive]
        left = [(one, cell) for one, cell in runs if read_run(one.folder(folder, cell)) is None]
        for one, cell in left:
            check_newest(complete_checkpoints(one.folder(folder, cell)))
        if left:
            crashed += _Wave(space, folder, console).run(left, of=len(finalists) * sum(map(len, order)))
        if crashed or not space.finalists.drop_losers or done == len(order):
            continue
        results = {one.key: read_runs(one, order[:done], folder) for one in alive}
        for key in clear_losers(results, order[:done], metric=metric, looks=looks(order)):
            if not next(one for one in alive if one.key == key).paper:
                alive = [one for one in alive if one.key != key]
                console.print(
                    f"finalist {key} is dropped after {done} of {len(order)} rounds: on the selection images it is "
                    "significantly worse than the best finalist",
                    soft_wrap=True,
                )
    return crashed


class _Wave:
    """Runs several trainings, as many in parallel as fit the cluster."""

    def __init__(self, space: SearchSpace, folder: Path, console: Console) -> None:
        cluster.connect()
        self.space, self.folder, self.console = space, folder, console
        self.resources = cluster.worker_resources(space.trial)
        self.concurrent = cluster.concurrent_trials(space.trial)
        self.failures: dict[Path, FailureCount] = {}
        self.pins = Pins({})

    def run(self, runs: Sequence[Run], *, of: int) -> list[str]:
        """Run all of them; return the reasons why runs crashed."""
        self.console.print(f"finalists: {len(runs)} runs of at most {of}, {self.concurrent} at a time")
        settings = (finalist.run_settings(cell) for finalist, cell in runs)
        self.pins = pins_of(Experiment.from_settings(one, complete=True) for one in settings)
        waiting, running, crashed = deque(runs), dict[Any, Run](), list[str]()
        try:
            while waiting or running:
                while waiting and len(running) < self.concurrent:
                    run = waiting.popleft()
                    running[self._start(*run)] = run
                done, _ = ray.wait(list(running), timeout=1.0)
                for task in done:
                    run = running.pop(task)
                    why = self._end(task, *run)
                    if why is None:
                        waiting.appendleft(run)
                    else:
                        crashed += why
        except KeyboardInterrupt:
            for task in running:
                ray.cancel(task, force=True)
            raise
        return crashed

    def _start(self, finalist: Finalist, cell: Cell) -> Any:
        alone = self.space.trial.workers == 1
        task = _train.options(
            num_cpus=self.resources["CPU"] if alone else 0,
            num_gpus=self.resources.get("GPU", 0) if alone else 0,
            max_retries=0,  # `_end` decides
        )
        placement = Placement(
            Path.cwd(), self.space.trial.workers, dict(self.resources), self.space.trial.retries, self.pins
        )
        stamps = {"trial": finalist.key, "paper": finalist.paper}
        folder = finalist.folder(self.folder.resolve(), cell)
        return task.remote(
            FinalistTask(finalist.run_settings(cell), folder, placement, stamps, self.space.trial.logger)
        )

    def _end(self, task: Any, finalist: Finalist, cell: Cell) -> list[str] | None:
        """Print how a run ended; return why it crashed, "" if it did not crash, None if it restarts."""
        name = f"finalist {finalist.key}, seed {cell[0]}, data seed {cell[1]}"
        try:
            found = ray.get(task)
        except ray.exceptions.RayError as error:
            origin = getattr(error, "cause", None) or error
            cause = str(origin) if isinstance(origin, UsageError) else cause_of_death(origin)
            if self._starts_again(name, cause, origin, finalist.folder(self.folder, cell)):
                return None
            self.console.print(f"{name} crashed: {cause}", style="red", soft_wrap=True)
            return [f"{name}: {cause}"]
        for text in found.get(INTERRUPTED, ()):
            self.console.print(f"{name}: {text}", style="yellow", soft_wrap=True)
        outcome = found.get(FAILURE) or accuracy_line(found["selection"], self.space.base.selection)
        self.console.print(f"{name}: {outcome}", soft_wrap=True)
        return []

    def _starts_again(self, name: str, cause: str, error: BaseException, folder: Path) -> bool:
        """Return whether a crashed run restarts, and print it; it restarts if it made progress since the last crash."""
        if isinstance(error, UsageError):
            return False
        known = complete_checkpoints(folder)
        epoch = int(known[-1][1]["total_epochs"]) if known else 0
        left = self.failures.setdefault(folder, FailureCount(self.space.trial.retries)).fail(epoch)
        if left >= 0:
            text = interruption(name, cause, epoch=epoch, left=left)
            self.console.print(text, style="yellow", soft_wrap=True)
        return left >= 0


@ray.remote
def _train(task: FinalistTask) -> dict[str, Any]:
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


def _in_this_process(task: FinalistTask) -> dict[str, Any]:
    torch.set_num_threads(task.placement.threads)
    experiment = Experiment.from_settings(task.settings, complete=True)
    pin = task.placement.pins.of(experiment.dataset)
    with closing(FolderSession(task.folder, logger=task.logger)) as session:
        train_experiment(experiment, session, task.placement.device, pin=pin)
    return keep_evaluated(task.folder, checkpoint_of(task.folder), task.placement.device, stamps=task.stamps)


def _with_workers(task: FinalistTask) -> dict[str, Any]:
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
