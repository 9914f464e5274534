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
FAILURE = "failure"  # the key under which a run reports why it cannot go on
LATER = "later"  # the key that it adds where the same command may later continue it: the disk was full


@dataclass(frozen=True)
class RaySession:
    """The engine's `Session` over `ray.train` (in a worker) or `ray.tune` (in a trial).

    Attributes:
        api: The module `ray.train` or `ray.tune`; both have `report`, `get_checkpoint` and
            `Checkpoint`.
        earlier: A checkpoint that an earlier driver left, used where Ray itself has none.
        folder: Where Ray keeps what is reported, for errors.
        raises: Whether a mistake of the user is raised, as Ray Train wants it: of several workers one may be alone with
            it, and a report waits for all, or for one that failed before it. Tune would try again, and is told.
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
        """Hand metrics to Ray; rank 0 adds the checkpoint.

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
    """Make a folder for a checkpoint on its way to Ray; those that killed processes left go first."""
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
    """Train; what would come again is reported as the run's failure and not retried.

    A loss that is not finite: every worker sees the same loss and reports alike. Settings, data or files that cannot
    be used, a full disk: where the session raises it, `run_workers` ends the run by it.

    Args:
        settings: Flat settings of the experiment to train.
        session: Where it reports.
        device: Where to train.
        pins: The data sets as the command has them; a node that has another one ends the run.
        runs: Of a trial of several runs; None: it is one.
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
    """Return which machine has the file that an error names, where the cluster has several."""
    several = ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1
    return f"node {socket.gethostname()}: " if several else ""


def report_of(error: UsageError) -> dict[str, Any]:
    """Return what a run reports that an error ended; the error of a full disk ends it only for now."""
    return {FAILURE: str(error)} | ({LATER: True} if isinstance(error, CannotWrite) else {})
