"""What a search tried: knobs, slices, curves, trials."""

from ltray.metrics import BALANCED, METRICS, heading, shown_keys, title
from ltray.report import marks
from ltray.report.page import folded, grid, key, paragraph, section, table
from ltray.report.words import cell, percent, symbol
from ltray.results.run_record import RunRecord
from ltray.results.tables import precision_of_best, state_of

SHOWN = 15  # trials in the open part of the table


def explored(record: RunRecord) -> str:
    """Return the explored knobs with their ranges, the papers' values and the best ones."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return ""
    best = record.trials.iloc[0]
    papers = record.trials[record.trials["paper"]]
    rows = []
    for knob, words in record.explored.items():  # of several methods each knob stands in its own papers' setting
        known = papers[knob].dropna().tolist() if knob in papers else []
        rows.append([knob, symbol(knob), words, cell(known[0]) if known else "–", cell(best.get(knob))])
    return section(
        "What was searched", table(["knob", "symbol", "range", "papers'", "best trial"], rows, words=(0, 1, 2))
    )


def slices(record: RunRecord) -> str:
    """Return accuracy over each explored knob."""
    metric = record.metric
    if record.trials is None or metric not in record.trials:
        return ""
    known = record.trials[record.trials[metric].notna()]
    charts = [
        marks.slice_of(known, knob, metric, label=symbol(knob) or knob.rpartition(".")[2], log="(log)" in words)
        for knob, words in record.explored.items()
        if knob in known and known[knob].notna().any()
    ]
    if not len(known) or not charts:
        return ""
    legend = [("blue", "whole run"), ("hollow", "stopped early"), ("orange", "papers' setting")]
    values = paragraph("Members of a population stand at the values that they ended with.", "soft")
    words = _of_group(record) + (values if record.rule == "pbt" else "")
    return section("Accuracy over each knob", words, grid(charts, 3), key(legend))


def curves(record: RunRecord) -> str:
    """Return the learning curves."""
    metric = record.metric
    history = record.history
    if metric not in history or not len(history):
        return ""
    best = int(record.trials.iloc[0]["trial"]) if record.trials is not None and len(record.trials) else 0
    papers = [int(n) for n in record.trials[record.trials["paper"]]["trial"]] if record.trials is not None else []
    drawn = marks.learning_curves(history[history[metric].notna()], metric, best=best, papers=papers)
    legend = [("blue", f"best trial {best}"), ("orange", "papers' setting"), ("grey", "other trials")]
    legend += [("", "dotted: where trials were stopped")] if record.is_search else []
    return section("Learning curves", _of_group(record), drawn, key(legend) if record.is_search else "")


def trials(record: RunRecord) -> str:
    """Return the table of trials, best first."""
    if record.trials is None or not len(record.trials):
        return ""
    metrics = [key for key in shown_keys(record.objectives[0]) if f"{record.selection}/{key}" in record.trials]
    headings = [
        "trial",
        *map(heading, metrics),
        "epochs",
        "state",
        *(symbol(k) or k.rpartition(".")[2] for k in record.varied),
    ]
    rows, kinds = [], []
    for place, row in record.trials.iterrows():
        name = f"paper {row['trial']}" if row["paper"] else str(row["trial"])
        accuracy = [percent(row[f"{record.selection}/{key}"]) for key in metrics]
        rows.append([name, *accuracy, str(row["epochs"]), state_of(row), *(cell(row.get(k)) for k in record.varied)])
        kinds.append("first" if place == 0 else "paper" if row["paper"] else "")
    words = (len(metrics) + 2,)
    open_part = table(headings, rows[:SHOWN], words=words, kinds=kinds)
    rest = folded(f"{len(rows) - SHOWN} more", table(headings, rows[SHOWN:], words=words)) if len(rows) > SHOWN else ""
    where = "the test set" if record.protocol == "paper" else "validation images"
    caption = f"Accuracy on {where} in %, of each trial's best epoch."
    if error := precision_of_best(record.trials, record.metric):
        caption += f" Standard error of the best trial's value: {error}; a smaller lead may be chance."
    return section("Trials", paragraph(caption, "soft"), open_part, rest)


def _of_group(record: RunRecord) -> str:
    """Return of which classes the accuracy is that the search followed, where these are not all."""
    first = record.objectives[0]
    group = METRICS[first].group
    words = f"Accuracy of the {group}-shot classes" if group else title(first).capitalize()
    return "" if first == BALANCED else paragraph(f"{words}: the first objective.", "soft")
