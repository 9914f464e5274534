"""Reading .beton files with FFCV's reader and decoder, image by image.

FFCV's `Loader` is not used: in every process it compiles its pipeline with numba for seconds,
hands out buffers that it overwrites, drops the last batch by default, leaves a thread and
some 13 MB behind for each Loader, reads garbage for an index out of range, and ignores the
decoder's errors. The parts below it, the format, the memory map and the C++ decoder over
libjpeg-turbo and OpenCV, have none of this, start at once and give up Python's lock while
they work. `benchmarks/data.py` compares the two.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ltray.data.originals import Pixels
from ltray.data.sidecar import Sidecar
from ltray.data.storage import JPEG, RAW


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Let FFCV be imported without compiling: 1 instead of 7 CPU seconds, and nothing of it is used."""
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # images are spread over threads, not their rows
    import numba

    before = numba.config.DISABLE_JIT
    numba.config.DISABLE_JIT = 1
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before


with _uncompiled():
    from ffcv.libffcv import ctypes_imdecode, ctypes_resize
    from ffcv.reader import Reader


class BetonFile:
    """The images of a .beton file.

    Args:
        sidecar: Of the file, which must have passed its check: FFCV itself checks nothing.

    Raises:
        RuntimeError: The file does not hold what the sidecar says.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self.path = sidecar.beton
        reader = Reader(str(sidecar.beton))
        image, label = (reader.metadata[name] for name in reader.metadata.dtype.names)
        self.widths: NDArray[np.int64] = image["width"].astype(np.int64)
        self.heights: NDArray[np.int64] = image["height"].astype(np.int64)
        self._modes = image["mode"]
        self._starts: NDArray[np.int64] = image["data_ptr"].astype(np.int64)
        table = np.sort(reader.alloc_table, order="ptr")
        places = np.searchsorted(table["ptr"], image["data_ptr"])
        self._lengths: NDArray[np.int64] = table["size"][np.minimum(places, len(table) - 1)].astype(np.int64)
        stated = np.asarray(sidecar.labels)
        if len(image) != len(stated) or not np.array_equal(label.reshape(-1), stated):
            raise RuntimeError(f"{self.path}: {len(image)} images, or their labels, differ from the sidecar's.")

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def _memory(self) -> NDArray[np.uint8]:
        return np.memmap(self.path, dtype=np.uint8, mode="r")

    def encoded(self, index: int) -> NDArray[np.uint8]:
        """Return an image as it is stored; a view of the file."""
        start = self._starts[index]
        return self._memory[start : start + self._lengths[index]]

    def decode(self, index: int) -> Pixels:
        """Decode an image (H, W, 3); a view of the file where it is stored raw.

        Raises:
            RuntimeError: It is damaged.
        """
        height, width = int(self.heights[index]), int(self.widths[index])
        content = self.encoded(index)
        if self._modes[index] == RAW and len(content) == 3 * height * width:
            return content.reshape(height, width, 3)
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        if self._modes[index] != JPEG or self._decode_jpeg(content, pixels):
            raise RuntimeError(f"{self.path}: image {index} is damaged; convert the data set again.")
        return pixels

    @staticmethod
    def _decode_jpeg(content: NDArray[np.uint8], pixels: Pixels) -> int:
        height, width = pixels.shape[:2]
        failed: int = ctypes_imdecode(
            content.ctypes.data,
            content.size,
            height,
            width,
            pixels.ctypes.data,
            height,
            width,
            0,
            0,
            1,
            1,
            False,
            False,
        )
        return failed


def cut_out(pixels: Pixels, box: tuple[int, int, int, int], target: Pixels) -> None:
    """Resize a part of an image into `target`, by area averaging (OpenCV's INTER_AREA).

    Args:
        pixels: The image (H, W, 3), contiguous.
        box: x1 y1 x2 y2 in pixels, x2 and y2 excluded.
        target: Where to write (h, w, 3), contiguous.
    """
    left, top, right, bottom = box
    height, width = pixels.shape[:2]
    ctypes_resize(0, pixels.ctypes.data, height, width, top, bottom, left, right, target.ctypes.data, *target.shape[:2])
