"""A data-set file for somebody's own folder of images, from a look at it."""

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.data.sidecar import Sidecar
from ltray.data.sources import open_source
from ltray.long_tail import LongTail

LOOKED_AT = 200  # images whose size decides the resolution
SIDES = ((48, 32), (96, 64))  # median shorter side up to which a view has this side; above, 224
LARGE = 224


def draft(folder: Path) -> DatasetDefinition:
    """Return what can be said of a folder of images before it is converted.

    Raises:
        UsageError: It holds no images that could be a data set.
    """
    place = folder.resolve()
    first = DatasetDefinition(name=_slug(place.name), source="folder", folder=str(place), protocol="paper")
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
            continue  # told with all others when the folder is converted
    median = statistics.median(found) if found else LARGE
    return next((side for limit, side in SIDES if median <= limit), LARGE)


def write(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> Path:
    """Write the data-set file beside the .beton files, ready for train and tune.

    Args:
        definition: What `draft` returned.
        sidecars: Of the converted pools.

    Returns:
        The file.
    """
    train = sidecars["train"]
    file = train.beton.parent / f"{definition.name}.yaml"
    file.write_text("\n".join(_lines(definition, sidecars)) + "\n", encoding="utf-8")
    return file


def _lines(definition: DatasetDefinition, sidecars: Mapping[str, Sidecar]) -> list[str]:
    train = sidecars["train"]
    median = statistics.median(train.counts)
    groups = LongTail(train.counts).groups()
    large = definition.image_size == LARGE
    held_out = {
        "test_per_class": 0 if "test" in sidecars else min(50, max(5, int(median // 5))),
        "validation_per_class": 0 if "validation" in sidecars else min(25, max(5, int(median // 10))),
    }
    notes = ", ".join(f"{len(labels)} {name}" for name, labels in groups.items())
    most, least = max(train.counts), min(train.counts)
    profile = "imagenet_lt" if large else "cifar100_lt"
    lines = [
        f"# python -m ltray.convert {definition.folder}",
        f"# {sum(train.counts):,} images of {len(train.counts)} classes, {most:,} to {least:,} a class ({notes}).",
        f"name: {definition.name}",
        "source: folder",
        f"folder: {json.dumps(definition.folder, ensure_ascii=False)}",
        "store: .                     # the .beton files lie beside this file",
        f"image_size: {definition.image_size}",
        f"profile: {profile:<12}        # whose hyperparameters methods start from: the published set nearest in size",
        "flip: true                   # false where a mirrored image is of another class, as in digits and text",
        f"mean: {list(train.mean)}",
        f"std: {list(train.std)}",
        "imbalance_kind: natural",
    ]
    for name, count in held_out.items():
        if count:
            lines.append(f"{name}: {count}  # at most; small classes keep most of their images for training")
    return [*lines, "protocol: honest"]
