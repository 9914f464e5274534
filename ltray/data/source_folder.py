"""Any folder of images: a folder a class, with or without folders for the splits above them."""

import hashlib
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.errors import UsageError

SPLITS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")


def open_folder(definition: DatasetDefinition) -> Source:
    """Describe a folder of images.

    Raises:
        UsageError: It holds no classes, or its splits do not have the same ones.
    """
    root = Path(definition.folder)
    found = {pool: _by_class(place) for pool, place in split_folders(root).items()}
    names = tuple(sorted(found["train"], key=_natural))
    if len(names) < 2:
        raise UsageError(
            f"{root}: needs a folder of images for each of at least two classes, but has {len(names)}; "
            "files of these kinds count: " + " ".join(SUFFIXES)
        )
    for pool, classes in found.items():
        strangers = sorted(set(classes) - set(names))
        if strangers:
            raise UsageError(f"{root}: {pool} has classes that train has not: {', '.join(strangers[:5])}.")
    listing = [
        (pool, name, file) for pool, classes in found.items() for name in names for file in classes.get(name, ())
    ]
    return Source(
        class_names=names,
        origin=f"image folder {root}",
        fingerprint=hashlib.sha256(repr(listing).encode()).hexdigest(),
        pools={pool: partial(FileOriginals.of_classes, root, classes, names) for pool, classes in found.items()},
    )


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; without split folders everything is "train".

    A single folder beside train is the test set, whatever its name: as in ImageNet, whose
    "val" is what papers report. Validation images are then cut from train.

    Raises:
        UsageError: No folder, or splits without a training part.
    """
    if not root.is_dir():
        raise UsageError(f"`folder: {root}` is not a folder.")
    here = {entry.name.lower(): Path(entry.path) for entry in os.scandir(root) if entry.is_dir()}
    found = {pool: here[name] for pool, names in SPLITS.items() for name in names if name in here}
    if not found:
        return {"train": root}
    if "train" not in found:
        raise UsageError(f"{root}: has {', '.join(place.name for place in found.values())}, but no train folder.")
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    return found


def _by_class(place: Path) -> dict[str, list[tuple[str, int]]]:
    """Return (path, size in bytes) of the images of each class folder, at any depth, sorted."""
    classes: dict[str, list[tuple[str, int]]] = {}
    for entry in sorted(os.scandir(place), key=lambda one: one.name):
        if entry.is_dir() and not entry.name.startswith("."):
            files = sorted(_images(Path(entry.path)))
            if files:
                classes[entry.name] = files
    return classes


def _images(folder: Path) -> list[tuple[str, int]]:
    found = []
    for here, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = os.path.join(here, name)
                found.append((path, os.stat(path).st_size))
    return found


def _natural(name: str) -> tuple[int, int, str]:
    """Sort "2" before "10" where classes are numbered, else by name."""
    return (0, int(name), "") if name.isdigit() else (1, 0, name)


@dataclass(frozen=True)
class FileOriginals:
    """Images in files of their own.

    Attributes:
        paths: The files, in order.
        labels: Their labels (n,).
    """

    paths: tuple[str, ...]
    labels: NDArray[np.int64]

    @classmethod
    def of_classes(
        cls, root: Path, classes: dict[str, list[tuple[str, int]]], names: tuple[str, ...]
    ) -> "FileOriginals":
        """List the files class by class."""
        counts = [len(classes.get(name, ())) for name in names]
        paths = tuple(path for name in names for path, _ in classes.get(name, ()))
        return cls(paths, np.repeat(np.arange(len(names)), counts))

    def name(self, index: int) -> str:
        """Return the path."""
        return self.paths[index]

    def read(self, index: int) -> bytes:
        """Return the file."""
        return Path(self.paths[index]).read_bytes()
