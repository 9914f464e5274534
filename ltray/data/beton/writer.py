"""Writing of .beton files: the only module that uses FFCV's writer, in a separate process.

FFCV's `DatasetWriter` waits forever when one of its workers fails or is killed, and does not
release its shared memory. Here it gets only images that are already encoded and checked, and
runs in a process group that is monitored: the time without progress is limited, and all
processes of the group are ended together.
"""

import multiprocessing
import os
import queue
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any, Self

from ltray.data.beton.chunks import Encoded, Prepared
from ltray.data.beton.parent_watch import follow
from ltray.errors import UsageError
from ltray.printable import printable

SMALLEST_PAGE, LARGEST_PAGE = 1 << 21, 1 << 31  # FFCV: 2 MiB <= page size < 4 GiB, a power of two
SILENCE = 300.0  # seconds without a written image after which the writer is considered as hung
CHUNK = 64  # images that a worker takes at a time; the steps of the progress
REMEDY = "Completed parts are kept; run the same command again to continue."


@dataclass(frozen=True)
class Job:
    """A file to write.

    Attributes:
        target: The file to create.
        prepared: The encoded images.
        indices: Which of them, in this order.
        labels: The label of each index.
    """

    target: Path
    prepared: Prepared
    indices: tuple[int, ...]
    labels: tuple[int, ...]


class BetonWriter:
    """A process that writes .beton files; a context manager.

    It starts immediately, so that its imports run while the first job is prepared.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._jobs: Any = context.Queue()
        self._messages: Any = context.Queue()
        self._process: Any = context.Process(target=_serve, args=(self._jobs, self._messages, os.getpid()))
        self._shared = ""  # name of the shared memory in use

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            self._jobs.put(None)
            self._process.join(10.0)
        if error != (None, None, None) or self._process.is_alive():
            _end(self._process)  # also if it has ended: its workers may still be running
        if self._shared:
            _free(self._shared)

    def write(self, job: Job, advance: Callable[[int], None]) -> None:
        """Write a .beton with the fields "image" and "label".

        Args:
            job: What to write.
            advance: Called with the number of further images written.

        Raises:
            OSError: The file cannot be written, or an image cannot be read.
            UsageError: FFCV's writer was killed or hung.
            RuntimeError: FFCV's writer failed in another way.
        """
        self._jobs.put(job)
        silent_since = time.monotonic()
        while True:
            try:
                kind, content = self._messages.get(timeout=1.0)
            except queue.Empty:
                self._check_alive(job.target, time.monotonic() - silent_since)
                continue
            silent_since = time.monotonic()
            if kind == "memory":
                self._shared = content
                continue
            if kind == "done":
                self._shared = ""
                return
            if kind == "os error":
                number, text = content
                raise OSError(number, text, str(job.target)) if number else OSError(text)
            if kind == "error":
                raise RuntimeError(f"FFCV's writer failed:\n{content}")
            advance(content)

    def _check_alive(self, target: Path, silent: float) -> None:
        if not self._process.is_alive():
            raise UsageError(
                f"{printable(target)}: a process died while it wrote this file ({_end_of(self._process.exitcode)}); "
                f"a likely cause is too little memory. {REMEDY}"
            )
        if silent >= SILENCE:
            raise UsageError(
                f"{printable(target)}: the process that writes this file wrote nothing for {SILENCE:.0f} s; perhaps "
                f"one of its workers was killed. {REMEDY}"
            )


def _end_of(code: int) -> str:
    """Return how a process ended: "signal SIGKILL", "exit code 1"."""
    if code >= 0:
        return f"exit code {code}"
    known = {one.value: one.name for one in signal.Signals}
    return f"signal {known.get(-code, -code)}"


def _end(process: Any) -> None:
    """End the writer and its workers."""
    for kill in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kill)
        except ProcessLookupError:  # it has ended, or has not created its process group yet
            process.kill()
        process.join(5.0)
        if not process.is_alive():
            return


def _free(name: str) -> None:
    """Free shared memory that was not freed because its owner was killed."""
    try:
        memory = shared_memory.SharedMemory(name)
    except FileNotFoundError:
        return
    memory.close()
    memory.unlink()


def _serve(jobs: Any, messages: Any, parent: int) -> None:
    """Write one job after the other; the body of the monitored process."""
    os.setpgid(0, 0)
    follow(parent, lambda: os.killpg(0, signal.SIGKILL))
    os.environ["NUMBA_DISABLE_JIT"] = "1"  # writing needs no compiled code, but the import of FFCV would compile
    try:
        from ffcv import writer

        writer.tqdm = _reporter(messages)
        while (job := jobs.get()) is not None:
            _write(job, messages)
            messages.put(("done", None))
    except BaseException as error:
        _announce(messages, error)
        os._exit(1)  # the monitoring process reports it; Python would print a traceback too


def _announce(messages: Any, error: BaseException) -> None:
    """Send an exception to the monitoring process, and wait until it is sent."""
    if isinstance(error, OSError):
        messages.put(("os error", (error.errno, error.strerror or str(error))))
    else:
        messages.put(("error", traceback.format_exc()))
    messages.close()
    messages.join_thread()


def _write(job: Job, messages: Any) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    class Announcing(DatasetWriter):  # type: ignore[misc]
        def prepare(self) -> None:
            super().prepare()
            messages.put(("memory", self.metadata_sm.name))

        def _write_common(self, count: int, content: Any, work: Any, more: Any) -> None:
            super()._write_common(count, content, partial(_work, work, messages), more)

    image = RGBImageField()
    image.encode = _put_encoded  # an attribute, not a subclass: FFCV's readers identify the field by its class
    rows = job.prepared.rows[list(job.indices)]
    page = SMALLEST_PAGE
    while page < min(int(rows["length"].max()), LARGEST_PAGE):
        page *= 2
    fields = {"image": image, "label": IntField()}
    # One worker: with several, the order of the pages, and so the file, would differ from run to run.
    writer = Announcing(str(job.target), fields, page_size=page, num_workers=1)
    writer.from_indexed_dataset(_Samples(job), chunksize=CHUNK)


def _work(work: Callable[..., None], messages: Any, *arguments: Any) -> None:
    """Run a worker of FFCV; a failure is reported, because FFCV would wait forever for its worker."""
    try:
        work(*arguments)
    except Exception as error:
        _announce(messages, error)
        os._exit(1)  # the monitoring process ends the others


def _put_encoded(destination: Any, image: Encoded, malloc: Any) -> None:
    """Do what `RGBImageField.encode` does, for an image that is already encoded."""
    destination["mode"], destination["width"], destination["height"] = image.mode, image.width, image.height
    destination["data_ptr"], place = malloc(image.content.nbytes)
    place[:] = image.content


@dataclass(frozen=True)
class _Samples:
    """The samples that FFCV's workers read by index."""

    job: Job

    def __len__(self) -> int:
        return len(self.job.indices)

    def __getitem__(self, position: int) -> tuple[Encoded, int]:
        return self.job.prepared.encoded(self.job.indices[position]), self.job.labels[position]


def _reporter(messages: Any) -> type:
    """Return a replacement for tqdm that sends the progress to the monitoring process."""

    class Reporter:
        def __init__(self, total: int) -> None:
            self.total = total

        def update(self, count: int) -> None:
            messages.put(("written", int(count)))

        def close(self) -> None:
            pass

    return Reporter
