"""A folder of results: each one as JSON with its provenance, and as a figure in PNG and PDF."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ltray.errors import UsageError
from ltray.figures.style import FIGURE_FORMATS, figure_files, paper_style
from ltray.files import atomic_write, is_there
from ltray.private_folders import make_private
from ltray.seal import read_sealed, write_sealed

PROVENANCE = "provenance"


@dataclass(frozen=True)
class ResultFolder:
    """A folder of results of one model; a result whose JSON file is there is complete.

    Attributes:
        path: The folder; it is created when the first result is written.
    """

    path: Path

    def file(self, name: str, ending: str = "json") -> Path:
        """Return the path of a file of a result."""
        return self.path / f"{name}.{ending}"

    def write(
        self, name: str, content: Mapping[str, Any], *, provenance: Mapping[str, Any], draw: Callable[[], Figure]
    ) -> None:
        """Write the figure, then the JSON file, each under a temporary name first.

        Args:
            name: Name of the result.
            content: Plain values; a number that is not finite is written as null.
            provenance: By which a later command recognises the result: model, settings, versions.
            draw: Returns the figure.
        """
        make_private(self.path)
        with paper_style():
            figure = draw()
        for suffix, image in figure_files(figure).items():
            atomic_write(self.file(name, suffix), image)
        write_sealed(self.file(name), {**finite(content), PROVENANCE: finite(provenance)})

    def read(self, name: str, *, provenance: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the content of a complete result with equal provenance, or None: it has to be computed again.

        Args:
            name: Name of the result.
            provenance: The entries that must be equal; the file may have others, such as the time.
        """
        if not all(is_there(self.file(name, ending)) for ending in ("json", *FIGURE_FORMATS)):
            return None
        try:
            content = read_sealed(self.file(name))
        except UsageError:  # damaged, or of a newer version: it is replaced
            return None
        known = content.pop(PROVENANCE, None)
        same = isinstance(known, dict) and all(known.get(key) == value for key, value in finite(provenance).items())
        return content if same else None


def finite(value: Any) -> Any:
    """Return plain values for JSON: null in place of NaN and infinity, lists in place of tuples."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
