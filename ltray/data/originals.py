"""The original images of a data set, before any conversion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""One image (H, W, 3), red, green, blue."""


class Originals(Protocol):
    """The images of one pool ("train", "test", …) in a fixed order."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image (n,)."""
        ...

    def name(self, index: int) -> str:
        """Return the image's name for a user: a path, or a file and row."""
        ...

    def read(self, index: int) -> bytes | Pixels:
        """Return the image's file, or its pixels if it has no file.

        Raises:
            OSError: It cannot be read.
        """
        ...

    def place(self, index: int) -> tuple[str, int]:
        """Return the file that contains the image, and its number in the file, from 0."""
        ...


@dataclass(frozen=True)
class Source:
    """A data set in its original folder and form.

    Attributes:
        class_names: Names in label order.
        origin: Its source, as text, for messages and sidecars.
        pools: Functions that open each pool; nothing is read before. Picklable.
        notes: Findings in addition to the images, for the report.
        root: The folder to which paths are relative in a conversion's record.
        watched: All files from which images, labels or names are read.
    """

    class_names: tuple[str, ...]
    origin: str
    pools: Mapping[str, Callable[[], Originals]]
    notes: tuple[str, ...] = ()
    root: str = ""
    watched: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArrayOriginals:
    """Images that are already decoded.

    Attributes:
        pixels: All images (n, H, W, 3).
        labels: Their labels (n,).
        title: The beginning of `name`.
        file: The file from which they were read.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    title: str
    file: str = ""

    def name(self, index: int) -> str:
        """Return the title and the image's number."""
        return f"{self.title}, image {index}"

    def read(self, index: int) -> Pixels:
        """Return one image's pixels."""
        pixels: Pixels = self.pixels[index]
        return pixels

    def place(self, index: int) -> tuple[str, int]:
        """Return the file of all images, and the image's number."""
        return self.file, index


@dataclass(frozen=True)
class SomeOriginals:
    """Some of a pool's images, in its order.

    Attributes:
        all: The pool.
        kept: Positions of the images in it (n,).
    """

    all: Originals
    kept: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Label of each image (n,)."""
        return self.all.labels[self.kept]

    def name(self, index: int) -> str:
        """Return the pool's name of an image."""
        return self.all.name(int(self.kept[index]))

    def read(self, index: int) -> bytes | Pixels:
        """Return an image's file, or its pixels."""
        return self.all.read(int(self.kept[index]))

    def place(self, index: int) -> tuple[str, int]:
        """Return the file that contains an image, and its number in the file."""
        return self.all.place(int(self.kept[index]))
