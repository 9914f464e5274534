"""YAML files with the line of every key, so that messages can show where a mistake is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.errors import UsageError
from ltray.files import read_text
from ltray.printable import printable
from ltray.typed import kind_of
from ltray.yaml_scalars import LONGEST, NotPlainYaml


@dataclass(frozen=True)
class SettingsFile:
    """The content of a YAML file.

    Attributes:
        path: The file.
        values: The nested mapping.
        lines: Line number (from 1) of each key by dotted path: `search.trials`; a key that
            contains dots is not changed: `explore.rescom.temperature`; items of a
            list count from 0: `rows.2.bcl.temperature`.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[str, int]

    @classmethod
    def read(cls, path: Path | str) -> "SettingsFile":
        """Read a mapping from a YAML file.

        Raises:
            UsageError: The file is missing, not valid YAML, not a mapping, or contains a duplicate key.
        """
        from ltray.yaml_text import parse  # imported here: training does not need PyYAML

        path = Path(path)
        text = read_text(path, limit=4 * LONGEST)
        try:
            parsed = parse(text)
        except NotPlainYaml as error:
            line = f"{error.line}:" if error.line else ""
            raise UsageError(f"{printable(path)}:{line} not valid YAML for settings: {error}.") from error
        if not isinstance(parsed.value, dict):
            problem = "is empty" if parsed.value is None else f"contains {kind_of(parsed.value)}"
            raise UsageError(f"{printable(path)}: must contain `key: value` lines, but {problem}.")
        return cls(path, parsed.value, parsed.lines)

    def where(self, key: str) -> str:
        """Return "file:line: " of a dotted key, or "file: " if it has no line."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}: " if key else f"{self.path}: "
