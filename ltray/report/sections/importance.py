"""Hyperparameter importance for all classes and for each group."""

from typing import Any

import pandas as pd

from ltray.report.facts import knob_label
from ltray.report.formatting import symbol
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import GROUPS, colour
from ltray.results.importance import reason_unavailable
from ltray.results.importance_table import NOT_SIGNIFICANT
from ltray.results.run_record import RunRecord

SHOWN = ("all", "few")
"""The groups in the figure; the table has every group."""
ROW = 34  # pixels


def importance(record: RunRecord) -> Section | None:
    """Return the importance of the knobs for each group of classes, or why it cannot be computed."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return None
    reason, found = reason_unavailable(record.trials, record.rule), record.importance
    if not reason and found is None:
        return None  # the search has not ended
    if not reason and found is not None and not found["beyond_chance"].any():
        reason = NOT_SIGNIFICANT.format(len(record.trials))
    if reason or found is None:
        values: dict[str, Any] = {"reason": f"{reason[0].upper()}{reason[1:]}."}
    else:
        values = {
            "reason": "",
            "plot": _bars(found),
            "table": _table(found),
            "variance": found["variance"].notna().any(),
        }
    return Section("importance", "Hyperparameter importance", values)


def _bars(found: pd.DataFrame) -> Plot:
    groups = list(dict.fromkeys(found["group"]))
    shown = [group for group in SHOWN if group in groups] or groups[:1]
    knobs = list(found[found["group"] == groups[0]]["knob"])
    figure = new_figure("importance, %", legend=len(shown) > 1, left=10)
    parts = []
    for group in shown:
        own = found[found["group"] == group].set_index("knob").loc[knobs]
        figure.add_bar(
            y=list(range(len(knobs))),
            x=[100 * share for share in own["share"]],
            orientation="h",
            name=group,
            marker={
                "color": colour(GROUPS.get(group, "blue")),
                "opacity": [1.0 if beyond else 0.3 for beyond in own["beyond_chance"]],
            },
            customdata=[[knob, "" if beyond else ", not significant"] for knob, beyond in own["beyond_chance"].items()],
            hovertemplate="%{customdata[0]}: %{x:.0f} %%{customdata[1]}<extra></extra>",
        )
        clear = own[own["beyond_chance"]]
        listed = ", ".join(f"{knob} {100 * share:.0f} %" for knob, share in clear["share"].items())
        parts.append(f"{group}: {listed or 'nothing significant'}")
    figure.update_yaxes(
        tickvals=list(range(len(knobs))),
        ticktext=_names(knobs),
        range=[len(knobs) - 0.5, -0.5],
        showgrid=False,
    )
    label = f"Importance of each knob, pale bars are not significant. {'; '.join(parts)}."
    return Plot(figure, label, height=80 + ROW * len(knobs))


def _names(knobs: list[str]) -> list[str]:
    """Return the symbols of the knobs, or their full names where two have the same symbol."""
    symbols = [knob_label(knob) for knob in knobs]
    return [short(name, 34) for name in (symbols if len(set(symbols)) == len(symbols) else knobs)]


def _table(found: pd.DataFrame) -> PageTable:
    """Return a table with a row for each knob and a column for each group."""
    groups = list(dict.fromkeys(found["group"]))
    of: dict[str, Any] = {group: found[found["group"] == group].set_index("knob") for group in groups}
    varied = [group for group in groups if of[group]["variance"].notna().any()]
    rows = []
    for knob in of[groups[0]].index:
        own = [of[group].loc[knob] for group in groups]
        shares = [f"{100 * one['share']:.0f}" if one["beyond_chance"] else "·" for one in own]
        rows.append(
            [knob, symbol(knob), *shares, *(f"{100 * of[group].loc[knob]['variance']:.0f}" for group in varied)]
        )
    headings = ["knob", "symbol", *groups, *(f"variance of {group}" for group in varied)]
    return PageTable("Importance in %; · is not significant", headings, rows, text=(0, 1))
