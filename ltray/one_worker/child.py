"""The process of a single worker: reads its task from the command's process and reports every epoch to it."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from ltray.checkpoints import complete_checkpoints, keep_newest_and_best
from ltray.engine.checkpoint import Checkpoint
from ltray.errors import UsageError
from ltray.files import reason, writing
from ltray.on_ray.tasks import WorkerTask
from ltray.reporting import report_of, train_and_report

LOOK_EVERY = 1.0  # seconds
Message = tuple[str, Any]
REPORT, CRASH, DONE = "report", "crash", "done"
"""Kinds of messages: metrics of an epoch, or why the run cannot continue; the exception of a crash; the end."""


@dataclass(frozen=True)
class ChildSession:
    """The engine's `Session` in the separate process of a worker.

    Attributes:
        folder: The run folder, in which checkpoints are written.
        connection: The connection to the command's process, which answers a report after it has processed it.
    """

    folder: Path
    connection: "Connection[Message, Any]"

    def resume(self) -> Checkpoint | None:
        """Return the newest complete checkpoint, or None for a fresh run."""
        known = complete_checkpoints(self.folder)
        return Checkpoint.load(known[-1][0]) if known else None

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Write the checkpoint, remove those that are neither newest nor best, and report the metrics.

        Raises:
            CannotWrite: The checkpoint cannot be written, for example because the disk is full.
        """
        newest = self.folder / f"checkpoint_{int(metrics['total_epochs']):06d}"
        with writing(self.folder):
            checkpoint.save(newest)
        keep_newest_and_best(self.folder, newest)
        self._send(metrics)

    def fail(self, report: Mapping[str, Any]) -> None:
        """Report the reason why the run cannot continue."""
        self._send(report)

    def refuse(self, error: UsageError) -> None:
        """Report settings, data or files that cannot be used."""
        self._send(report_of(error))

    def _send(self, report: Mapping[str, Any]) -> None:
        """Report, and wait until the command has processed it."""
        self.connection.send((REPORT, dict(report)))
        self.connection.recv()


def main(descriptor: int) -> None:
    """Train until the run ends.

    Args:
        descriptor: The file descriptor of the connection to the command's process.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the process group; the command ends this process itself
        signal.signal(number, signal.SIG_IGN)
    connection: Connection[Message, Any] = Connection(descriptor)
    try:
        task = connection.recv()
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True, name="ltray-parent").start()
        _train(task, connection)
        connection.send((DONE, None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the command has ended; the last checkpoint is on the disk
    except Exception as error:
        traceback.print_exc()
        connection.send((CRASH, f"{type(error).__name__}: {reason(error)}"))


def _train(task: WorkerTask, connection: "Connection[Message, Any]") -> None:
    task.placement.enter()
    torch.set_num_threads(task.placement.threads)
    session = ChildSession(task.folder, connection)
    train_and_report(task.settings, session, task.placement.device, pins=task.placement.pins)


def _end_with(parent: int) -> None:
    """Exit when the command's process has ended without a signal to this process (SIGKILL)."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)
