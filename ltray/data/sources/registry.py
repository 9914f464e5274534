"""The source of a data set: by its name in `SOURCES`, or by its dotted path in another package."""

from collections.abc import Callable

from ltray.data.definition import SOURCES, DatasetDefinition
from ltray.data.originals import Source
from ltray.errors import UsageError, shown
from ltray.imported import imported

Opener = Callable[[DatasetDefinition], Source]


def open_source(definition: DatasetDefinition) -> Source:
    """Describe the originals of a definition; reads no pixels.

    Raises:
        UsageError: They cannot be used, or the dotted path of another package's source is not such a function.
        FileNotFoundError: A source of another package finds nothing on this machine.
    """
    path = SOURCES.get(definition.source, definition.source)
    opener: Opener = imported(path, callable, "a function that takes the definition of a data set")
    found = opener(definition)
    if not isinstance(found, Source):
        raise UsageError(
            f"{definition.name}: `source` {shown(definition.source)} must return a ltray.data.originals.Source, but "
            f"returned {shown(found)}."
        )
    return found
