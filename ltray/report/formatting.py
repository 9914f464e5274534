"""Values as text, as a report shows them."""

from typing import Any

import pandas as pd

from ltray.methods import METHODS
from ltray.results.finalist_table import spread

SELECTED_ON_TEST = "selected on test"


def symbol(knob: str) -> str:
    """Return the symbol of a knob given by its full name, or an empty text."""
    method, _, name = knob.partition(".")
    return METHODS[method].knobs.specs()[name].symbol if method in METHODS else ""


def percent(share: Any) -> str:
    """Return a share of 1 in percent."""
    return "–" if share is None or pd.isna(share) else f"{100 * share:.1f}"


def spread_of(row: Any, name: str) -> str:
    """Return mean and interval of a column, or a dash if the table does not have the column."""
    return spread(row, name) if f"{name}_mean" in row else "–"


def cell(value: Any) -> str:
    """Return a setting as a table shows it."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> str:
    """Return a value of env.json as one line."""
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def duration(seconds: float) -> str:
    """Return a time in the unit that people use: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def hours(seconds: float) -> str:
    """Return hours with the digits that matter: `0.026`, `3.5`, `1,160`."""
    value = seconds / 3600
    return f"{value:.3f}" if value < 1 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
