"""Distributed training: the function that each worker runs, and the trainer that runs it."""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train.v2.api.callback import UserCallback
from ray.util.placement_group import (
    PlacementGroup,
    PlacementGroupID,
    placement_group_table,
    remove_placement_group,
)
from ray.util.queue import Empty, Queue

from ltray.engine.checkpoint import metrics_of
from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE
from ltray.on_ray._compat_train import (
    CHECKPOINT_MANAGER_SNAPSHOT_FILENAME,
    ControllerCallback,
    Trainer,
    name_placement_groups,
    raised_by_worker,
)
from ltray.on_ray.failure_count import interruption
from ltray.on_ray.session import RaySession
from ltray.on_ray.tasks import TASK, Placement, WorkerTask
from ltray.on_ray.torch_backend import ConfinedTorchConfig
from ltray.on_ray.trainer import Failure, ProgressPolicy
from ltray.reporting import FAILURE, report_of, train_and_report
from ltray.study.short_runs import Runs

ABORT_WITHIN = 20.0  # seconds
Report = tuple[dict[str, Any], Path | None]


class _Relay(UserCallback):
    """Passes each report from Train's controller process to the process that started the run.

    The controller waits until the report has been processed, as a trial waits for Tune: at most one report is
    ahead of the search, and Train deletes no checkpoint that has not been copied yet.
    """

    def __init__(self, reports: Queue) -> None:
        self.reports = reports

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        ProgressPolicy.epoch = max(ProgressPolicy.epoch, int(metrics[0].get("total_epochs", 0)))
        self.reports.put((metrics[0], Path(checkpoint.path) if checkpoint else None))
        self._wait()

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """End the run if settings, data or files cannot be used: it would fail in the same way again."""
        for error in worker_exceptions.values():
            cause = raised_by_worker(error)
            if isinstance(cause, UsageError):
                self.reports.put((report_of(cause), None))
                self._wait()
                return

    def _wait(self) -> None:
        """Return when the other process has processed the report."""
        # The queue has one place: the second mark can be added only after the other process has processed the report,
        # requested the next one and received the first mark.
        self.reports.put(None)
        self.reports.put(None)


class _Introduction(ControllerCallback):
    """Reports the run's controller to the process that started the run; names its placement groups after the run."""

    def __init__(self, reports: Queue, folder: Path) -> None:
        self.reports, self.folder = reports, folder

    def after_controller_start(self, train_run_context: Any) -> None:
        name_placement_groups(_reserved_by(self.folder))
        self.reports.put(ray.get_runtime_context().current_actor)


def free(folder: Path) -> None:
    """Free the resources of a run whose processes have ended: Ray would keep them reserved until the command ends.

    Train itself uses a process that may wrongly detect deaths (see `_compat_train`).
    """
    for number, group in placement_group_table().items():
        if group["name"].startswith(_reserved_by(folder)) and group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(number))))


def _reserved_by(folder: Path) -> str:
    """Return the prefix of the names of a run's reservations; other users of a cluster may have the same folder."""
    return f"{folder.resolve()} {ray.get_runtime_context().get_job_id()} "


def train_worker(config: dict[str, Any]) -> None:
    """Train one worker's share of an experiment; Ray Train calls this on every worker.

    Args:
        config: The `WorkerTask` under `TASK`.
    """
    task: WorkerTask = config[TASK]
    task.placement.enter()
    torch.set_num_threads(task.placement.threads)
    session = RaySession(ray.train, task.earlier, task.folder, raises=True)
    device = ray.train.torch.get_device()
    train_and_report(task.settings, session, device, pins=task.placement.pins, runs=task.runs)


def run_workers(
    settings: Mapping[str, Any],
    placement: Placement,
    *,
    folder: Path,
    earlier: Path | None,
    notify: Callable[[str], object],
    runs: Runs | None = None,
) -> Generator[Report, None, None]:
    """Train on several workers, yielding (metrics, checkpoint folder) after every epoch.

    Closing the iterator ends the run immediately and frees its resources.

    Args:
        settings: Flat settings of the experiment.
        placement: Resources and environment of the workers.
        folder: The folder in which Ray stores the run's checkpoints.
        earlier: The checkpoint from which to continue.
        notify: Receives a line for each failure after which the run restarts.
        runs: The runs of a trial of several runs; see `train_and_report`.

    Yields:
        Metrics and checkpoint of every epoch; finally, if the run cannot continue, the reason under `FAILURE`.

    Raises:
        Exception: The cause of the run's failure.
    """
    # Ray does not write its list of checkpoints under a temporary name: after a kill, the list can be incomplete, and a
    # run with an incomplete list cannot start again. Therefore the complete checkpoints on the disk are used instead.
    (folder / CHECKPOINT_MANAGER_SNAPSHOT_FILENAME).unlink(missing_ok=True)
    free(folder)  # an earlier attempt and all its processes may have been killed
    reports = Queue(maxsize=1, actor_options={"num_cpus": 0})
    trainer = Trainer(
        train_worker,
        policy=ProgressPolicy(reports, placement.retries),
        torch_config=ConfinedTorchConfig(),
        train_loop_config={TASK: WorkerTask(dict(settings), folder.resolve(), placement, earlier, runs)},
        scaling_config=ray.train.ScalingConfig(
            num_workers=placement.workers,
            use_gpu="GPU" in placement.resources,
            resources_per_worker=dict(placement.resources),
        ),
        run_config=ray.train.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent.resolve()),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=CHECKPOINT_SCORE),
            callbacks=[_Relay(reports), _Introduction(reports, folder.resolve())],
        ),
    )
    yield from _follow(trainer, reports, folder, notify, epoch=_epoch_of(earlier))


def _epoch_of(checkpoint: Path | None) -> int:
    metrics = metrics_of(checkpoint) if checkpoint else None
    return int(metrics["total_epochs"]) if metrics else 0


def _follow(
    trainer: Any, reports: Queue, folder: Path, notify: Callable[[str], object], *, epoch: int
) -> Generator[Report, None, None]:
    failures: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            failures.append(error)

    # Not in the main thread, in which Ray would handle Ctrl-C and exit with code 0.
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    controller = None
    try:
        while True:
            ended = not thread.is_alive()
            try:
                message = reports.get(timeout=0.5)
            except Empty:
                if ended:
                    break
                continue
            if isinstance(message, Failure):
                notify(interruption("the run", message.reason, epoch=epoch, left=message.left))
            elif isinstance(message, tuple):
                epoch = int(message[0].get("total_epochs", epoch))
                yield message
                if FAILURE in message[0]:
                    return
            elif message is not None:
                controller = message
    finally:
        if controller and thread.is_alive():
            _abort(controller, reports)
        free(folder)  # has no effect if the controller ended normally, and is necessary if it was killed
        reports.shutdown(force=True)
    if failures:
        raise failures[0]


def _abort(controller: Any, reports: Queue) -> None:
    """End a run immediately, with its workers and reservations; killing the controller would leave the latter."""
    aborted, until = controller.abort.remote(), time.monotonic() + ABORT_WITHIN
    while not ray.wait([aborted], timeout=0.1)[0]:
        if time.monotonic() > until:
            ray.kill(controller)
        with suppress(Empty):  # it answers after its last report was received
            reports.get(block=False)
