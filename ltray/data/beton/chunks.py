"""Images prepared for a .beton, in small separate files from which a killed conversion continues."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray.files import atomic_write

CHUNK = 256  # images per file
PARTS = ("bin", "json", "npy")  # files of a chunk: encodings, sentences, rows
ROW = np.dtype(
    [
        ("width", "<i4"),  # 0: unusable
        ("height", "<i4"),
        ("mode", "<i4"),
        ("offset", "<i8"),  # position of the encoded image in the chunk's file
        ("length", "<i8"),
        ("total", "<f8", 3),  # sums over the stored pixels, on a scale of 0 to 1
        ("squares", "<f8", 3),
        ("digest", "V16"),  # of the stored pixels
        ("original", "V16"),  # of the original; zeros if it could not be read
    ]
)
Rows = NDArray[np.void]
Three = tuple[float, float, float]
Size = tuple[int, int]


@dataclass(frozen=True)
class Encoded:
    """An encoded image.

    Attributes:
        content: Its bytes (n,), uint8.
        width: In pixels.
        height: In pixels.
        mode: `storage.RAW` or `storage.JPEG`.
    """

    content: NDArray[np.uint8]
    width: int
    height: int
    mode: int


@dataclass(frozen=True)
class Prepared:
    """The prepared images of one pool.

    Attributes:
        folder: The folder of the chunk files.
        count: Number of images, usable or not.
    """

    folder: Path
    count: int

    def chunks(self) -> list[range]:
        """Return the images of each chunk."""
        return [range(start, min(start + CHUNK, self.count)) for start in range(0, self.count, CHUNK)]

    def missing(self) -> list[range]:
        """Return the chunks to prepare: those that are incomplete, and those with unusable images."""
        return [chunk for chunk in self.chunks() if not self._is_complete(chunk) or self._messages(chunk, "bad")]

    def _is_complete(self, chunk: range) -> bool:
        """Return whether a chunk's files exist and are unchanged."""
        try:
            return self._path(chunk, "sha256").read_text(encoding="ascii") == self._digest(chunk)
        except (OSError, ValueError):
            return False

    def _digest(self, chunk: range) -> str:
        found = hashlib.sha256()
        for suffix in PARTS:
            found.update(self._path(chunk, suffix).read_bytes())
        return found.hexdigest()

    def put(self, chunk: range, rows: Rows, *, content: bytes, messages: Mapping[str, Mapping[int, str]]) -> None:
        """Write a chunk; its digest is written last and marks it as complete.

        Args:
            chunk: Indices of the images.
            rows: One `ROW` per image.
            content: The encoded images, one after the other.
            messages: Texts by index, under "bad" (why an image is unusable) and "notes" (how it was changed).
        """
        self._path(chunk, "sha256").unlink(missing_ok=True)
        for suffix, written in (("bin", content), ("json", json.dumps(messages).encode())):
            self._path(chunk, suffix).write_bytes(written)
        with self._path(chunk, "npy").open("wb") as file:
            np.save(file, rows)
        atomic_write(self._path(chunk, "sha256"), self._digest(chunk))

    @functools.cached_property
    def rows(self) -> Rows:
        """One `ROW` per image (count,)."""
        parts = [np.load(self._path(chunk, "npy"), allow_pickle=False) for chunk in self.chunks()]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=ROW)

    @property
    def good(self) -> NDArray[np.int64]:
        """Indices of the usable images."""
        return np.flatnonzero(self.rows["width"] > 0)

    def bad(self) -> dict[int, str]:
        """Return the reason why each unusable image cannot be used, by index."""
        return dict(self._all_messages("bad"))

    def notes(self) -> dict[int, str]:
        """Return the changes of the images, by index."""
        return dict(self._all_messages("notes"))

    def _all_messages(self, kind: str) -> Iterator[tuple[int, str]]:
        for chunk in self.chunks():
            yield from self._messages(chunk, kind).items()

    def _messages(self, chunk: range, kind: str) -> dict[int, str]:
        messages = json.loads(self._path(chunk, "json").read_bytes())[kind]
        return {int(index): text for index, text in messages.items()}

    def encoded(self, index: int) -> Encoded:
        """Return one prepared image.

        Raises:
            OSError: The chunk's file was truncated.
        """
        row = self.rows[index]
        start, end = int(row["offset"]), int(row["offset"] + row["length"])
        file = self.folder / f"{index // CHUNK:06d}.bin"
        content = _bytes_of(file)[start:end]
        if len(content) != end - start:
            raise OSError(f"{file} was truncated")
        return Encoded(content, int(row["width"]), int(row["height"]), int(row["mode"]))

    def _path(self, chunk: range, suffix: str) -> Path:
        return self.folder / f"{chunk.start // CHUNK:06d}.{suffix}"

    def statistics(self) -> tuple[Three, Three]:
        """Return mean and standard deviation of the stored pixels of each channel, on a scale of 0 to 1."""
        rows = self.rows[self.good]
        pixels = float((rows["width"].astype(np.float64) * rows["height"]).sum())
        mean = rows["total"].sum(axis=0) / pixels
        deviation = np.sqrt(np.maximum(rows["squares"].sum(axis=0) / pixels - mean**2, 0.0))
        return _three(mean), _three(deviation)

    def sizes(self) -> tuple[Size, Size]:
        """Return the stored (width, height) with the fewest and with the most pixels."""
        rows = self.rows[self.good]
        area = rows["width"].astype(np.int64) * rows["height"]
        smallest, largest = (rows[place] for place in (area.argmin(), area.argmax()))
        return _size(smallest), _size(largest)

    def bytes(self) -> int:
        """Return the bytes of all encodings."""
        return int(self.rows["length"].sum())


@functools.lru_cache(maxsize=4)
def _bytes_of(file: Path) -> NDArray[np.uint8]:
    return np.fromfile(file, dtype=np.uint8)


def _size(row: np.void) -> Size:
    return int(row["width"]), int(row["height"])


def _three(values: NDArray[np.float64]) -> Three:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue
