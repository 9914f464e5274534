"""The images of official list files. The images are not moved."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ltray.data.definition import DatasetDefinition
from ltray.data.imbalance import KINDS
from ltray.data.originals import Source
from ltray.data.sources.class_names import shown
from ltray.data.sources.folder import FileOriginals
from ltray.data.sources.label_space import Numbers, label_space
from ltray.data.sources.list_file import ListFile
from ltray.data.sources.listed_paths import check_present, paths_below
from ltray.data.sources.named_classes import read_names
from ltray.data.sources.table import is_table
from ltray.data.sources.table_list import as_one_list, read_table
from ltray.data.sources.table_paths import TableOriginals, locate
from ltray.errors import UsageError


def open_lists(definition: DatasetDefinition) -> Source:
    """Describe the images of list files, below `folder`.

    Raises:
        UsageError: A list cannot be read, lists have contradictory classes, or images are missing.
    """
    given = {"train": definition.train_list, "validation": definition.validation_list, "test": definition.test_list}
    if not given["train"]:
        raise UsageError(f"{definition.name}: `train_list` must be the list file of the training images.")
    root = definition.place
    lists = _read(definition, {pool: find_list(root, name) for pool, name in given.items() if name})
    names = read_names(find_list(root, definition.class_names)) if definition.class_names else ()
    folders = folder_names(lists["train"])
    for listed in lists.values():
        _check_folders(lists["train"], listed, folders)
    space = label_space([one.labelled(pool) for pool, one in lists.items()], given=names, usual=folders)
    places = {pool: _Place.of(listed, root) for pool, listed in lists.items()}
    files = tuple(dict.fromkeys(str(listed.path) for listed in lists.values()))
    paths = {pool: place.paths for pool, place in places.items()}
    return Source(
        class_names=space.names,
        origin=f"{', '.join(files)}; images in {root}",
        pools={pool: places[pool].originals(labels) for pool, labels in zip(lists, space.labels, strict=True)},
        notes=(
            *(note for listed in lists.values() for note in listed.notes),
            *(note for place in places.values() for note in place.notes),
            *space.notes,
        ),
        root=str(root),
        watched=(
            *files,
            *((str(find_list(root, definition.class_names)),) if definition.class_names else ()),
            *(path for several in paths.values() for path in several),
        ),
    )


def _read(definition: DatasetDefinition, files: Mapping[str, Path]) -> dict[str, ListFile]:
    """Return the lists by pool; a single table may have the images of all of them.

    Raises:
        UsageError: A list cannot be read, or a column is set that the table does not have.
    """
    image, label, split = definition.image_column, definition.label_column, definition.split_column
    tables = {pool for pool, path in files.items() if is_table(path)}
    given = next((key for key in ("image_column", "label_column", "split_column") if getattr(definition, key)), "")
    if given and not tables:
        raise UsageError(f"{definition.name}: `{given}` has no effect: {files['train']} has no columns.")
    if split and len(files) > 1:
        raise UsageError(f"{definition.name}: `split_column` has no effect with several lists; remove it.")
    found: dict[str, ListFile] = {}
    for pool, path in files.items():
        if pool not in tables:
            found[pool] = ListFile.read(path)
        elif len(files) == 1:
            found |= read_table(path, image=image, label=label, split=split)
        else:
            found[pool] = as_one_list(read_table(path, image=image, label=label))
    return found


@dataclass(frozen=True)
class _Place:
    """The places of the images of one list.

    Attributes:
        paths: The file of each image.
        where: List and line of each image of a table; empty for other lists.
        notes: The assumptions that were made.
    """

    paths: tuple[str, ...]
    where: tuple[str, ...] = ()
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, listed: ListFile, root: Path) -> "_Place":
        if is_table(listed.path):
            paths, notes = locate(listed, root)
            return cls(paths, tuple(f"{listed.path}, line {line}" for line in listed.places.tolist()), notes)
        _check_single(listed)
        paths = paths_below(root, listed.images)
        check_present(str(listed.path), root, listed.images, paths)
        return cls(paths)

    def originals(self, labels: Numbers) -> Callable[[], FileOriginals]:
        if self.where:
            return partial(TableOriginals, self.paths, labels, self.where)
        return partial(FileOriginals, self.paths, labels)


def _check_single(listed: ListFile) -> None:
    """Raise UsageError if an image is listed with two labels."""
    first: dict[str, int] = {}
    for index, image in enumerate(listed.images):
        known = first.setdefault(image, index)
        if listed.labels[known] != listed.labels[index]:
            raise UsageError(
                f"{listed.path}, {listed.place(index)} has label {listed.labels[index]}, but label "
                f"{listed.labels[known]} in line {listed.places[known]}; an image needs a single class."
            )


def find_list(root: Path, name: str) -> Path:
    """Return the path of a list file, relative to the working directory or to the images' folder."""
    here = Path(name).expanduser()
    return here if here.is_file() or here.is_absolute() else root / name


