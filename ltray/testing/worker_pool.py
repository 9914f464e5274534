"""A pool of processes connected by gloo, started once: starting them for each test takes seconds."""

import importlib.util
import inspect
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist

Filter = tuple[Any, str, Any, str, int]  # arguments of `warnings.filterwarnings`

START_LIMIT = 120.0  # seconds that processes may take to import torch and connect


class WorkerPool:
    """Runs a function on all workers of a process group; a context manager.

    After a call that fails, takes too long or is interrupted, answers may still arrive and the workers may be at
    different collective operations. The processes are then ended, and the next call starts new ones, so
    that no call receives the answer of another.

    Workers treat warnings as this process does when they start, including warnings as errors. They import modules from
    the same places as this process at the time of the call.

    Args:
        workers: Number of processes.
        timeout: Seconds that a call may take.
    """

    def __init__(self, workers: int = 2, *, timeout: float = 120.0) -> None:
        self.workers = workers
        self.timeout = timeout
        self._pipes: list[Connection] = []
        self._processes: list[SpawnProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop(patience=5.0)

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call `function(*arguments)` on every worker and return the results in rank order.

        Args:
            function: A function at the top level of a file.
            arguments: Anything that can be sent to another process.

        Raises:
            RuntimeError: A worker failed, with its traceback, or its process ended.
            TimeoutError: A worker did not answer in time.
        """
        try:
            if not self._processes:
                self._start()
            return self._call(function, arguments)
        except BaseException:  # the answers to an interrupted call are still in the pipes
            self._stop(patience=0.0)
            raise

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
        for pipe in self._pipes:
            pipe.send(sys.path)
            pipe.send((inspect.getfile(function), function.__name__, arguments))
        answers = self._answers(function.__name__, self.timeout)
        failures = [
            f"Worker {rank} failed in {function.__name__}:\n{failure}"
            for rank, (failure, _) in enumerate(answers)
            if failure
        ]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [result for _, result in answers]

    def _answers(self, what: str, limit: float) -> list[tuple[str | None, Any]]:
        """Return one (failure, result) of every worker."""
        end = time.monotonic() + limit
        answers = []
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(max(end - time.monotonic(), 0.0)):
                raise TimeoutError(f"Worker {rank} did not answer {what} within {limit:g} s.")
            try:
                answers.append(pipe.recv())
            except (EOFError, ConnectionResetError) as error:
                raise RuntimeError(f"The process of worker {rank} ended in {what}.") from error
        return answers

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        with tempfile.TemporaryDirectory(prefix="ltray-workers-") as folder:
            for rank in range(self.workers):
                ours, theirs = context.Pipe()
                meeting = (str(Path(folder) / "store"), rank, self.workers, max(self.timeout, START_LIMIT), _filters())
                process = context.Process(target=_serve, args=(theirs, *meeting), daemon=True)
                process.start()
                theirs.close()  # otherwise the end of the process is not noticed
                self._pipes.append(ours)
                self._processes.append(process)
            self._answers("the start", START_LIMIT)

    def _stop(self, *, patience: float) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=patience)
            if process.is_alive():
                process.kill()
            process.join()
        self._pipes, self._processes = [], []


def _filters() -> list[Filter]:
    """Return this process's warning filters, in an order in which they can be added again."""

    def text(pattern: Any) -> str:
        return str(getattr(pattern, "pattern", pattern) or "")

    return [(action, text(what), kind, text(where), line) for action, what, kind, where, line in warnings.filters][::-1]


def _serve(pipe: Connection, store: str, rank: int, workers: int, timeout: float, filters: list[Filter]) -> None:
    for one in filters:
        warnings.filterwarnings(*one)
    torch.set_num_threads(1)
    limit = timedelta(seconds=timeout)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers, timeout=limit)
    pipe.send((None, "ready"))
    while True:
        try:
            sys.path[:] = pipe.recv()  # before what follows is unpickled
            file, name, arguments = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            pipe.send((None, getattr(_module(file), name)(*arguments)))
        except Exception:
            pipe.send((traceback.format_exc(), None))


def _module(file: str) -> Any:
    """Load a file by its path: test files are not a package."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
