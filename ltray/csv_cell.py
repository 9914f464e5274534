"""Text in CSV files that a spreadsheet does not run as a formula."""

import math
from typing import Any

from ltray.printable import printable

# Characters with which a formula begins in Excel, LibreOffice and Google Sheets, including full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_cell(value: Any) -> Any:
    """Return a cell in the form for a CSV file.

    Control characters and undecodable bytes of text are escaped. Text that begins like a formula gets an apostrophe
    in front, unless it is a number. Values of other types are returned unchanged.
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
