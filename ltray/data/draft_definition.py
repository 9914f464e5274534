"""Draft of a data-set file for a user's images, from an inspection of them."""

import io
import json
import os
import re
import shlex
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.ownership import MARK, Ownership
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.data.sources.forms import LISTS, find_form
from ltray.data.sources.lists import reference_counts
from ltray.data.sources.registry import open_source
from ltray.data.splits import Splits, cut
from ltray.errors import UsageError
from ltray.files import atomic_write, is_there
from ltray.long_tail import LongTail
from ltray.printable import printable
from ltray.settings import plain

LOOKED_AT = 200  # number of images whose size determines the resolution
SIDES = ((48, 32), (96, 64))  # median shorter side up to which a view has this side; above, 224
LARGE = 224
Fields = dict[str, tuple[Any, str]]
"""Value and comment of each line of a data-set file."""


KNOWN = ("folder", "store")  # settings that follow from the place of the images
QUOTED = ("name", "folder", "train_list", "validation_list", "test_list", "class_names", "store")
ORIGINALS = (
    *("source", "folder", "train_list", "validation_list", "test_list", "class_names"),
    *("image_column", "label_column", "split_column"),
)


@dataclass(frozen=True)
class Draft:
    """A data set before its conversion.

    Attributes:
        given: The folder or file of the images, as the user typed it.
        definition: The definition that follows from it.
        why: The form that was found, as a sentence.
        file: The path of the data-set file to write.
    """

    given: Path
    definition: DatasetDefinition
    why: str
    file: Path


def draft(given: Path, settings: Mapping[str, Any]) -> Draft:
    """Return the definition that follows from a user's images before they are converted.

    Args:
        given: A folder, table, zip file or Parquet file.
        settings: The values that the user sets.

    Raises:
        UsageError: It contains no images that could be a data set, a setting is unknown or illegal, or the data-set
            file would replace the file of another data set.
    """
    for key in settings:
        DatasetDefinition.check_name(key)
        if key in KNOWN:
            raise UsageError(f"`{key}` has no effect with a folder of images; write it into a data-set file.")
    if settings.get("source", "folder") != "folder" and "train_list" not in settings:
        raise UsageError(
            "`source` has no effect with a folder of images, except `source=folder`, which ignores tables in it; write "
            "another source into a data-set file."
        )
    settings = {key: _from_here(given, value) if key in LISTS else value for key, value in settings.items()}
    form = find_form(given, settings)
    name = given.resolve().name
    known: dict[str, Any] = {"name": _slug(name if given.is_dir() else Path(name).stem), **form.fields}
    known |= {
        "protocol": "paper",
        "image_size": LARGE,
    }  # until the images are inspected: some settings need large images
    first = DatasetDefinition(**(known | settings))
    file = Path.cwd() / f"{first.name}.yaml"
    _check_free(file, first)
    if "image_size" not in settings:
        first = first.replace(image_size=_side(open_source(first).pools["train"]()))
    return Draft(given, first, form.why, file)


def _from_here(given: Path, value: Any) -> Any:
    """Return the full path of a list that is in the working directory or below the given folder."""
    if not isinstance(value, str) or not value:
        return value
    places = (Path.cwd() / value, given.resolve() / value)
    return next((str(place) for place in places if place.is_file()), value)


def _check_free(file: Path, definition: DatasetDefinition) -> None:
    """Raise UsageError if the data-set file would replace a file of another data set, or any other file."""
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise UsageError(
            f"{printable(file.parent)}: cannot be written to, but the data-set file is written into the current "
            "folder; run the command in another folder."
        )
    if not os.path.lexists(file):
        return
    try:
        same = DatasetDefinition.read(file).identity() == definition.identity()
    except UsageError:
        same = False
    if not same:
        raise UsageError(
            f"{printable(file)}: exists, and is not a data-set file of these images; move it, or give this data set "
            "another name (`name=`)."
        )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"


