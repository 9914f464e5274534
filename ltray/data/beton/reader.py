"""Reading .beton files, FFCV's format, with FFCV's own decoder, image by image.

FFCV's `Loader` is not used: in every process it compiles its pipeline with numba for seconds,
returns buffers that it overwrites later, drops the last batch by default, does not release a
thread and some 13 MB of each Loader, reads wrong pixels for an index out of range, and ignores
the decoder's errors. The lower layers do not have these problems: a format of four tables, a
memory map, and a C++ library that uses libjpeg-turbo and OpenCV, starts immediately and releases
Python's global lock while it runs. `benchmarks/data.py` compares the two.
"""

import ctypes
import functools
import importlib.util
import os
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray.data.beton.manifest import Sidecar
from ltray.data.encoding import JPEG, RAW
from ltray.data.originals import Pixels
from ltray.errors import UsageError

VERSION = 2  # of the format; FFCV 1.0
FIELDS = [2, 1]  # FFCV's type numbers of an RGB image and an integer, the fields of ltray's files
HEADER = np.dtype(
    [("version", "<u2"), ("fields", "<u2"), ("page", "<u4"), ("samples", "<u8"), ("table", "<u8")], align=True
)
FIELD = np.dtype([("type", "<u1"), ("name", "<u1", 16), ("arguments", "<u1", 1024)], align=True)
IMAGE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("start", "<u8")])
SAMPLE = np.dtype([("image", IMAGE), ("label", "<i8")], align=True)
ALLOCATION = np.dtype([("sample", "<u8"), ("start", "<u8"), ("length", "<u8")])
REMEDY = (
    "Install a C++ compiler, pkg-config, OpenCV and libturbojpeg, then compile it with "
    "`pip install --force-reinstall --no-cache-dir --no-deps ffcv`; in a checkout, `make setup` does all of this."
)


@functools.cache
def library() -> ctypes.CDLL:
    """Load FFCV's C++ library without FFCV's Python package and the imports of that package.

    Raises:
        UsageError: FFCV is not installed, or a library that it was compiled with is missing.
    """
    package = importlib.util.find_spec("ffcv")
    places = package.submodule_search_locations if package else None
    files = [file for place in places or () for file in Path(place).glob("_libffcv*")]
    if not files:
        raise UsageError(f"FFCV, which converts and reads images, is not installed. {REMEDY}")
    os.environ.setdefault(
        "OPENCV_FOR_THREADS_NUM", "1"
    )  # threads work on different images, not on the rows of one image
    try:
        loaded = ctypes.CDLL(str(files[0]))
    except OSError as error:  # OpenCV was removed or replaced after FFCV was compiled
        raise UsageError(f"FFCV, which converts and reads images, cannot be loaded: {error}. {REMEDY}") from error
    pointer, number, flag = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_bool
    loaded.imdecode.argtypes = [pointer, ctypes.c_uint64, number, number, pointer, *[number] * 6, flag, flag]
    return loaded


def decode_jpeg(content: NDArray[np.uint8], pixels: Pixels) -> bool:
    """Decode a JPEG into `pixels` (H, W, 3) of its size; False if libjpeg reports an error or a warning."""
    height, width = pixels.shape[:2]
    source = content.ctypes.data, content.size, height, width
    failed: int = library().imdecode(*source, pixels.ctypes.data, height, width, 0, 0, 1, 1, False, False)
    return failed == 0


class BetonFile:
    """The images of a .beton file.

    Args:
        sidecar: The sidecar of the file, which must have passed its check.

    Raises:
        RuntimeError: The file's content differs from the sidecar.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self.path = sidecar.beton
        library()
        header = np.fromfile(self.path, HEADER, 1)[0]
        fields = np.fromfile(self.path, FIELD, int(header["fields"]), offset=HEADER.itemsize)
        if header["version"] != VERSION or fields["type"].tolist() != FIELDS:
            raise RuntimeError(f"{self.path}: not a .beton file of images and labels; convert the data set again.")
        start = HEADER.itemsize + fields.nbytes
        samples = np.fromfile(self.path, SAMPLE, int(header["samples"]), offset=start)
        table = np.sort(np.fromfile(self.path, ALLOCATION, offset=int(header["table"])), order="start")
        image = samples["image"]
        self.widths: NDArray[np.int64] = image["width"].astype(np.int64)
        self.heights: NDArray[np.int64] = image["height"].astype(np.int64)
        self._modes = image["mode"]
        self._starts: NDArray[np.int64] = image["start"].astype(np.int64)
        places = np.minimum(np.searchsorted(table["start"], image["start"]), len(table) - 1)
        self._lengths: NDArray[np.int64] = table["length"][places].astype(np.int64)
        sound = np.array_equal(table["start"][places], image["start"])
        if not sound or not np.array_equal(samples["label"], np.asarray(sidecar.labels)):
            raise RuntimeError(
                f"{self.path}: its images or labels differ from the sidecar; convert the data set again."
            )

    def __len__(self) -> int:
        return len(self._starts)

    @cached_property
    def _memory(self) -> NDArray[np.uint8]:
        return np.memmap(self.path, dtype=np.uint8, mode="r")

    def encoded(self, index: int) -> NDArray[np.uint8]:
        """Return an image in its stored form, a view of the file."""
        start = self._starts[index]
        return self._memory[start : start + self._lengths[index]]

    def decode(self, index: int) -> Pixels:
        """Decode an image (H, W, 3); the result is a view of the file if the image is stored raw.

        Raises:
            RuntimeError: It is damaged.
        """
        height, width = int(self.heights[index]), int(self.widths[index])
        content = self.encoded(index)
        if self._modes[index] == RAW and len(content) == 3 * height * width:
            return content.reshape(height, width, 3)
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        if self._modes[index] != JPEG or not decode_jpeg(content, pixels):
            raise RuntimeError(f"{self.path}: image {index} is damaged; convert the data set again.")
        return pixels
