"""A pool of processes joined by gloo, started once: a spawn for each test costs seconds."""

import importlib.util
import inspect
import multiprocessing
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist


class WorkerPool:
    """Runs a function on all workers of a process group; a context manager.

    Args:
        workers: Number of processes.
        timeout: Seconds that a call, or a collective operation in it, may take.
    """

    def __init__(self, workers: int = 2, *, timeout: float = 120.0) -> None:
        self.workers = workers
        self.timeout = timeout

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="ltray-workers-")
        self._pipes: list[Connection] = []
        self._processes = []
        for rank in range(self.workers):
            ours, theirs = context.Pipe()
            meeting = (str(Path(self._folder.name) / "store"), rank, self.workers, self.timeout)
            process = context.Process(target=_serve, args=(theirs, *meeting), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()
        self._folder.cleanup()

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call `function(*arguments)` on every worker and return the results in rank order.

        Args:
            function: A function at the top level of a file.
            arguments: Anything that can be sent to another process.

        Raises:
            RuntimeError: A worker failed; with its traceback.
            TimeoutError: A worker did not answer in time.
        """
        for pipe in self._pipes:
            pipe.send((inspect.getfile(function), function.__name__, arguments))
        results, failures = [], []
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(self.timeout):
                raise TimeoutError(f"Worker {rank} gave no answer to {function.__name__} in {self.timeout:g} s.")
            failure, result = pipe.recv()
            results.append(result)
            if failure:
                failures.append(f"Worker {rank} failed in {function.__name__}:\n{failure}")
        if failures:  # only now: an answer left in its pipe would be taken for the next call's
            raise RuntimeError("\n".join(failures))
        return results


def _serve(pipe: Connection, store: str, rank: int, workers: int, timeout: float) -> None:
    torch.set_num_threads(1)
    limit = timedelta(seconds=timeout)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=workers, timeout=limit)
    while True:
        try:
            file, name, arguments = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            pipe.send((None, getattr(_module(file), name)(*arguments)))
        except Exception:
            pipe.send((traceback.format_exc(), None))


def _module(file: str) -> Any:
    """Load a file by its path: test files are no package."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
