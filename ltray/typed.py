"""Values in their declared type: only lossless conversions, such as 1 to 1.0 or the text `1e-3` to a number.

Ambiguous values remain text when YAML is read (`1e3` can be a class name, `no` a word); the declared type of a setting
decides.
"""

import math
import re
from typing import Any

from ltray.errors import UsageError, shown

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,999})")
NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]{0,999})(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,9})?")


class Written(float):
    """A number with its text if the text cannot be derived from it: `1e3`, which may also be a name."""

    written: str

    def __new__(cls, text: str) -> "Written":
        """Read a number.

        Args:
            text: Text that matches `NUMBER`.
        """
        found = super().__new__(cls, text)
        found.written = text
        return found


_LISTS = {
    tuple[int, ...]: (int, "integers"),
    tuple[float, ...]: (float, "numbers"),
    tuple[str, ...]: (str, "names"),
}


def as_type(name: str, kind: Any, value: Any) -> Any:
    """Return a value in its declared type.

    Args:
        name: Name of the setting, for messages.
        kind: bool, int, float, str, or a tuple of int, float or str of any length.
        value: The given value, from Python, or from YAML by `ltray.yaml_text`.

    Raises:
        UsageError: It has another type, or is not a finite number.
    """
    if kind in _LISTS:
        return _list(name, *_LISTS[kind], value)
    found = _CONVERSIONS[kind](value)
    if found is None:
        raise UsageError(f"`{name}` must be {_NAMES[kind]}, but got {shown(value)} ({kind_of(value)}).{_remedy(value)}")
    if isinstance(found, float) and not math.isfinite(found):
        raise UsageError(f"`{name}` must be a finite number, but got {name}={shown(value)}.")
    return found


def _list(name: str, kind: type, name_of_items: str, value: Any) -> tuple[Any, ...]:
    if kind is str and isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"`{name}` must be a list of {name_of_items}, but got {shown(value)} ({kind_of(value)}).")
    items = tuple(_CONVERSIONS[kind](item) for item in value)
    for item, found in zip(value, items, strict=True):
        whole = kind is int and isinstance(item, float)  # an integer of a list is written as one
        if found is None or whole or (isinstance(found, float) and not math.isfinite(found)):
            raise UsageError(f"`{name}` must be a list of {name_of_items}, but contains {shown(item)}.{_remedy(item)}")
    return items


def _bool(value: Any) -> bool | None:
    if isinstance(value, str):
        return WORDS.get(value.lower())
    return value if isinstance(value, bool) else None


def _int(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    number = _float(value) if isinstance(value, str | float) else value
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _float(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond the largest number
        return math.inf


def _str(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Written):
        return value.written
    return str(value) if isinstance(value, str | int | float) else None


_CONVERSIONS = {bool: _bool, int: _int, float: _float, str: _str}
_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    type(None): "empty",
}


def kind_of(value: Any) -> str:
    """Return the kind of a value, for messages."""
    if isinstance(value, bool):
        return "a truth value"
    return next((name for kind, name in _NAMES.items() if isinstance(value, kind)), type(value).__name__)


def _remedy(value: Any) -> str:
    """Return the remedy for text that looks like a number in another notation."""
    if isinstance(value, str) and re.match(r"[-+.]?\d|[-+]?\.(inf|nan)", value.lower()):
        return " Write a number in decimal digits, such as 8, 0.1 or 1e-3."
    return ""
