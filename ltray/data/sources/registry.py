"""The table of contents of sources: the name in a data-set file, and what opens it."""

from collections.abc import Callable, Mapping

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.sources.cifar import open_cifar
from ltray.data.sources.digits import open_digits
from ltray.data.sources.folder import open_folder
from ltray.data.sources.lists import open_lists
from ltray.data.sources.parquet import open_parquet

OPEN: Mapping[str, Callable[[DatasetDefinition], Source]] = {
    "cifar10": open_cifar,
    "cifar100": open_cifar,
    "digits": open_digits,
    "folder": open_folder,
    "lists": open_lists,
    "parquet": open_parquet,
}


def open_source(definition: DatasetDefinition) -> Source:
    """Describe where a definition's originals are; reads no pixels."""
    return OPEN[definition.source](definition)
