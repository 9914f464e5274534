"""New labelled images for the evaluation of a trained model, in any form that `convert` takes; some classes suffice."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltray.data.image_files import SUFFIXES, Contents, folders_in, holds_images
from ltray.data.originals import Originals
from ltray.data.sources.class_names import shown, some
from ltray.data.sources.folder import FileOriginals
from ltray.data.sources.folder_layout import Layout, find_layout, split_of
from ltray.data.sources.forms import find_form, is_form
from ltray.data.sources.lists import find_list
from ltray.data.sources.parquet import ParquetOriginals, image_and_label_columns, parquet_files
from ltray.data.sources.parquet_labels import parquet_labels
from ltray.data.sources.table_list import read_table
from ltray.data.sources.table_paths import TableOriginals, locate
from ltray.errors import UsageError, did_you_mean
from ltray.printable import printable

FIELDS: Mapping[str, str] = {"train": "train_list", "validation": "validation_list", "test": "test_list"}
"""The field of the list of each split."""
SETTINGS = ("source", *FIELDS.values(), "image_column", "label_column", "split_column")
"""Fields of a data-set file that determine the form of the images and the place of their labels."""


@dataclass(frozen=True)
class NewImages:
    """Labelled images.

    Attributes:
        originals: The images.
        names: Displayed class name of each image (n,).
        notes: The assumed form, as sentences.
    """

    originals: Originals
    names: tuple[str, ...]
    notes: tuple[str, ...]


def open_new_images(place: Path, settings: Mapping[str, Any], known: Collection[str]) -> NewImages:
    """Open labelled images without decoding them.

    If they are in several splits, those of test are used, or else those of validation.

    Args:
        place: A folder, table, zip or Parquet file.
        settings: Any of `SETTINGS`.
        known: Displayed names of the model's classes; a folder with such a name is not a split.

    Raises:
        UsageError: They have no labels, or their form cannot be used.
    """
    for key in settings:
        if key not in SETTINGS:
            raise UsageError(f"`{key}` is not a setting of new images.{did_you_mean(key, SETTINGS)}")
    if not place.exists():
        raise UsageError(f"{printable(place)}: no such file or folder.")
    if not is_form(place):
        raise UsageError(
            f"{printable(place)}: must be a folder of images with a folder for each class, a table of paths and "
            "labels (CSV, TSV, JSON lines), a zip file or a Parquet file."
        )
    form = find_form(place, settings)
    fields = {**form.fields, **settings}
    reader, columns = READERS[str(fields["source"])]
    for key in settings:
        if key.endswith("_column") and key not in columns:
            raise UsageError(f"`{key}` has no effect: {printable(place)} is {form.why}")
    found = reader(fields, known)
    if not found.names:
        raise UsageError(
            f"{printable(place)}: contains no folder with the name of a class and images in it; give the folder "
            "above the class folders. Supported file types: " + " ".join(SUFFIXES)
        )
    return NewImages(found.originals, found.names, (form.why, *found.notes))


def _from_folder(fields: Mapping[str, Any], known: Collection[str]) -> NewImages:
    layout, notes = _layout(Path(fields["folder"]), known)
    pool, more = _choice(layout.classes)
    paths: list[str] = []
    names: list[str] = []
    for folder_name, folder in layout.classes[pool]:
        images = Contents.of(folder).images
        paths += images
        names += [shown(folder_name)] * len(images)
    return NewImages(FileOriginals(tuple(paths), _unnumbered(names)), tuple(names), (*notes, *more))


def _layout(root: Path, known: Collection[str]) -> tuple[Layout, list[str]]:
    """Return the folders of classes by split; a folder with only a test split is possible here.

    Args:
        root: The given folder.
        known: Names of the model's classes.
    """
    place = root
    while not holds_images(place, itself=True):
        filled = [one for one in folders_in(place) if holds_images(one)]
        classes = [one for one in filled if shown(one.name) in known]
        splits = [one for one in filled if one not in classes and split_of(one.name)]
        nested = {split_of(one.name): one for one in splits if any(map(holds_images, folders_in(one)))}
        if nested:
            return Layout.of_pools(nested), []
        if len(filled) == len(classes) == 1 or any(split_of(one.name) for one in classes):
            return Layout.of_pools({"train": place}), []
        if len(filled) != 1 or holds_images(filled[0], itself=True):
            break
        place = filled[0]
    layout = find_layout(place)
    return layout, list(layout.notes)


def _from_lists(fields: Mapping[str, Any], known: Collection[str]) -> NewImages:
    folder = Path(fields["folder"])
    pool, more = _choice({pool: fields[key] for pool, key in FIELDS.items() if fields.get(key)})
    columns = {key: str(fields.get(f"{key}_column", "")) for key in ("image", "label", "split")}
    lists = read_table(find_list(folder, str(fields[FIELDS[pool]])), **columns, training=False)
    pool, of_column = _choice(lists)
    listed = lists[pool]
    paths, notes = locate(listed, folder)
    where = tuple(f"{listed.path}, line {line}" for line in listed.places.tolist())
    names = tuple(shown(listed.names[number]) for number in listed.labels.tolist())
    notes += [note for one in lists.values() for note in one.notes if note]
    return NewImages(TableOriginals(paths, _unnumbered(names), where), names, (*notes, *more, *of_column))


def _from_parquet(fields: Mapping[str, Any], known: Collection[str]) -> NewImages:
    folder = Path(fields["folder"])
    pool, notes = _choice({pool: fields[key] for pool, key in FIELDS.items() if fields.get(key)})
    files = parquet_files(folder, str(fields[FIELDS[pool]]))
    columns = {key: str(fields.get(f"{key}_column", "")) for key in ("image", "label")}
    image, label = image_and_label_columns({pool: files}, **columns)
    names = tuple(
        shown(one.names.get(number, str(number)))
        for one in parquet_labels({pool: files}, label)
        for number in one.numbers.tolist()
    )
    originals = ParquetOriginals.open(tuple(files), image=image, labels=_unnumbered(names), folder=folder)
    return NewImages(originals, names, notes)


def _choice(splits: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the split whose images are used, and a note if there are several."""
    there = list(splits)
    pool = next(pool for pool in ("test", "validation", "train") if pool in there)
    others = [one for one in there if one != pool]
    return pool, (f"the {pool} split is used; not used: {some(others)}",) if others else ()


def _unnumbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Return placeholder labels: only the model numbers the classes."""
    return np.zeros(len(names), dtype=np.int64)


Reader = Callable[[Mapping[str, Any], Collection[str]], NewImages]
READERS: Mapping[str, tuple[Reader, tuple[str, ...]]] = {
    "folder": (_from_folder, ()),
    "lists": (_from_lists, ("image_column", "label_column", "split_column")),
    "parquet": (_from_parquet, ("image_column", "label_column")),
}
"""The function that reads the images and the columns that can be stated, by source."""
