"""The reports of a worker to Ray, and its continuation from a checkpoint of Ray."""

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

from ltray.distributed import rank
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import CannotWrite, UsageError
from ltray.files import writing
from ltray.reporting import report_of

TEMPORARY = "ltray-checkpoint-"


@dataclass(frozen=True)
class RaySession:
    """The engine's `Session` over `ray.train` (in a worker) or `ray.tune` (in a trial).

    Attributes:
        api: The module `ray.train` or `ray.tune`; both have `report`, `get_checkpoint` and
            `Checkpoint`.
        earlier: A checkpoint of an earlier driver, used if Ray has none.
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
            CannotWrite: The checkpoint cannot be written, for example because the disk is full.
        """
        if rank() != 0:
            self.api.report(dict(metrics))
            return
        with writing(self.folder), temporary_folder() as folder:
            checkpoint.save(folder)
            self.api.report(dict(metrics), checkpoint=self.api.Checkpoint.from_directory(str(folder)))

    def fail(self, report: Mapping[str, Any]) -> None:
        """Report the reason why the run cannot continue instead of metrics."""
        self.api.report(dict(report))

    def refuse(self, error: UsageError) -> None:
        """Raise the error, or report it: see `raises`. The message about a full disk contains the node."""
        if isinstance(error, CannotWrite):
            error = CannotWrite(f"{_this_node()}{error}")
        if self.raises:
            raise error from error.__cause__
        self.fail(report_of(error))


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


def _this_node() -> str:
    """Return this machine as a prefix of messages about its files, if the cluster has several machines."""
    several = ray.is_initialized() and sum(node["Alive"] for node in ray.nodes()) > 1
    return f"node {socket.gethostname()}: " if several else ""
