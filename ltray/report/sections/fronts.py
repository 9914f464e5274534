"""Pareto fronts: the objectives against each other, and frequent against rare classes in every search."""

import pandas as pd

from ltray.metrics import SECONDS, title
from ltray.report.facts import knob_label
from ltray.report.formatting import cell, percent
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.results.tables import FRONT, trial_label

CAPTION = (
    "Complete trials that no other trial dominates. The values are those of the trial's best epoch by the first "
    "objective."
)
HEAD, TAIL = "acc_many", "acc_few"


def fronts(record: RunRecord) -> Section | None:
    """Return the Pareto front of several objectives as figures and a table, or that of Many and Few."""
    trials = record.trials
    if trials is None:
        return None
    objectives = list(record.objectives) if FRONT in trials else [TAIL, HEAD]
    columns = {name: name if name == SECONDS else f"{record.selection}/{name}" for name in objectives}
    if not set(columns.values()) <= set(trials):
        return None
    known = trials[(trials["state"] == "complete") & trials[list(columns.values())].notna().all(axis=1)]
    if not len(known) or (FRONT not in trials and len(known) < 2):
        return None
    if FRONT not in trials:
        known = known.assign(**{FRONT: _undominated(known, list(columns.values()))})
    first, *others = objectives
    plots = [_plot(known, columns, other, first, line=len(others) == 1) for other in others]
    values = {"plots": plots, "table": _table(known, columns, record), "groups": FRONT not in trials}
    return Section("fronts", "Pareto front" if FRONT in trials else "Many against Few", values | {"caption": CAPTION})


def _undominated(known: pd.DataFrame, columns: list[str]) -> list[bool]:
    """Return for each trial whether no other is at least as high in all columns and higher in one."""
    points = [tuple(row) for row in known[columns].itertuples(index=False)]
    return [
        not any(all(a >= b for a, b in zip(other, own, strict=True)) and other != own for other in points)
        for own in points
    ]


def _plot(known: pd.DataFrame, columns: dict[str, str], x: str, y: str, *, line: bool) -> Plot:
    """Draw every complete trial by two objectives; with more than two, the trials on it have no order."""
    scale = {name: 1.0 if name == SECONDS else 100.0 for name in columns}
    figure = new_figure(_label(x), _label(y), legend=True)
    best = known[known[FRONT]].sort_values(columns[x])
    for name, own, tone, symbol_, size in (
        ("dominated", known[~known[FRONT] & ~known["paper"]], "grey", "circle-open", 8),
        ("Pareto front", best, "blue", "circle", 11),
        ("papers' setting", known[known["paper"]], "orange", "square", 8),
    ):
        if len(own):
            figure.add_scatter(
                x=[scale[x] * value for value in own[columns[x]]],
                y=[scale[y] * value for value in own[columns[y]]],
                mode="lines+markers" if line and name == "Pareto front" else "markers",
                line={"color": colour(tone), "dash": "dot", "width": 1.5},
                marker={"color": colour(tone), "symbol": symbol_, "size": size},
                name=name,
                customdata=own["trial"].tolist(),
                hovertemplate="trial %{customdata}: %{x:.1f}, %{y:.1f}<extra></extra>",
            )
    parts = [
        f"trial {row['trial']} ({scale[y] * row[columns[y]]:.1f}, {scale[x] * row[columns[x]]:.1f})"
        for _, row in best.iterrows()
    ]
    return Plot(figure, f"{_label(y)} against {_label(x)}; on the Pareto front: {', '.join(parts)}.", height=320)


def _table(known: pd.DataFrame, columns: dict[str, str], record: RunRecord) -> PageTable:
    best = known[known[FRONT]].sort_values(next(iter(columns.values())), ascending=False, kind="stable")
    rows = [
        [
            trial_label(row["trial"], row["paper"]),
            *(f"{row[c]:.1f}" if name == SECONDS else percent(row[c]) for name, c in columns.items()),
            *(cell(row.get(knob)) for knob in record.varied),
        ]
        for _, row in best.iterrows()
    ]
    headings = ["trial", *map(_label, columns), *(knob_label(knob) for knob in record.varied)]
    return PageTable("Trials on the Pareto front", headings, rows)


def _label(objective: str) -> str:
    return "training time, s" if objective == SECONDS else f"{title(objective)}, %"
