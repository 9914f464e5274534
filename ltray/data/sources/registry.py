"""The table of contents of sources: the name in a data-set file, and what opens it."""

from collections.abc import Callable, Mapping

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.sources.cifar import open_cifar
from ltray.data.sources.digits import open_digits
from ltray.data.sources.folder import open_folder
from ltray.data.sources.lists import open_lists
from ltray.data.sources.parquet import open_parquet
from ltray.errors import UsageError, shown
from ltray.imported import imported, is_dotted_path

Opener = Callable[[DatasetDefinition], Source]
OPEN: Mapping[str, Opener] = {
    "cifar10": open_cifar,
    "cifar100": open_cifar,
    "digits": open_digits,
    "folder": open_folder,
    "lists": open_lists,
    "parquet": open_parquet,
}


def open_source(definition: DatasetDefinition) -> Source:
    """Describe where a definition's originals are; reads no pixels.

    Raises:
        UsageError: They cannot be used, or the dotted path of another package's source names no such function.
        FileNotFoundError: A source of another package finds nothing on this machine.
    """
    if not is_dotted_path(definition.source):
        return OPEN[definition.source](definition)
    opener: Opener = imported(definition.source, callable, "a function that takes a DatasetDefinition")
    found = opener(definition)
    if not isinstance(found, Source):
        raise UsageError(
            f"{definition.name}: `source` {shown(definition.source)} must return a ltray.data.originals.Source, but "
            f"returned {shown(found)}."
        )
    return found
