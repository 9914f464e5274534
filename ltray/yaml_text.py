"""The YAML of settings: plain values with the line of every key, in bounded time and memory.

Values are those of `ltray.yaml_scalars`. This module needs PyYAML, and is imported where a text is read.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from ltray.yaml_scalars import LONGEST, NotPlainYaml, scalar

DEEPEST = 24  # levels
MOST = 50_000  # values, those of aliases counted at each use
MERGE = "<<"
_TEXT, _PLAIN = "tag:yaml.org,2002:str", "plain"


@dataclass
class Parsed:
    """The content of a text.

    Attributes:
        value: Dictionaries with text keys, lists, text, numbers, booleans, None.
        lines: Line number (from 1) of each key by dotted path; see `ltray.settings_file.SettingsFile`.
    """

    value: Any
    lines: dict[str, int] = field(default_factory=dict)


def parse(text: str) -> Parsed:
    """Read one YAML document.

    Args:
        text: At most `LONGEST` characters.

    Raises:
        NotPlainYaml: It is not valid YAML, too long or nested too deeply, or contains a duplicate key, a tag, or a key
            that is not text.
    """
    if len(text) > LONGEST:
        raise NotPlainYaml(f"has {len(text):,} characters; settings have at most {LONGEST:,}")
    try:
        node = _BoundedComposer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise NotPlainYaml(said, mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:  # a character that is not valid in YAML
        raise NotPlainYaml(" ".join(str(error).split())) from error
    found = Parsed(None)
    if node is not None:
        _check_size(node, 0, {})
        found.value = _value(node, "", found.lines)
    return found


class _BoundedComposer(Reader, Scanner, Parser, Composer, BaseResolver):
    """Composes nodes; bounded in depth and number."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self.depth = self.count = 0

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Return the tag of a node without one: of a word without quotes `_PLAIN`."""
        return _PLAIN if kind is ScalarNode and implicit[0] else _TEXT

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose one node, as `Composer` does."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", _TEXT):
            raise NotPlainYaml(f"the tag {tag} is not supported; write the value without a tag", line)
        self.depth += 1
        self.count += 1
        _check_bounds(self.depth, self.count, line)
        node: Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _check_bounds(depth: int, count: int, line: int) -> None:
    if depth > DEEPEST:
        raise NotPlainYaml(f"is nested more than {DEEPEST} levels deep", line)
    if count > MOST:
        raise NotPlainYaml(f"contains more than {MOST:,} values", line)


def _check_size(node: Node, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return the number of values and levels of a node with its aliases written out.

    Args:
        node: The node.
        depth: Its level.
        known: The result of nodes seen before, by identity.
    """
    line = node.start_mark.line + 1
    _check_bounds(depth + 1, 0, line)  # an alias of a parent node ends here, too
    if id(node) not in known:
        count = height = 0
        for child in _children(node):
            more, levels = _check_size(child, depth + 1, known)
            count, height = count + more, max(height, levels)
            _check_bounds(0, count, line)
        known[id(node)] = count + 1, height + 1
    count, height = known[id(node)]
    _check_bounds(depth + height, count, line)
    return count, height


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _value(node: Node, path: str, lines: dict[str, int]) -> Any:
    """Return a node's value; record the lines of its keys and items.

    Args:
        node: The node.
        path: Its dotted path, with a final dot, or "".
        lines: Receives the lines.
    """
    if isinstance(node, MappingNode):
        found = {}
        for key, (line, value) in _items(node).items():
            lines.setdefault(f"{path}{key}", line)
            found[key] = _value(value, f"{path}{key}.", lines)
        return found
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            lines.setdefault(f"{path}{index}", item.start_mark.line + 1)
        return [_value(item, f"{path}{index}.", lines) for index, item in enumerate(node.value)]
    return scalar(node.value) if node.tag == _PLAIN else node.value


def _items(node: MappingNode) -> dict[str, tuple[int, Node]]:
    """Return line and node of every key's value; keys merged by `<<` are before the mapping's keys."""
    own: dict[str, tuple[int, Node]] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode) or not key.value:
            raise NotPlainYaml("a key must be plain text", line)
        if key.value in own:
            raise NotPlainYaml(f"duplicate key `{key.value}`; first in line {own[key.value][0]}", line)
        own[key.value] = line, value
    if MERGE not in own:
        return own
    line, merged = own.pop(MERGE)
    found: dict[str, tuple[int, Node]] = {}
    for mapping in reversed(merged.value if isinstance(merged, SequenceNode) else [merged]):
        if not isinstance(mapping, MappingNode):
            raise NotPlainYaml(f"`{MERGE}` must be a mapping, or a list of mappings", line)
        found |= _items(mapping)
    return found | own
