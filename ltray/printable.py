"""Names for a terminal, a table or a page: bytes that are not UTF-8 and control characters are escaped."""

import os
import re
from pathlib import Path
from typing import Any

from ltray.masked import without_credentials

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: colours, bells, line ends
    "\u200e\u200f\u2028-\u202e\u2066-\u2069"  # characters that reorder or break their line
    "\ud800-\udfff]"  # bytes that Python could not decode
)
_UNDECODABLE = re.compile("[\ud800-\udfff]")


def printable(name: str | os.PathLike[str]) -> str:
    r"""Return a name with unprintable characters as `\x..` (a byte, a control character) or `\u....`.

    All other characters are unchanged, including umlauts and brackets, so that the name can be pasted. Only the user
    and password of an address are replaced, by `***`.

    Args:
        name: A file's name, a path, a class name, or a message that contains one.
    """
    text = os.fspath(name) if isinstance(name, Path) else str(name)
    return _UNPRINTABLE.sub(_escape, without_credentials(text))


def printable_lines(text: str) -> str:
    """Return text of several lines with unprintable characters escaped; line ends are kept."""
    return "\n".join(printable(line) for line in text.split("\n"))


def encodable(value: Any) -> Any:
    r"""Return text with the bytes that Python could not decode as `\x..`, so that it can be written as UTF-8.

    Values of other types and control characters are not changed.
    """
    return _UNDECODABLE.sub(_escape, value) if isinstance(value, str) else value


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: an undecodable byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
