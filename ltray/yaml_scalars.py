"""The values of plain words in settings: numbers, true, false, null, text.

Only decimal numbers, true, false and null are converted; everything else is text. `no`, `010`, `1_000`, `1:30`,
`.inf` and dates are text until a setting's declared type converts them (`ltray.typed`); if that type is text, a
number is text, too (`1e3`).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from ltray.typed import NUMBER, Written

LONGEST = 1 << 20  # characters of a text
_SCALARS: Mapping[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,4000}")


class NotPlainYaml(ValueError):
    """Text that is not YAML, or more than settings need.

    Attributes:
        line: The line, from 1; 0 if the problem has no line.
    """

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


def scalar(text: str) -> Any:
    """Return the value of a plain word: a number, a boolean, None, or the text."""
    if text in _SCALARS:
        return _SCALARS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number if repr(number) == text else Written(text)
    return text
