"""Any folder of images: a folder a class, with or without folders for the splits above them."""

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.findings import counted
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
    if not definition.folder:
        raise UsageError(f"{definition.name}: `folder` must say where the images are; add it, or folder=/your/images.")
    root = definition.place
    places = split_folders(root)
    found = {pool: _by_class(place) for pool, place in places.items()}
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
        notes=tuple(note for pool, place in places.items() for note in _left_alone(pool, place)),
    )


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; without split folders everything is "train".

    A single folder beside train is the test set, whatever its name: as in ImageNet, whose
    "val" is what papers report. Validation images are then cut from train.

    Raises:
        UsageError: No folder, or splits without a training part.
    """
    if not root.is_dir():
        raise UsageError(f"`folder: {root}` is not a folder on this machine; say where the images are: folder=/path.")
    here = {place.name.lower(): place for place in _folders(root)}
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
    found = {folder.name: [path for path in _files(folder) if _is_image(path)] for folder in _folders(place)}
    return {name: sorted((path, _size(path)) for path in paths) for name, paths in found.items() if paths}


def _folders(place: Path) -> list[Path]:
    """Return the folders in a folder by name, without hidden ones.

    Raises:
        UsageError: It may not be read.
    """
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise _unreadable(error) from error


def _files(folder: Path) -> Iterator[str]:
    """Yield the files below a folder, also behind links to folders, each folder once."""
    seen = set()
    for here, below, names in os.walk(folder, followlinks=True, onerror=_refuse):
        place = os.path.realpath(here)
        if place in seen:  # a link in a circle
            below.clear()
            continue
        seen.add(place)
        below.sort()
        yield from (os.path.join(here, name) for name in sorted(names) if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> UsageError:
    return UsageError(
        f"{error.filename}: cannot be read: {error.strerror}; it may hold images, so mend its permissions."
    )


def _is_image(path: str) -> bool:
    return path.lower().endswith(SUFFIXES)


def _size(path: str) -> int:
    """Return the bytes of a file; −1 for one that only a report can tell of, such as a dead link."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _left_alone(pool: str, place: Path) -> Iterator[str]:
    """Yield what a split's folder holds besides images in class folders."""
    others = Counter(
        os.path.splitext(path)[1].lower() or "without a suffix"
        for folder in _folders(place)
        for path in _files(folder)
        if not _is_image(path)
    )
    if others:
        kinds = ", ".join(f"{suffix} {count:,}" for suffix, count in others.most_common(10))
        yield f"{pool}: {counted(others.total(), 'file')} of other kinds left alone: {kinds}"
    loose = sum(_is_image(path.name) and path.is_file() for path in place.iterdir())
    if loose:
        yield f"{pool}: {counted(loose, 'image')} outside class folders left alone, in {place}"


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
        path = Path(self.paths[index])
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise OSError("not a file")
        return path.read_bytes()
