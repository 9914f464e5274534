"""Official list files: "path label" lines, DSCL's JSON, iNaturalist's JSON. The images stay in place."""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.source_folder import FileOriginals
from ltray.errors import UsageError


@dataclass(frozen=True)
class ListFile:
    """The content of a list file.

    Attributes:
        path: The file.
        images: Paths relative to the images' folder, in the file's order.
        labels: Their labels, from 0.
        names: Class names in label order, or nothing where the file has none.
    """

    path: Path
    images: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "ListFile":
        """Read a list file; ".json" is JSON, anything else lines.

        Raises:
            UsageError: The file is absent or not of a known format; with its line.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{path}: cannot be read: {error}; list files are looked for here and below `folder`."
            ) from error
        listed = _from_json(path, text) if path.suffix == ".json" else _from_lines(path, text)
        if not listed.images:
            raise UsageError(f"{path}: lists no images.")
        return listed

    def counts(self) -> list[int]:
        """Return the images a class, by label."""
        return [int(count) for count in np.bincount(self.labels)]


def _from_lines(path: Path, text: str) -> ListFile:
    images, labels = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        image, _, label = line.strip().rpartition(" ")  # a path may hold spaces
        if not image or not label.isdigit():
            raise UsageError(f"{path}:{number}: must be `path label`, but is {line[:80]!r}.")
        images.append(image.strip())
        labels.append(int(label))
    return ListFile(path, tuple(images), tuple(labels))


def _from_json(path: Path, text: str) -> ListFile:
    try:
        content = json.loads(text)
        return _inaturalist(path, content) if "images" in content else _with_paths(path, content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: must be iNaturalist's JSON (images, annotations, categories) or a JSON with "
            f"annotations of `fpath` and `category_id`; {type(error).__name__}: {error}."
        ) from error


def _inaturalist(path: Path, content: dict[str, Any]) -> ListFile:
    """Read iNaturalist 2018's form: annotations join images to categories; labels follow the category ids."""
    categories = sorted(content["categories"], key=lambda category: category["id"])
    label = {category["id"]: number for number, category in enumerate(categories)}
    names = tuple(str(category["name"]) for category in categories)
    image = {entry["id"]: entry["file_name"] for entry in content["images"]}
    joined = [(image[note["image_id"]], label[note["category_id"]]) for note in content["annotations"]]
    return ListFile(path, tuple(file for file, _ in joined), tuple(number for _, number in joined), names)


def _with_paths(path: Path, content: dict[str, Any]) -> ListFile:
    """Read DSCL's form: every annotation has its file's path."""
    notes = content["annotations"]
    return ListFile(path, tuple(note["fpath"] for note in notes), tuple(int(note["category_id"]) for note in notes))


def open_lists(definition: DatasetDefinition) -> Source:
    """Describe the images that list files name, below `folder`.

    Raises:
        UsageError: A list cannot be read, lists disagree in classes, or images are missing.
    """
    stated = {"train": definition.train_list, "validation": definition.validation_list, "test": definition.test_list}
    if not stated["train"]:
        raise UsageError(f"{definition.name}: `train_list` must name the list file of the training images.")
    root = definition.place
    lists = {pool: ListFile.read(find_list(root, name)) for pool, name in stated.items() if name}
    names = _class_names(definition, lists)
    for listed in lists.values():
        label, image = max(zip(listed.labels, listed.images, strict=True))
        if label >= len(names):
            raise UsageError(
                f"{listed.path}: {image} has label {label}, but of {len(names)} classes the last is {len(names) - 1}."
            )
    _check_present(root, lists)
    digest = hashlib.sha256(repr(root.resolve()).encode())
    for listed in lists.values():
        digest.update(listed.path.read_bytes())
    return Source(
        class_names=names,
        origin=f"{', '.join(str(listed.path) for listed in lists.values())}; images in {root}",
        fingerprint=digest.hexdigest(),
        pools={pool: partial(_originals, root, listed) for pool, listed in lists.items()},
        root=str(root),
        watched=(
            *(str(listed.path) for listed in lists.values()),
            *((str(find_list(root, definition.class_names)),) if definition.class_names else ()),
            *(os.path.join(root, image) for listed in lists.values() for image in listed.images),
        ),
    )


def find_list(root: Path, name: str) -> Path:
    """Return a list file: as named from here, or below the images' folder."""
    here = Path(name).expanduser()
    return here if here.is_file() or here.is_absolute() else root / name


def reference_counts(definition: DatasetDefinition) -> list[int]:
    """Return the class counts of `reference_list`; none where the definition has no use for it."""
    if definition.imbalance_kind != "power":
        return []
    if not definition.reference_list:
        raise UsageError(f"{definition.name}: `imbalance_kind: power` needs a `reference_list`.")
    return ListFile.read(find_list(definition.place, definition.reference_list)).counts()


def _originals(root: Path, listed: ListFile) -> FileOriginals:
    paths = tuple(os.path.join(root, image) for image in listed.images)
    return FileOriginals(paths, np.array(listed.labels, dtype=np.int64))


def _class_names(definition: DatasetDefinition, lists: dict[str, ListFile]) -> tuple[str, ...]:
    """Return names from `class_names`, the lists, or the folders of the training images."""
    train = lists["train"]
    classes = max(max(listed.labels) for listed in lists.values()) + 1
    if definition.class_names:
        file = find_list(definition.place, definition.class_names)
        try:
            return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
        except OSError as error:
            raise UsageError(f"`class_names: {file}` cannot be read: {error}.") from error
    if train.names:
        return train.names
    folders: dict[int, set[str]] = {}
    for image, label in zip(train.images, train.labels, strict=True):
        folders.setdefault(label, set()).add(os.path.basename(os.path.dirname(image)))
    if len(folders) == classes and all(len(one) == 1 for one in folders.values()):
        return tuple(folders[label].pop() for label in range(classes))
    return tuple(str(label) for label in range(classes))


def _check_present(root: Path, lists: dict[str, ListFile]) -> None:
    """Look for the first images of each list, so that a wrong `folder` is told at once."""
    for listed in lists.values():
        if not any((root / image).is_file() for image in listed.images[:5]):
            raise UsageError(
                f"{listed.path} names {listed.images[0]}, but {root / listed.images[0]} does not exist; "
                "set `folder` to what the list's paths are relative to."
            )
