"""What a search found beside its best trial: the front of several objectives, the knobs that moved it."""

from typing import Any

import pandas as pd

from ltray.metrics import SECONDS, title
from ltray.report import marks
from ltray.report.page import grid, key, paragraph, section, table
from ltray.report.words import cell, percent, symbol
from ltray.results.importance import untold
from ltray.results.run_record import RunRecord
from ltray.results.tables import FRONT
from ltray.results.what_moved import NOT_BEYOND_CHANCE

WORDS = "Whole runs that no other one beats in every objective; each stands for its best epoch by the first."


def front(record: RunRecord) -> str:
    """Return the trials that no other one beats in every objective: drawn, and as a table."""
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
        marks.front(known, x=columns[other], y=first, labels=pair, line=len(others) == 1)
        for other, pair in zip(others, labels, strict=True)
    ]
    best = known[known[FRONT]].sort_values(first, ascending=False, kind="stable")
    rows = [
        [
            f"paper {row['trial']}" if row["paper"] else str(row["trial"]),
            *(f"{row[c]:.1f}" if name == "seconds" else percent(row[c]) for name, c in columns.items()),
            *(cell(row.get(knob)) for knob in record.varied),
        ]
        for _, row in best.iterrows()
    ]
    headings = ["trial", *map(_label, objectives), *(symbol(k) or k.rpartition(".")[2] for k in record.varied)]
    return section(
        "The front",
        paragraph(WORDS),
        grid(charts, 2),
        key([("blue", "the front"), ("grey", "beaten by another"), ("orange", "papers' setting")]),
        table(headings, rows),
    )


def _label(objective: str) -> str:
    return "training time, s" if objective == SECONDS else f"{title(objective)}, %"


def moved(record: RunRecord) -> str:
    """Return the knobs' importance for each group of classes, or why there is none."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return ""
    reason, found = untold(record.trials, record.rule), record.importance
    if not reason and found is None:
        return ""  # the search has not come to its end
    if not reason and found is not None and not found["beyond_chance"].any():
        reason = NOT_BEYOND_CHANCE.format(len(record.trials))
    if reason or found is None:
        return section("What moved it", paragraph(f"{reason[0].upper()}{reason[1:]}.", "soft"))
    words = (
        "What set the best trials apart, in % (PED-ANOVA): how far their settings differ from those of all. "
        "A dot: not told from chance, as 5 % of searches with shuffled results would show as much."
    )
    if found["variance"].notna().any():
        words += " Beside it the share of the variance (fANOVA)."
    return section("What moved it", paragraph(words), _importance(found))


def _importance(found: pd.DataFrame) -> str:
    """Return a row a knob, a column a group."""
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
    return table(headings, rows, words=(0, 1))
