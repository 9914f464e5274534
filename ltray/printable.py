"""Names that a terminal, a table or a page can show: bytes that are not UTF-8 and control characters escaped."""

import os
import re
from pathlib import Path
from typing import Any

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: colours, bells, line ends
    "\u200e\u200f\u2028-\u202e\u2066-\u2069"  # marks that reorder or break the line they stand in
    "\ud800-\udfff]"  # bytes that Python could not decode
)
_UNDECODABLE = re.compile("[\ud800-\udfff]")


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return a name with what cannot be shown as `\x..` (a byte, a control character) or `\u....`.

    Everything else stays as it is, umlauts and brackets too, so that the name can be pasted.

    Args:
        name: A file's name, a path, a class name, or a message that holds one.
    """
    text = os.fspath(name) if isinstance(name, Path) else str(name)
    return _UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return text of several lines with what cannot be shown escaped, its line ends kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def encodable(value: Any) -> Any:
    r"""Return text with the bytes that Python could not decode as `\x..`, so that it can be written as UTF-8.

    Anything but text is returned as it is, and so are control characters.
    """
    return _UNDECODABLE.sub(_escape, value) if isinstance(value, str) else value


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: an undecodable byte, moved up
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
