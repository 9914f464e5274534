"""Trains with one worker in a separate process, and restarts the process after a crash."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ltray.checkpoints import complete_checkpoints
from ltray.files import atomic_write
from ltray.on_ray.failure_count import FailureCount, interruption
from ltray.on_ray.tasks import Placement, WorkerTask
from ltray.one_worker.child import CRASH, REPORT
from ltray.reporting import FAILURE

ERRORS = "error.txt"
BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[2]); "
    "from ltray.one_worker.child import main; main(int(sys.argv[1]))"
)
"""The child imports what the command can import."""


class WorkerCrashed(Exception):
    """The worker's process crashed more often than it may be restarted."""


def run_worker(
    settings: Mapping[str, Any], placement: Placement, *, folder: Path, notify: Callable[[str], object]
) -> Generator[dict[str, Any], None, None]:
    """Train in one child process, yielding the metrics of every epoch; closing the iterator ends the process.

    The run continues from the newest complete checkpoint in the folder. The process is at most one epoch ahead of the
    caller.

    Args:
        settings: Flat settings of the experiment.
        placement: The device of the worker and further settings of the computation.
        folder: The run folder, in which checkpoints are written.
        notify: Receives a line for each crash after which the run restarts.

    Yields:
        Metrics of every epoch; finally, if the run cannot continue, the reason under `FAILURE`.

    Raises:
        WorkerCrashed: The process crashed repeatedly without a new epoch.
    """
    tries = FailureCount(placement.retries)
    known = complete_checkpoints(folder)
    epoch = int(known[-1][1]["total_epochs"]) if known else 0
    task = WorkerTask(
        dict(settings), folder.resolve(), placement, None, None
    )  # the child looks for checkpoints in the folder
    while True:
        with closing(_Child(task)) as child:
            for metrics in child.reports():
                epoch = int(metrics.get("total_epochs", epoch))
                yield metrics
                if FAILURE in metrics:
                    return
            crash = child.crash()
        if not crash:
            return
        left = tries.fail(epoch)
        if left < 0:
            raise WorkerCrashed(crash)
        notify(interruption("the run", crash, epoch=epoch, left=left))


class _Child:
    """The worker's process, from its start to its end."""

    def __init__(self, task: WorkerTask) -> None:
        self._task = task
        self._crash = ""
        self._errors = tempfile.TemporaryFile()
        ours, theirs = socket.socketpair()
        threads = {"OMP_NUM_THREADS": str(task.placement.threads)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(theirs.fileno()), json.dumps(list(task.placement.path))],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=threads | dict(os.environ),
            )
        self._connection: Connection[Any, Any] = Connection(ours.detach())

    def reports(self) -> Generator[dict[str, Any], None, None]:
        """Yield the reports of the worker until it ends."""
        try:
            self._connection.send(self._task)
            while True:
                kind, content = self._connection.recv()
                if kind != REPORT:
                    self._crash = content if kind == CRASH else ""
                    break
                yield content
                self._connection.send(None)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # the exit code contains the reason
        self._process.wait()

    def crash(self) -> str:
        """Return why the process ended before the run, in one line; "" if the run has ended."""
        code = self._process.returncode
        if not self._crash and not code:
            return ""
        self._errors.seek(0)
        atomic_write(self._task.folder / ERRORS, self._errors.read().decode(errors="replace"))
        return self._crash or f"the worker's process ended with {_how(code)}"

    def close(self) -> None:
        """End the process immediately if it is running; its last checkpoint is complete."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._errors.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"signal {name}" + (", perhaps because of too little memory" if -code == signal.SIGKILL else "")
