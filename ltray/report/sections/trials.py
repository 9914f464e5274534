"""The table of trials, best first."""

from ltray.metrics import heading, shown_keys
from ltray.report.facts import knob_label
from ltray.report.formatting import cell, percent
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.results.run_record import RunRecord
from ltray.results.tables import SEEDS, precision_of_best, seeds_error_key, state_of, trial_label

SHOWN = 15  # trials in the visible part of the table


def trials(record: RunRecord) -> Section | None:
    """Return the table of a search with trials."""
    if record.trials is None or not len(record.trials):
        return None
    several = seeds_error_key(record.metric) in record.trials
    table = _table(record, several)
    caption = f"Accuracy {record.selected_how} in %, for the best epoch of each trial."
    if error := precision_of_best(record.trials, record.metric):
        caption += f" Standard error of the best trial's value: {error}; a smaller difference is not significant."
    if several:
        caption += " Values are means over a trial's seeds, ± seeds the standard error of that mean."
    rest = table.part(SHOWN) if len(table.rows) > SHOWN else None
    return Section("trials", "Trials", {"caption": caption, "table": table.part(0, SHOWN), "rest": rest})


def _table(record: RunRecord, several: bool) -> PageTable:
    assert record.trials is not None
    metrics = [key for key in shown_keys(record.objectives[0]) if f"{record.selection}/{key}" in record.trials]
    spread = seeds_error_key(record.metric)
    headings = [
        "trial",
        *map(heading, metrics),
        *(["± seeds", "seeds"] if several else []),
        "epochs",
        "state",
        *(knob_label(knob) for knob in record.varied),
    ]
    rows, kinds = [], []
    for place, row in record.trials.iterrows():
        name = trial_label(row["trial"], row["paper"])
        accuracy = [percent(row[f"{record.selection}/{key}"]) for key in metrics]
        accuracy += [percent(row[spread]), cell(row[SEEDS])] if several else []
        rows.append([name, *accuracy, str(row["epochs"]), state_of(row), *(cell(row.get(k)) for k in record.varied)])
        kinds.append("first" if place == 0 else "paper" if row["paper"] else "")
    state = len(metrics) + (4 if several else 2)
    return PageTable("Trials, the best first", headings, rows, text=(0, state), kinds=kinds)