def _side(originals: Originals) -> int:
    """Return the side of a view that suits the images' median shorter side."""
    count = len(originals.labels)
    found = []
    for index in range(0, count, max(1, count // LOOKED_AT)):
        try:
            with Image.open(_opened(originals, index)) as image:
                found.append(min(image.size))
        except OSError:
            continue  # reported with all others when the folder is converted
    median = statistics.median(found) if found else LARGE
    return next((side for limit, side in SIDES if median <= limit), LARGE)


def _opened(originals: Originals, index: int) -> str | io.BytesIO:
    """Return an image's file: its path, to read only its header, or its content if it is part of another file."""
    name = originals.name(index)
    if os.path.isfile(name):
        return name
    content = originals.read(index)
    return io.BytesIO(content) if isinstance(content, bytes) else io.BytesIO()


def write(draft: Draft, sidecars: Mapping[str, Sidecar], settings: Mapping[str, Any]) -> tuple[Path, bool]:
    """Write the data-set file, ready for train and tune, into the current folder; an edited file is kept.

    Args:
        draft: The result of `draft`.
        sidecars: Of the converted pools.
        settings: The values that the user sets.

    Returns:
        The file, and whether it was written.

    Raises:
        UsageError: The settings contradict the folder's content.
    """
    explicit = {key: value for key, value in settings.items() if key not in ORIGINALS}
    fields = _suggested(draft.definition, sidecars) | {key: (plain(value), "") for key, value in explicit.items()}
    final = DatasetDefinition(**{key: value for key, (value, _) in fields.items()})
    folder = sidecars["train"].beton.parent
    own = Ownership.of(folder)
    for file in (draft.file, folder / draft.file.name):  # earlier versions wrote it next to the .beton files
        if own.was_edited(file) and not _of_another_conversion(file, folder):
            return file, False
    atomic_write(draft.file, "\n".join([*_heading(draft.given, final, sidecars), *_lines(fields)]) + "\n")
    own.wrote(draft.file)
    return draft.file, True


def _of_another_conversion(file: Path, folder: Path) -> bool:
    """Return whether a data-set file belongs to a conversion in another folder, such as another size, and is unchanged.

    Raises:
        UsageError: It belongs to another conversion and was changed.
    """
    store = Path(DatasetDefinition.read(file).store)
    if not store.is_absolute() or store.resolve() == folder.resolve():
        return False
    if is_there(store / MARK) and not Ownership.of(store).was_edited(file):
        return True
    raise UsageError(
        f"{printable(file)}: contains your changes and belongs to another conversion of these images, "
        f"{printable(store)}; move it, then run the same command again."
    )


def _heading(given: Path, definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> list[str]:
    """Return the file's first lines: the command that wrote it, and the classes that are trained with its settings."""
    return [
        f"# python -m ltray.convert {printable(shlex.quote(str(given.resolve())))}",
        f"# {training_line(definition, sidecars)}",
    ]


def training_line(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> str:
    """Return the number of training images, classes and groups, and of images reserved for other purposes.

    Args:
        definition: The definition in the data-set file.
        sidecars: Of the converted pools.
    """
    splits = _splits(definition, sidecars)
    tail = splits.tail
    most, least = max(tail.counts), min(tail.counts)
    ends = {"validation": splits.validation, "test": splits.test}
    parts = [f"{len(one.indices):,} {name}" for name, one in ends.items() if one and one.pool == "train"]
    return (
        f"{tail.total:,} training images of {tail.classes} classes, {most:,} to {least:,} per class "
        f"({tail.in_groups()})" + (f"; {' and '.join(parts)} images are taken from the folder." if parts else ".")
    )


def training_tail(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> tuple[LongTail, int | None]:
    """Return the class counts of the training set, and the number of validation images that are taken from it.

    The number is None if the source has its own validation images, or if folds or test images select.

    Args:
        definition: The definition in the data-set file.
        sidecars: Of the converted pools.
    """
    splits = _splits(definition, sidecars)
    validation = splits.validation
    return splits.tail, len(validation.indices) if validation and validation.pool == splits.train.pool else None


def _splits(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> Splits:
    names = sidecars["train"].class_names
    labels = {pool: np.array(sidecar.labels, dtype=np.int64) for pool, sidecar in sidecars.items()}
    return cut(definition, labels, len(names), reference_counts(definition, names))


def _lines(fields: Fields) -> list[str]:
    """Return YAML lines, with the comments of the fields that have one."""
    lines = []
    for key, (value, comment) in fields.items():
        quoted = key in QUOTED or isinstance(value, list | bool)
        line = f"{key}: {_quoted(value) if quoted else value}"
        lines.append(f"{line:<28} # {comment}" if comment else line)
    return lines


def _quoted(value: Any) -> str:
    """Return a value in YAML; unprintable characters are escaped so that YAML reads the same value."""
    text = json.dumps(value, ensure_ascii=False)
    return text if printable(text) == text else json.dumps(value)


def _suggested(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> Fields:
    """Return the fields of the data-set file, each with a comment or none."""
    train = sidecars["train"]
    median = statistics.median(train.counts)
    held_out = {
        "test_per_class": 0 if "test" in sidecars else min(50, max(5, int(median // 5))),
        "validation_per_class": 0 if "validation" in sidecars else min(25, max(5, int(median // 10))),
    }
    profile = "imagenet_lt" if definition.image_size == LARGE else "cifar100_lt"
    fields: Fields = {
        "name": (definition.name, ""),
        **{key: (getattr(definition, key), "") for key in ORIGINALS if getattr(definition, key)},
        "store": (str(train.beton.parent.resolve()), "folder of the .beton files"),
        "image_size": (definition.image_size, "side of the network's input, from the median image"),
        "profile": (profile, "published data set of similar size, whose hyperparameters are the defaults"),
        "flip": (True, "false if a mirrored image has another class, as with digits and text"),
        "mean": (list(train.mean), ""),
        "std": (list(train.std), ""),
        "imbalance_kind": ("natural", ""),
    }
    for name, count in held_out.items():
        if count:
            fields[name] = (count, "upper limit; most images of small classes are used for training")
    return fields | {"protocol": ("honest", "")}
