"""The output of a search about its space: the importance of each knob, and ranges that are too narrow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ltray.results.importance import Importance, importances
from ltray.results.range_edges import edges
from ltray.results.tables import write_table
from ltray.run_folder import RunFolder
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import STOPPING_RULES

NOT_SIGNIFICANT = "hyperparameter importance: no knob is significant after {} trials"


def print_importance(table: pd.DataFrame, space: SearchSpace, folder: Path, console: Console) -> None:
    """Print the importance of the knobs and the ranges to widen; write the importance to `importance.csv`.

    Args:
        table: The result of `trial_table`.
        space: The search space.
        folder: The run folder.
        console: The console.
    """
    selection = space.base.selection
    objective = space.base.objective
    found = importances(table, space.dimensions, selection=selection, rule=space.stop.rule, objective=objective)
    if isinstance(found, list):
        write_table(importance_table(found), RunFolder(folder).importance_table)
        if any(one.significant for one in found):
            console.print(render_importance(found, space.headings()))
        else:
            found = NOT_SIGNIFICANT.format(len(table))
    if isinstance(found, str):
        console.print(found, style="dim", soft_wrap=True)
    if STOPPING_RULES[space.stop.rule].population:
        return  # a member had several values, so that its last value may be at an end by chance
    for edge in edges(table, space.dimensions, metric=space.base.metric):
        console.print(
            f"{edge.key}: the best values are at the {edge.end} end of the range (best {edge.best:.6g}); "
            f"a wider range is {edge.suggestion}",
            style="yellow",
            soft_wrap=True,
        )


def importance_table(found: Sequence[Importance]) -> pd.DataFrame:
    """Return one row per group and knob: "share", "beyond_chance", "variance" (None if fANOVA is not used)."""
    return pd.DataFrame(
        [
            {
                "group": one.group,
                "knob": key,
                "share": share,
                "beyond_chance": key in one.significant,
                "variance": one.variance.get(key) if one.variance else None,
            }
            for one in found
            for key, share in one.shares.items()
        ]
    )


def render_importance(found: Sequence[Importance], headings: Mapping[str, str]) -> Table:
    """Return the importance as a table for the terminal, with a row for each knob.

    Args:
        found: The result of `importances`.
        headings: Column heading of each knob in the trials' table, by its full name.
    """
    shown = Table(
        title="hyperparameter importance, % (PED-ANOVA)", caption="·  not significant", caption_justify="left"
    )
    shown.add_column("knob", justify="left")
    for one in found:
        shown.add_column(one.group, justify="right")
    variances = [one for one in found if one.variance]
    for one in variances:
        shown.add_column(f"variance of {one.group}", justify="right")
    for key in found[0].shares:
        symbol = headings.get(key, "")
        name = key if symbol in ("", key.rpartition(".")[2]) else f"{key} ({symbol})"
        shares = [f"{100 * one.shares[key]:.0f}" if key in one.significant else "·" for one in found]
        shown.add_row(name, *shares, *(f"{100 * one.variance.get(key, 0.0):.0f}" for one in variances if one.variance))
    return shown
