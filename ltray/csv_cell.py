"""Text in CSV files that a spreadsheet shows and never runs."""

import math
from typing import Any

from ltray.printable import printable

# What Excel, LibreOffice and Google Sheets take for the beginning of a formula, full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_cell(value: Any) -> Any:
    """Return a cell as it is written to a CSV file.

    Control characters and undecodable bytes of text are escaped. Text that begins a formula gets an apostrophe in
    front, unless it is a number, which stays one. Anything but text is returned as it is.
    """
    if not isinstance(value, str):
        return value
    shown = printable(value)
    return f"'{shown}" if value.lstrip(" ").startswith(_FORMULA) and not _is_number(shown) else shown


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
