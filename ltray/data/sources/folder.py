"""Any folder of images: one folder per class, with or without folders for the splits above them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.image_files import SUFFIXES, Contents, images_in, left_in, read_file
from ltray.data.originals import Source
from ltray.data.sources.class_names import by_shown_name, check_known, differing_in_case, natural, some, without_images
from ltray.data.sources.folder_layout import Layout, find_layout, merged_subfolders
from ltray.errors import UsageError
from ltray.quantities import plural


def open_folder(definition: DatasetDefinition) -> Source:
    """Describe a folder of images.

    Raises:
        UsageError: It contains no classes, its splits do not have the same classes, or two are shown identically.
    """
    if not definition.folder:
        raise UsageError(
            f"{definition.name}: `folder` is missing: it is the path of the images; add it, or folder=/your/images."
        )
    root = definition.place
    layout = find_layout(root)
    contents = {pool: _contents(pool, layout) for pool in layout.classes}
    found = {pool: {name: one.images for name, one in by.items() if one.images} for pool, by in contents.items()}
    names = tuple(sorted(found["train"], key=natural))
    if len(names) < 2:
        raise UsageError(
            f"{layout.places['train']}: needs a folder of images for each of at least two classes, but has "
            f"{len(names)}; supported file types: " + " ".join(SUFFIXES)
        )
    others = {pool: classes for pool, classes in found.items() if pool != "train"}
    check_known(names, others, str(root))
    notes = [note for pool, by in contents.items() for note in _left_alone(pool, layout.places[pool], by)]
    merged = {pool: merged_subfolders(classes) for pool, classes in layout.classes.items()}
    notes += [f"{pool}: {note}" for pool, several in merged.items() for note in several]
    return Source(
        class_names=names,
        origin=f"image folder {root}",
        pools={pool: partial(FileOriginals.of_classes, root, classes, names) for pool, classes in found.items()},
        notes=(*layout.notes, *notes, *differing_in_case(names), *without_images(names, others)),
        root=str(root),
        watched=tuple(path for classes in found.values() for name in names for path in classes.get(name, ())),
    )


def _contents(pool: str, layout: Layout) -> dict[str, Contents]:
    """Return the content of the folder of each class, by the class's shown name."""
    folders = dict(layout.classes[pool])
    return {
        name: Contents.of(folders[folder]) for name, folder in by_shown_name(folders, str(layout.places[pool])).items()
    }


def _left_alone(pool: str, place: Path, contents: Mapping[str, Contents]) -> Iterator[str]:
    """Yield what a split's folder contains in addition to images of classes."""
    others: Counter[str] = sum((one.others for one in contents.values()), Counter())
    if others:
        yield f"{pool}: {plural(others.total(), 'file')} of other types ignored: {_kinds(others)}"
    loose = len(images_in(place))
    if loose:
        yield f"{pool}: {plural(loose, 'image')} outside class folders ignored, in {place}"
    empty = [
        f"{name} ({_kinds(one.others) if one.others else 'empty'})" for name, one in contents.items() if not one.images
    ]
    if empty:
        yield f"{pool}: {plural(len(empty), 'folder')} without an image, not used as classes: {some(empty)}"
    left = sorted({*left_in(place), *(name for one in contents.values() for name in one.left)})
    if left:
        yield f"{pool}: ignored, because systems and tools create them: {some(left)}"


def _kinds(others: Counter[str]) -> str:
    return ", ".join(f"{suffix} {count:,}" for suffix, count in others.most_common(10))


@dataclass(frozen=True)
class FileOriginals:
    """Images in separate files.

    Attributes:
        paths: The files, in order.
        labels: Their labels (n,).
    """

    paths: tuple[str, ...]
    labels: NDArray[np.int64]

    @classmethod
    def of_classes(cls, root: Path, classes: dict[str, list[str]], names: tuple[str, ...]) -> "FileOriginals":
        """List the files class by class."""
        counts = [len(classes.get(name, ())) for name in names]
        paths = tuple(path for name in names for path in classes.get(name, ()))
        return cls(paths, np.repeat(np.arange(len(names)), counts))

    def name(self, index: int) -> str:
        """Return the path."""
        return self.paths[index]

    def read(self, index: int) -> bytes:
        """Return the file."""
        return read_file(self.paths[index])

    def place(self, index: int) -> tuple[str, int]:
        """Return the path; each file has one image."""
        return self.paths[index], 0
