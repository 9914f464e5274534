"""Whether the originals of a data set are on this machine; perhaps only the converted files were copied to it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ltray.data.definition import DatasetDefinition
from ltray.data.image_files import holds_images
from ltray.data.originals import Source
from ltray.data.sources.cifar import is_downloaded, parquet_files
from ltray.data.sources.list_file import ListFile
from ltray.data.sources.lists import find_list
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError
from ltray.imported import is_dotted_path


def open_if_present(definition: DatasetDefinition) -> Source | None:
    """Describe a data set's originals without downloading any; None if none of them are on this machine.

    Raises:
        UsageError: Some are on this machine, but they are not a valid data set.
    """
    if definition.source in _IS_PRESENT and not _IS_PRESENT[definition.source](definition):
        return None
    try:
        return open_source(definition)
    except FileNotFoundError:
        if is_dotted_path(definition.source):
            return None
        raise
    except UsageError:
        if definition.source == "lists" and not _any_listed(definition):
            return None
        raise


def _folder(definition: DatasetDefinition) -> bool:
    return definition.place.is_dir() and holds_images(definition.place)


def _lists(definition: DatasetDefinition) -> bool:
    return _list_file(definition).is_file()


def _parquet(definition: DatasetDefinition) -> bool:
    patterns = filter(None, (definition.train_list, definition.validation_list, definition.test_list))
    return any(_matches(definition.place, pattern) for pattern in patterns)


def _matches(folder: Path, pattern: str) -> bool:
    return Path(pattern).is_file() if Path(pattern).is_absolute() else any(folder.glob(pattern))


def _cifar(definition: DatasetDefinition) -> bool:
    files = [file for several in parquet_files(definition).values() for file in several]
    return any(file.is_file() for file in files) or (not definition.folder and is_downloaded(definition.source))


_IS_PRESENT: Mapping[str, Callable[[DatasetDefinition], bool]] = {
    "folder": _folder,
    "lists": _lists,
    "parquet": _parquet,
    "cifar10": _cifar,
    "cifar100": _cifar,
}
"""For each source whose originals may be on another machine: whether any are on this machine."""


def _list_file(definition: DatasetDefinition) -> Path:
    return find_list(definition.place, definition.train_list)


def _any_listed(definition: DatasetDefinition) -> bool:
    """Return whether any image of the training list is on this machine."""
    listed = ListFile.read(_list_file(definition))
    return any(os.path.exists(definition.place / image) for image in listed.images)
