"""Distributed training: the function each worker runs, and the trainer that runs it."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train.v2.api.callback import UserCallback
from ray.util.queue import Empty, Queue

from ltray.engine.loop import CHECKPOINT_SCORE
from ltray.experiment import Experiment
from ltray.on_ray.rendezvous import ConfinedTorchConfig
from ltray.on_ray.session import RaySession, train_and_report

Report = tuple[dict[str, Any], Path | None]


class _Relay(UserCallback):
    """Passes each report from Train's controller process to whoever started the run."""

    def __init__(self, reports: Queue) -> None:
        self.reports = reports

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        self.reports.put((metrics[0], Path(checkpoint.path) if checkpoint else None))


def train_worker(config: dict[str, Any]) -> None:
    """Train one worker's share of an experiment; what Ray Train runs on every worker.

    Args:
        config: "settings" of the experiment, "folder" to work in, "threads" to compute with.
    """
    os.chdir(config["folder"])
    torch.set_num_threads(config["threads"])
    experiment = Experiment.from_settings(config["settings"])
    train_and_report(experiment, RaySession(ray.train), ray.train.torch.get_device())


def run_workers(
    settings: dict[str, Any], *, count: int, resources: dict[str, float], folder: Path, retries: int
) -> Iterator[Report]:
    """Train on several workers, yielding (metrics, checkpoint folder) after every epoch.

    Starting again with the same folder continues from the newest checkpoint there.

    Args:
        settings: Flat settings of the experiment.
        count: Number of workers, W.
        resources: What each worker takes; see `worker_resources`.
        folder: Where Ray keeps the run's checkpoints.
        retries: How often a failed worker group starts again from its checkpoint.

    Raises:
        Exception: What made the run fail.
    """
    reports = Queue(actor_options={"num_cpus": 0})
    trainer = ray.train.torch.TorchTrainer(
        train_worker,
        torch_config=ConfinedTorchConfig(),
        train_loop_config={
            "settings": settings,
            "folder": os.getcwd(),
            "threads": max(int(resources["CPU"]), 1),
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=count, use_gpu="GPU" in resources, resources_per_worker=resources
        ),
        run_config=ray.train.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent.resolve()),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute=CHECKPOINT_SCORE),
            failure_config=ray.train.FailureConfig(max_failures=retries),
            callbacks=[_Relay(reports)],
        ),
    )
    try:
        yield from _follow(trainer, reports)
    finally:
        reports.shutdown(force=True)


def _follow(trainer: Any, reports: Queue) -> Iterator[Report]:
    failures: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            failures.append(error)

    # Not in the main thread: there Ray would take over Ctrl-C and leave with exit code 0.
    thread = threading.Thread(target=fit, daemon=True)
    thread.start()
    while True:
        ended = not thread.is_alive()
        try:
            yield reports.get(timeout=0.5)
        except Empty:
            if ended:
                break
    if failures:
        raise failures[0]
