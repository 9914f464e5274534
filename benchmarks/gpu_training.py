"""Complete training of a method on the device, which continues in the next command if the time is used up."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_rows import Deadline, OutOfTime
from benchmarks.gpu_work import experiment_of, usual_precision
from ltray.data.dataset import ImageData
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.loop import train

SAVE_EVERY = 15.0  # seconds; a checkpoint takes the time of a fifth of an epoch on a fast GPU
SECONDS, BEST = "kit/seconds", "kit/best/"
ACCURACIES = ("acc_all", "acc_many", "acc_medium", "acc_few")


class TimedSession:
    """Keeps the newest checkpoint of a run in a folder, and ends the run when the time of the command is used up.

    Args:
        folder: The folder of the checkpoint.
        deadline: The end of the command's time.
    """

    def __init__(self, folder: Path, deadline: Deadline) -> None:
        self._folder, self._deadline = folder, deadline
        self._saved_at = self._reported_at = time.perf_counter()
        self.metrics: dict[str, float] = {}

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint of an earlier command, or None."""
        if not (self._folder / "summary.json").is_file():
            return None
        found = Checkpoint.load(self._folder)
        self.metrics = dict(found.metrics)
        return found

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Add up the seconds, keep the metrics of the best epoch, and save the checkpoint from time to time.

        Raises:
            OutOfTime: The time of the command is used up; the checkpoint is saved.
        """
        now = time.perf_counter()
        known = {name: value for name, value in self.metrics.items() if name.startswith("kit/")}
        known[SECONDS] = known.get(SECONDS, 0.0) + now - self._reported_at
        if checkpoint.position.best_epoch == checkpoint.position.total_epochs:
            known |= {BEST + name: metrics[f"test/{name}"] for name in ACCURACIES if f"test/{name}" in metrics}
        self.metrics = dict(metrics) | known | {"kit/best_epoch": checkpoint.position.best_epoch}
        if self._deadline.passed or now - self._saved_at > SAVE_EVERY:
            replace(checkpoint, metrics=self.metrics).save(self._folder)
            self._saved_at = time.perf_counter()
        if self._deadline.passed and metrics["total_epochs"] < metrics["planned_epochs"]:
            raise OutOfTime
        self._reported_at = time.perf_counter()


def trained(method: str, data: ImageData, folder: Path, deadline: Deadline, *, epochs: int) -> dict[str, Any]:
    """Train a method to its end and return its row; its checkpoint is then removed.

    Args:
        method: The method.
        data: The data, on the device.
        folder: The folder of the checkpoint.
        deadline: The end of the command's time.
        epochs: Epochs of the complete run.

    Raises:
        OutOfTime: The time is used up; the same call continues from the checkpoint.
    """
    experiment = experiment_of(method, data, epochs=epochs, precision=usual_precision(data.device))
    session = TimedSession(folder, deadline)
    saved = session.resume()
    if saved and saved.settings != experiment.settings():
        saved = None  # of a command with other options
    stages = experiment.stages(data.tail, saved=saved)
    train(stages, data, session, experiment.run(data.device, data, saved=saved), saved=saved)
    shutil.rmtree(folder, ignore_errors=True)
    found = session.metrics
    return {
        "method": method,
        "epochs": int(found["total_epochs"]),
        "precision": stages[0].recipe.precision,
        "seconds": found[SECONDS],
        "best_epoch": int(found["kit/best_epoch"]),
        "test": {name: found[BEST + name] for name in ACCURACIES if BEST + name in found},
        "gpu_bytes": torch.cuda.max_memory_allocated(data.device) if data.device.type == "cuda" else None,
    }