def folder_names(listed: ListFile) -> dict[int, str]:
    """Return the folder of each class's images by number; none if folders and classes do not correspond one to one."""
    if listed.names:
        return {}
    for depth in (1, 2):  # Places365 has church/outdoor and cabin/outdoor
        folders: dict[int, set[str]] = defaultdict(set)
        for image, number in zip(listed.images, listed.labels.tolist(), strict=True):
            folders[number].add(_folder(image, depth))
        names = {number: next(iter(several)) for number, several in folders.items() if len(several) == 1}
        if len({shown(name) for name in names.values()} - {""}) == len(folders):
            return names
    return {}


def _folder(image: str, depth: int) -> str:
    """Return the last folders of an image's path."""
    return "/".join(image.replace("\\", "/").split("/")[:-1][-depth:])


def _check_folders(train: ListFile, listed: ListFile, folders: dict[int, str]) -> None:
    """Raise UsageError if a list has the number of one class for images in the folder of another class.

    Tools that number the classes of each list separately write such lists.
    """
    number_of = {name: number for number, name in folders.items()}
    depth = 1 + max((name.count("/") for name in number_of), default=0)
    for index, (image, number) in enumerate(zip(listed.images, listed.labels.tolist(), strict=True)):
        folder = _folder(image, depth)
        known = number_of.get(folder, number)
        if known != number and number in folders:
            raise UsageError(
                f"{listed.path}, {listed.place(index)} has label {number}, but in {train.path} label {number} is "
                f"`{folders[number]}` and `{folder}` is {known}; a class must have the same number in all lists."
            )


def reference_counts(definition: DatasetDefinition, names: Sequence[str]) -> list[int]:
    """Return the class counts of `reference_list`; none if the definition does not use it.

    Args:
        definition: The definition of the data set.
        names: Names of the data set's classes, in label order.

    Returns:
        One count per class, in label order. Classes are identified by their names if the list has names or a folder per
        class, else by their numbers.

    Raises:
        UsageError: There is no list, or its classes differ.
    """
    if not KINDS[definition.imbalance_kind].needs_reference:
        return []
    if not definition.reference_list:
        raise UsageError(f"{definition.name}: `imbalance_kind: {definition.imbalance_kind}` needs a `reference_list`.")
    path = find_list(definition.place, definition.reference_list)
    listed = as_one_list(read_table(path)) if is_table(path) else ListFile.read(path)
    space = label_space([listed.labelled("train")])
    counts = [int(count) for count in np.bincount(space.labels[0])]
    folders = folder_names(listed)
    named = [space.names, tuple(shown(name) for _, name in sorted(folders.items()))]
    for known in named:
        if sorted(known) == sorted(names):
            count = dict(zip(known, counts, strict=True))
            return [count[name] for name in names]
    for known in named if listed.names else named[1:]:
        missing = [name for name in names if name not in known]
        if len(missing) < len(names):
            stranger = f"has no class `{missing[0]}`" if missing else f"has {len(known)} classes"
            raise UsageError(
                f"{definition.name}: `reference_list` {stranger}, but the source has {len(names)}: the classes of "
                f"{listed.path} must be those of the data set."
            )
    if len(counts) != len(names):
        raise UsageError(f"{definition.name}: `reference_list` has {len(counts)} classes, the source {len(names)}.")
    return counts
