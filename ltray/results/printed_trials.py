"""The trials of a search as a table for the terminal, which leaves columns out on a narrow one."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import pandas as pd

from ltray.data.definition import selected_how
from ltray.fitted_table import FittedTable
from ltray.metrics import BALANCED, heading, shown_keys
from ltray.results.tables import FRONT, SEEDS, folds_in, precision_of_best, seeds_error_key, state_of
from ltray.study.study import NAME

BEST_SHOWN = 12  # trials in the table; explicit rows are all shown
PAPERS_MARK = "(paper)"
FIRST_LEFT_OUT = ("acc_medium", "acc_many")
"""The accuracies that are left out first if the table is too wide; the accuracy of the few classes always stays."""


def render(
    table: pd.DataFrame,
    explored: Mapping[str, str],
    *,
    selection: str,
    most: int,
    objective: str = BALANCED,
    remedy: str = "",
) -> FittedTable:
    """Return the best trials, and the papers' setting at any rank.

    If not all settings fit, those of the best trial are listed below the table.

    Args:
        table: The result of `trial_table`.
        explored: Column heading of each explored knob, by its full name.
        selection: "val" or "test".
        most: Largest number of rows, not counting the papers' setting.
        objective: The first objective.
        remedy: How to see the columns that do not fit.
    """
    metrics = [key for key in shown_keys(objective) if f"{selection}/{key}" in table]
    spread = seeds_error_key(f"{selection}/{objective}")
    headings = [
        *("trial", *([NAME] if table[NAME].any() else []), *map(heading, metrics)),
        *(["± seeds", "seeds"] if spread in table else []),
        *(["front", "seconds"] if FRONT in table else []),  # shown if there are several objectives
        *("epochs", "state", *explored.values()),
    ]
    shown = FittedTable(
        title=f"accuracy {selected_how('paper' if selection == 'test' else 'honest', folds_in(table))}, %",
        caption="\n".join(_notes(table, f"{selection}/{objective}")) or None,
        optional=_optional(explored, objective),
        remedy=remedy,
        notes=dict.fromkeys(explored.values(), _settings_of_best(table, explored)),
    )
    for column in headings:
        is_text = column in (NAME, "state", "methods")
        width = len("stopped early") if column == "state" else None
        shown.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text, min_width=width)
    always = table["paper"] | table[FRONT] if FRONT in table else table["paper"]
    for _, row in table[(table.index < most) | always].iterrows():
        cells = [f"{row['trial']} {PAPERS_MARK}" if row["paper"] else str(row["trial"])]
        cells += [row[NAME]] if NAME in headings else []
        cells += [_percent(row[f"{selection}/{key}"]) for key in metrics]
        cells += [_percent(row[spread]), value(row[SEEDS])] if spread in table else []
        cells += ["●" if row[FRONT] else "", f"{row['seconds']:.1f}"] if FRONT in table else []
        cells += [str(row["epochs"]), state_of(row), *(value(row.get(key)) for key in explored)]
        shown.add_row(*cells, style="bold" if row.name == 0 else None)
    return shown


def _optional(explored: Mapping[str, str], objective: str) -> list[tuple[str, ...]]:
    """Return the headings of columns that may be left out, in this order."""
    settings = [name for key, name in explored.items() if key != "methods"]
    groups = [(heading(key),) for key in FIRST_LEFT_OUT if key != objective]
    several = len(settings) < len(explored)
    return [("epochs",), ("seeds",), *groups, *([tuple(settings)] if several else [(n,) for n in reversed(settings)])]


def _settings_of_best(table: pd.DataFrame, explored: Mapping[str, str]) -> str:
    best = table.iloc[0]
    found = {name: value(best.get(key)) for key, name in explored.items()}
    return f"settings of trial {best['trial']}: " + ", ".join(
        f"{name} = {text}" for name, text in found.items() if text
    )


def _notes(table: pd.DataFrame, metric: str) -> list[str]:
    """Return the lines below the table: its marks, the precision of its values."""
    lines = [f"{PAPERS_MARK}: the papers' setting"] if table["paper"].any() else []
    error = precision_of_best(table, metric)
    if error:
        lines.append(f"standard error of the best trial's value: {error}; a smaller difference is not significant")
    if seeds_error_key(metric) in table:
        lines.append(
            "values are means over a trial's seeds, ± seeds the standard error of that mean"
            + (
                " (that of the images is in the line above); a trial that was stopped early has only its first seed"
                if error
                else ""
            )
        )
    if folds_in(table) and (table["state"] == "stopped early").any():
        lines.append("values of a trial that was stopped early are those of its first fold")
    return lines


def value(cell: Any) -> str:
    """Return a setting's value as text, of a path its last part; empty if the trial's method does not have it."""
    if isinstance(cell, float):
        return "" if pd.isna(cell) else f"{cell:.4g}"
    if isinstance(cell, str) and cell.startswith("/"):
        return PurePath(cell).name
    return "" if cell is None else str(cell)


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.1f}"
