"""What a search says of its space at the end: which knobs mattered, and which ranges were too narrow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ltray.results.importance import Importance, importances
from ltray.results.range_edges import edges
from ltray.results.tables import write_table
from ltray.run_folder import IMPORTANCE
from ltray.space.search_space import SearchSpace

NOT_BEYOND_CHANCE = "which knobs matter cannot be told from chance after {} trials"


def tell_what_moved(table: pd.DataFrame, space: SearchSpace, folder: Path, console: Console) -> None:
    """Print the knobs' importance and the ranges to widen; keep the former as `importance.csv`.

    Args:
        table: What `trial_table` returned.
        space: The search space.
        folder: The run folder.
        console: Where to print.
    """
    selection = space.base.selection
    objective = space.base.objective
    found = importances(table, space.dimensions, selection=selection, rule=space.stop.rule, objective=objective)
    if isinstance(found, list):
        write_table(importance_table(found), folder / IMPORTANCE)
        if any(one.beyond_chance for one in found):
            console.print(render_importance(found, space.headings()))
        else:
            found = NOT_BEYOND_CHANCE.format(len(table))
    if isinstance(found, str):
        console.print(found, style="dim", soft_wrap=True)
    if space.stop.rule == "pbt":
        return  # nor does a best value at an end say that it was best there
    for edge in edges(table, space.dimensions, metric=space.base.metric):
        console.print(
            f"{edge.key}: the best values lie at the {edge.end} end of its range (best {edge.best:.6g}); "
            f"a wider one is {edge.suggestion}",
            style="yellow",
            soft_wrap=True,
        )


def importance_table(found: Sequence[Importance]) -> pd.DataFrame:
    """Return one row a group and knob: "share", "beyond_chance", "variance" (None where fANOVA does not apply)."""
    return pd.DataFrame(
        [
            {
                "group": one.group,
                "knob": key,
                "share": share,
                "beyond_chance": key in one.beyond_chance,
                "variance": one.variance.get(key) if one.variance else None,
            }
            for one in found
            for key, share in one.shares.items()
        ]
    )


def render_importance(found: Sequence[Importance], headings: Mapping[str, str]) -> Table:
    """Return the importance for the terminal, a line a knob.

    Args:
        found: What `importances` returned.
        headings: Column heading of each knob in the trials' table, by its full name.
    """
    shown = Table(
        title="what set the best trials apart, % (PED-ANOVA)", caption="·  not told from chance", caption_justify="left"
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
        shares = [f"{100 * one.shares[key]:.0f}" if key in one.beyond_chance else "·" for one in found]
        shown.add_row(name, *shares, *(f"{100 * one.variance.get(key, 0.0):.0f}" for one in variances if one.variance))
    return shown
