"""The file of the setting `class_names`: one class per line, in the forms that data sets use."""

import re
from pathlib import Path

from ltray.data.sources.class_names import by_shown_name
from ltray.errors import UsageError
from ltray.files import read_text

_BEHIND = re.compile(r"(?P<name>.*\S)\s+(?P<number>[0-9]{1,9})")  # Places365: "/a/airfield 0"
_BEFORE = re.compile(r"(?P<number>[0-9]{1,9})\s+(?P<name>\S.*)")  # CUB: "1 001.Black_footed_Albatross"


def read_names(path: Path) -> tuple[str, ...]:
    """Return the names of a data set's classes, in the order of their numbers.

    A line is a name. If every line has a different number after or before the name, and the numbers
    start at 0 or 1 and have no gap, the number is not part of the name and determines the order.

    Raises:
        UsageError: The file cannot be read, or two names are shown identically.
    """
    lines = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    if not lines:
        raise UsageError(f"`class_names: {path}` has no names.")
    for form in (_BEHIND, _BEFORE):
        names = _numbered(lines, form)
        if names:
            lines = names
            break
    by_shown_name(lines, f"`class_names: {path}`")
    return tuple(lines)


def _numbered(lines: list[str], form: re.Pattern[str]) -> list[str]:
    """Return the names of numbered lines in the order of the numbers; empty if the lines have another form."""
    found = [form.fullmatch(line) for line in lines]
    numbers = sorted((int(one["number"]), one["name"]) for one in found if one)
    first = numbers[0][0] if numbers else 0
    names = [name for _, name in numbers]
    in_order = first in (0, 1) and [number for number, _ in numbers] == list(range(first, first + len(lines)))
    return names if in_order and len(set(names)) == len(lines) else []
