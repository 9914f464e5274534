"""Draft of a data-set file for a user's folder of images, from an inspection of the folder."""

import json
import re
import shlex
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.ownership import Ownership
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.data.sources.lists import reference_counts
from ltray.data.sources.registry import open_source
from ltray.data.splits import cut
from ltray.errors import UsageError
from ltray.files import atomic_write
from ltray.printable import printable
from ltray.settings import plain

LOOKED_AT = 200  # number of images whose size determines the resolution
SIDES = ((48, 32), (96, 64))  # median shorter side up to which a view has this side; above, 224
LARGE = 224
Fields = dict[str, tuple[Any, str]]
"""Value and comment of each line of a data-set file."""


KNOWN = ("source", "folder", "store")  # settings that follow from the folder


def draft(folder: Path, settings: Mapping[str, Any]) -> DatasetDefinition:
    """Return the settings that follow from a folder of images before it is converted.

    Args:
        folder: One folder per class, with or without splits above them.
        settings: The values that the user sets.

    Raises:
        UsageError: It holds no images that could be a data set, or a setting is unknown or illegal.
    """
    for key in settings:
        DatasetDefinition.check_name(key)
        if key in KNOWN:
            raise UsageError(f"`{key}` has no effect with a folder of images; write it into a data-set file.")
    place = folder.resolve()
    known: dict[str, Any] = {"name": _slug(place.name), "source": "folder", "folder": str(place), "protocol": "paper"}
    known["image_size"] = LARGE  # until the images are inspected: settings of large ones may have no effect
    first = DatasetDefinition(**(known | dict(settings)))
    if "image_size" in settings:
        return first
    return first.replace(image_size=_side(open_source(first).pools["train"]()))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"


def _side(originals: Originals) -> int:
    """Return the side of a view that suits the images' median shorter side."""
    count = len(originals.labels)
    found = []
    for index in range(0, count, max(1, count // LOOKED_AT)):
        try:
            with Image.open(originals.name(index)) as image:
                found.append(min(image.size))
        except OSError:
            continue  # reported with all others when the folder is converted
    median = statistics.median(found) if found else LARGE
    return next((side for limit, side in SIDES if median <= limit), LARGE)


def write(
    definition: DatasetDefinition, sidecars: Mapping[str, Sidecar], settings: Mapping[str, Any]
) -> tuple[Path, bool]:
    """Write the data-set file next to the .beton files, ready for train and tune; an edited file is kept.

    Args:
        definition: What `draft` returned.
        sidecars: Of the converted pools.
        settings: The values that the user sets.

    Returns:
        The file, and whether it was written.

    Raises:
        UsageError: The settings contradict the folder's content.
    """
    fields = _suggested(definition, sidecars) | {key: (plain(value), "") for key, value in settings.items()}
    final = DatasetDefinition(**{key: value for key, (value, _) in fields.items()})
    file = sidecars["train"].beton.parent / f"{definition.name}.yaml"
    own = Ownership.of(file.parent)
    if own.was_edited(file.name):
        return file, False
    atomic_write(file, "\n".join([*_heading(final, sidecars), *_lines(fields)]) + "\n")
    own.wrote(file.name)
    return file, True


def _heading(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> list[str]:
    """Return the file's first lines: how it was made, and the classes that it trains with the settings below them."""
    return [
        f"# python -m ltray.convert {printable(shlex.quote(definition.folder))}",
        f"# {training_line(definition, sidecars)}",
    ]


def training_line(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> str:
    """Return the number of training images, classes and groups, and of images reserved for other purposes.

    Args:
        definition: What the data-set file states.
        sidecars: Of the converted pools.
    """
    names = sidecars["train"].class_names
    labels = {pool: np.array(sidecar.labels, dtype=np.int64) for pool, sidecar in sidecars.items()}
    splits = cut(definition, labels, len(names), reference_counts(definition, names))
    tail = splits.tail
    most, least = max(tail.counts), min(tail.counts)
    ends = {"validation": splits.validation, "test": splits.test}
    held = [f"{len(one.indices):,} {name}" for name, one in ends.items() if one and one.pool == "train"]
    return (
        f"{tail.total:,} training images of {tail.classes} classes, {most:,} to {least:,} a class ({tail.in_groups()})"
        + (f"; {' and '.join(held)} images are cut from the folder." if held else ".")
    )


def _lines(fields: Fields) -> list[str]:
    """Return YAML lines, a comment after those that have one."""
    lines = []
    for key, (value, comment) in fields.items():
        quoted = key in ("name", "folder") or isinstance(value, list | bool)
        line = f"{key}: {_quoted(value) if quoted else value}"
        lines.append(f"{line:<28} # {comment}" if comment else line)
    return lines


def _quoted(value: Any) -> str:
    """Return a value in YAML; unprintable characters become escapes that YAML reads back."""
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
        "source": ("folder", ""),
        "folder": (definition.folder, ""),
        "store": (".", "the .beton files are in the folder of this file"),
        "image_size": (definition.image_size, "side of the network's input, from the median image"),
        "profile": (profile, "published data set of similar size, whose hyperparameters are the defaults"),
        "flip": (True, "false if a mirrored image has another class, as with digits and text"),
        "mean": (list(train.mean), ""),
        "std": (list(train.std), ""),
        "imbalance_kind": ("natural", ""),
    }
    for name, count in held_out.items():
        if count:
            fields[name] = (count, "upper limit; small classes keep most of their images for training")
    return fields | {"protocol": ("honest", "")}
