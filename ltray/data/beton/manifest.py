"""The JSON file next to every .beton: a description of its content, and a check that it is unchanged.

FFCV does not check its files: a truncated allocation table crashes the process, a damaged pixel is read
without an error. Therefore a file is compared with its sidecar before it is opened.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ltray.errors import UsageError
from ltray.files import atomic_write, digest_of

FORMAT = 2
ENDS = 1 << 16  # bytes at either end that the fast check reads: header and allocation table


@dataclass(frozen=True)
class Sidecar:
    """The description of one .beton file.

    Attributes:
        beton: The file; not part of the JSON, which is next to it.
        pool: "train", "test", ….
        class_names: Names in label order.
        counts: Images of each class.
        labels: Label of every image, in the file's order.
        image_sizes: Smallest and largest (width, height).
        mean: Pixel mean of each channel, on a scale of 0 to 1.
        std: Pixel standard deviation of each channel, of 1.
        origin: Where the originals came from, as text.
        fingerprint: Of the originals' names, labels and contents, all pools together; see `inventory`.
        options: How the images are stored.
        skipped: Number of originals that could not be used.
        content: SHA-256 of all encoded images, in the file's order.
        versions: Versions of the libraries that wrote the file.
        bytes: Length of the file.
        ends: SHA-256 of the first and last 64 KiB.
        sha256: SHA-256 of the complete file.
    """

    beton: Path
    pool: str
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    labels: tuple[int, ...]
    image_sizes: tuple[tuple[int, int], tuple[int, int]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    origin: str
    fingerprint: str
    options: Mapping[str, Any]
    skipped: int
    content: str
    versions: Mapping[str, str]
    bytes: int
    ends: str
    sha256: str

    def write(self) -> None:
        """Write the JSON next to the .beton."""
        known = {"format": FORMAT} | {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del known["beton"]
        atomic_write(sidecar_path(self.beton), json.dumps(known) + "\n")

    @classmethod
    def read(cls, beton: Path) -> Self:
        """Read the sidecar of a .beton file.

        Raises:
            UsageError: It is missing, damaged or of another format.
        """
        path = sidecar_path(beton)
        cure = "convert the data set again"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if known.pop("format") != FORMAT:
                raise UsageError(f"{path}: written by another version of ltray; {cure}.")
            for name in ("class_names", "counts", "labels", "mean", "std"):
                known[name] = tuple(known[name])
            known["image_sizes"] = tuple(map(tuple, known["image_sizes"]))
            return cls(beton=beton, **known)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{path}: not a readable sidecar ({error}); {cure}.") from error

    def check(self, *, whole: bool = False) -> None:
        """Compare the .beton with the file that was written.

        Args:
            whole: Whether to read the complete file; else only size, header and allocation table.

        Raises:
            UsageError: The file is missing, truncated, damaged or another file.
        """
        cure = "delete it and convert the data set again"
        try:
            size = self.beton.stat().st_size
            if size != self.bytes:
                raise UsageError(f"{self.beton}: has {size:,} bytes instead of {self.bytes:,}; {cure}.")
            if digest_of_ends(self.beton) != self.ends or (whole and digest_of(self.beton) != self.sha256):
                raise UsageError(f"{self.beton}: damaged, its digest differs from the one in its sidecar; {cure}.")
        except OSError as error:
            raise UsageError(f"{self.beton}: cannot be read ({error}); {cure}.") from error


def sidecar_path(beton: Path) -> Path:
    """Return the path of the sidecar of a .beton file."""
    return beton.with_suffix(".json")


def digest_of_ends(file: Path) -> str:
    """Return the SHA-256 of a file's first and last 64 KiB."""
    with file.open("rb") as opened:
        head = opened.read(ENDS)
        opened.seek(max(0, file.stat().st_size - ENDS))
        return hashlib.sha256(head + opened.read(ENDS)).hexdigest()
