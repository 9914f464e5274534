"""YAML files with the line of every key, so that a mistake can be shown where it stands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ltray.errors import UsageError


@dataclass(frozen=True)
class SettingsFile:
    """The content of a YAML file.

    Attributes:
        path: Where it was read from.
        values: The nested mapping.
        lines: Line number (from 1) of each key by dotted path: `search.trials`; a key that
            holds dots itself is taken as written: `explore.rescom.temperature`; items of a
            list count from 0: `rows.2.bcl.temperature`.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[str, int]

    @classmethod
    def read(cls, path: Path | str) -> "SettingsFile":
        """Read a mapping from a YAML file.

        Raises:
            UsageError: The file is absent, not YAML, not a mapping, or repeats a key.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: cannot be read: {error}.") from error
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
            raise UsageError(f"{path}: must hold `key: value` lines, but holds {type(values).__name__}.")
        lines: dict[str, int] = {}
        _collect(node, "", lines, path)
        return cls(path, values, lines)

    def where(self, key: str) -> str:
        """Return "file:line: " of a dotted key, or "file: " where it has no line of its own."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.path}:{self.lines[key]}: " if key else f"{self.path}: "


def _collect(node: yaml.MappingNode, prefix: str, lines: dict[str, int], path: Path) -> None:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UsageError(f"{path}:{key.start_mark.line + 1}: a key must be a plain word.")
        name = f"{prefix}{key.value}"
        line = key.start_mark.line + 1
        if name in lines:
            raise UsageError(f"{path}:{line}: `{name}` stands twice; first in line {lines[name]}.")
        lines[name] = line
        if isinstance(value, yaml.MappingNode):
            _collect(value, f"{name}.", lines, path)
        for index, item in enumerate(value.value if isinstance(value, yaml.SequenceNode) else []):
            lines[f"{name}.{index}"] = item.start_mark.line + 1
            if isinstance(item, yaml.MappingNode):
                _collect(item, f"{name}.{index}.", lines, path)
