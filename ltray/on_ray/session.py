"""How a worker reports to Ray and resumes from it."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import ray
import torch

from ltray.data.pin import Pins
from ltray.distributed import rank
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.train_step import NotFinite
from ltray.errors import CannotWrite, UsageError
from ltray.experiment import Experiment
from ltray.files import writing
from ltray.study.short_runs import ShortRuns, train_runs

TEMPORARY = "ltray-checkpoint-"
FAILURE = "failure"  # the key under which a run reports why it cannot continue
LATER = "later"  # the key that it adds if it can continue later: the disk was full


@dataclass(frozen=True)
class RaySession:
    """The engine's `Session` over `ray.train` (in a worker) or `ray.tune` (in a trial).

    Attributes:
        api: The module `ray.train` or `ray.tune`; both have `report`, `get_checkpoint` and
            `Checkpoint`.
        earlier: A checkpoint of an earlier driver, used if Ray itself has none.
        folder: The folder in which Ray stores the reports, for error messages.
        raises: Whether a user's mistake is raised, as Ray Train requires: it may occur on only one of several workers,
            while a report waits for all of them. Tune would retry an exception; it gets a report instead.
    """

    api: ModuleType
    earlier: Path | None
    folder: Path
    raises: bool

    def resume(self) -> Checkpoint | None:
        """Return Ray's newest checkpoint of this run, or the earlier process's."""
        newest = self.api.get_checkpoint()
        if newest is not None:
            with newest.as_directory() as folder:
                return Checkpoint.load(Path(folder))
        return Checkpoint.load(self.earlier) if self.earlier else None

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Report metrics to Ray; rank 0 adds the checkpoint.

        Raises:
            CannotWrite: The checkpoint cannot be written, such as to a full disk.
        """
        if rank() != 0:
            self.api.report(dict(metrics))
            return
        with writing(self.folder), temporary_folder() as folder:
            checkpoint.save(folder)
            self.api.report(dict(metrics), checkpoint=self.api.Checkpoint.from_directory(str(folder)))


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a temporary folder for a checkpoint to report; first remove those of killed processes."""
    for left in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        number = left.name.removeprefix(TEMPORARY).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def train_and_report(
    settings: Mapping[str, Any],
    session: RaySession,
    device: torch.device,
    *,
    pins: Pins,
    runs: ShortRuns | None = None,
) -> None:
    """Train; an error that would occur again is reported as the run's failure and not retried.

    If a loss is not finite, every worker has the same loss and sends the same report. If settings, data or files
    cannot be used, or the disk is full, and the session raises the error, `run_workers` ends the run with it.

    Args:
        settings: Flat settings of the experiment to train.
        session: Receives the reports.
        device: The device to train on.
        pins: The data sets as the command has them; a node with a different one ends the run.
        runs: The runs of a trial of several runs; None: the trial is one run.
    """
    try:
        experiment = Experiment.from_settings(settings, complete=True)
        pin = pins.of(experiment.dataset)
        if runs:
            train_runs(experiment, runs, session=session, device=device, pin=pin)
        else:
            experiment.train(session, device, pin=pin)
    except NotFinite as error:
        session.api.report({FAILURE: str(error)})
    except UsageError as error:
        if isinstance(error, CannotWrite):
            error = CannotWrite(f"{_this_node()}{error}")
        if session.raises:
            raise error from error.__cause__
        session.api.report(report_of(error))


def _this_node() -> str:
    """Return the machine that has the file named by an error, if the cluster has several machines."""
    several = ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1
    return f"node {socket.gethostname()}: " if several else ""


def report_of(error: UsageError) -> dict[str, Any]:
    """Return the report of a run that an error ended; after the error of a full disk, it can continue later."""
    return {FAILURE: str(error)} | ({LATER: True} if isinstance(error, CannotWrite) else {})
