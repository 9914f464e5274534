"""What a search found in addition to its best trial: the Pareto front and the hyperparameter importance."""

from typing import Any

import pandas as pd

from ltray.metrics import SECONDS, title
from ltray.report import figures
from ltray.report.formatting import cell, percent, symbol
from ltray.report.page import grid, key, paragraph, section, table
from ltray.results.importance import reason_unavailable
from ltray.results.importance_table import NOT_SIGNIFICANT
from ltray.results.run_record import RunRecord
from ltray.results.tables import FRONT, trial_label

IMPORTANCE_HEADING = "Hyperparameter importance"
FRONT_CAPTION = (
    "Complete trials that no other trial dominates. The values are those of the trial's best epoch by the first "
    "objective."
)


def front(record: RunRecord) -> str:
    """Return the Pareto front as charts and as a table."""
    trials, objectives = record.trials, record.objectives
    columns = {name: name if name == "seconds" else f"{record.selection}/{name}" for name in objectives}
    if trials is None or FRONT not in trials or not set(columns.values()) <= set(trials):
        return ""
    known = trials[(trials["state"] == "complete") & trials[list(columns.values())].notna().all(axis=1)]
    if not len(known):
        return ""
    first, others = columns[objectives[0]], objectives[1:]
    labels = [(_label(other), _label(objectives[0])) for other in others]
    charts = [
        figures.front(known, x=columns[other], y=first, labels=pair, line=len(others) == 1)
        for other, pair in zip(others, labels, strict=True)
    ]
    best = known[known[FRONT]].sort_values(first, ascending=False, kind="stable")
    rows = [
        [
            trial_label(row["trial"], row["paper"]),
            *(f"{row[c]:.1f}" if name == "seconds" else percent(row[c]) for name, c in columns.items()),
            *(cell(row.get(knob)) for knob in record.varied),
        ]
        for _, row in best.iterrows()
    ]
    headings = ["trial", *map(_label, objectives), *(symbol(k) or k.rpartition(".")[2] for k in record.varied)]
    return section(
        "Pareto front",
        paragraph(FRONT_CAPTION),
        grid(charts, 2),
        key([("blue", "Pareto front"), ("grey", "dominated"), ("orange", "papers' setting")]),
        table(headings, rows),
    )


def _label(objective: str) -> str:
    return "training time, s" if objective == SECONDS else f"{title(objective)}, %"


def importance(record: RunRecord) -> str:
    """Return the importance of the knobs for each group of classes, or why it cannot be computed."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return ""
    reason, found = reason_unavailable(record.trials, record.rule), record.importance
    if not reason and found is None:
        return ""  # the search has not ended
    if not reason and found is not None and not found["beyond_chance"].any():
        reason = NOT_SIGNIFICANT.format(len(record.trials))
    if reason or found is None:
        return section(IMPORTANCE_HEADING, paragraph(f"{reason[0].upper()}{reason[1:]}.", "soft"))
    text = (
        "Importance in % (PED-ANOVA): how much the settings of the best trials differ from those of all trials. "
        "A dot means not significant: 5 % of searches with shuffled results would reach the same importance."
    )
    if found["variance"].notna().any():
        text += " The last columns are the share of the variance (fANOVA)."
    return section(IMPORTANCE_HEADING, paragraph(text), _importance_table(found))


def _importance_table(found: pd.DataFrame) -> str:
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
    return table(headings, rows, text_columns=(0, 1))
