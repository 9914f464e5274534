"""Read, check, fit and encode every original once, in parallel, with the memory of a few images."""

import dataclasses
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.queues import Queue

import numpy as np

from ltray.data.beton.chunks import ROW, Prepared
from ltray.data.beton.inventory import DIGEST, digest_of_original
from ltray.data.beton.parent_watch import follow
from ltray.data.beton.reader import decode_jpeg
from ltray.data.decoding import Decoded, decode
from ltray.data.encoding import Storage, Stored
from ltray.data.originals import Originals, Pixels
from ltray.errors import UsageError
from ltray.files import reason

Opener = Callable[[], Originals]


def prepare(
    opener: Opener, prepared: Prepared, *, storage: Storage, workers: int, advance: Callable[[int], None]
) -> None:
    """Prepare the missing chunks; images that cannot be used are recorded and raise no exception.

    Args:
        opener: Opens the originals, once in each process; picklable.
        prepared: The chunks to write.
        storage: How images are stored.
        workers: Number of processes; 1: this process.
        advance: Called with the number of further images done.

    Raises:
        UsageError: A process crashed while it read an image.
    """
    chunks = prepared.missing()
    advance(prepared.count - sum(map(len, chunks)))
    if workers == 1 or len(chunks) < 2:
        task = _Task(opener(), prepared, storage)
        for chunk in chunks:
            task.run(chunk)
            advance(len(chunk))
        return
    context = multiprocessing.get_context("spawn")
    # Not passed as arguments: they may be larger than a pipe's buffer (the names of some thousand images), and this
    # process would wait forever for a worker that is killed before it has read them. A queue waits in a thread.
    openers = context.Queue()
    for _ in range(workers):
        openers.put(opener)
    begin = (openers, prepared, storage, os.getpid())
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=begin) as pool:
            try:
                _run_all(pool, chunks, advance=advance, ahead=2 * workers)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        openers.cancel_join_thread()
        openers.close()


def _run_all(pool: ProcessPoolExecutor, chunks: list[range], *, advance: Callable[[int], None], ahead: int) -> None:
    waiting = list(reversed(chunks))
    running: dict[Future[None], range] = {}
    while waiting or running:
        try:
            while waiting and len(running) < ahead:
                running[_submitted(pool, waiting[-1])] = waiting[-1]
                waiting.pop()
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                advance(len(running.pop(future)))
        except BrokenProcessPool as error:
            among = sorted([*running.values(), *waiting[-1:]], key=lambda one: one.start)
            raise UsageError(
                f"A process crashed while it read images {among[0].start} to {among[-1].stop - 1}. A likely cause is "
                "too little memory."
            ) from error


def _submitted(pool: ProcessPoolExecutor, chunk: range) -> Future[None]:
    try:
        return pool.submit(_run_here, chunk)
    except (OSError, ValueError):
        # Perhaps the pool failed while this call started another process, and closed the pipes that it wanted to hand
        # down: the numbers of closed files, or of other files since then, raise whatever they happen to. A failed pool
        # says so at the next call.
        pool.submit(_nothing)
        raise


def _nothing() -> None:
    pass


_here: list["_Task"] = []  # the task of a worker process


def _begin(openers: "Queue[Opener]", prepared: Prepared, storage: Storage, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C for all processes
    follow(parent)
    _here.append(_Task(openers.get()(), prepared, storage))


def _run_here(chunk: range) -> None:
    _here[0].run(chunk)


@dataclass(frozen=True)
class _Task:
    originals: Originals
    prepared: Prepared
    storage: Storage

    def run(self, chunk: range) -> None:
        """Prepare one chunk."""
        rows = np.zeros(len(chunk), dtype=ROW)
        contents: list[bytes] = []
        bad: dict[int, str] = {}
        notes: dict[int, str] = {}
        for place, index in enumerate(chunk):
            try:
                content = self.originals.read(index)
                original = digest_of_original(content)
                rows["original"][place] = np.frombuffer(original, dtype=DIGEST)[0]
                image = decode(content, longest=self.storage.cap)
                stored = self.storage.store(image if _decodes(image) else dataclasses.replace(image, jpeg=None))
            except Exception as error:  # a decoder may raise any exception; all are reported
                bad[index] = f"{self.originals.name(index)}: {reason(error)}"
                continue
            rows[place] = (*_row(stored, offset=sum(map(len, contents))), original)
            contents.append(stored.content)
            if image.notes:
                notes[index] = ", ".join(image.notes)
        self.prepared.put(chunk, rows, content=b"".join(contents), messages={"bad": bad, "notes": notes})


def _decodes(image: Decoded) -> bool:
    """Return whether FFCV's decoder reads a JPEG without a warning; Pillow does not detect all damage."""
    if image.jpeg is None:
        return True
    content = np.frombuffer(image.jpeg, dtype=np.uint8)
    return decode_jpeg(content, np.empty_like(image.pixels))


def _row(stored: Stored, *, offset: int) -> tuple[object, ...]:
    height, width = stored.pixels.shape[:2]
    total, squares = _sums(stored.pixels)
    return width, height, stored.mode, offset, len(stored.content), total, squares, pixel_digest(stored.pixels)


def _sums(pixels: Pixels) -> tuple[list[float], list[float]]:
    """Return the sums of values and squared values of each channel, on a scale of 0 to 1, from histograms."""
    values = np.arange(256) / 255.0
    counts = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
    return [float(count @ values) for count in counts], [float(count @ values**2) for count in counts]


def pixel_digest(pixels: Pixels) -> bytes:
    """Return a digest of 16 bytes of an image's pixels."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()[:16]
