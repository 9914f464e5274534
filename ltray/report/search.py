"""The sections on the trials of a search: knobs, accuracy over each knob, curves, table."""

from ltray.metrics import BALANCED, METRICS, heading, shown_keys, title
from ltray.report import figures
from ltray.report.formatting import cell, percent, symbol
from ltray.report.page import folded, grid, key, paragraph, section, table
from ltray.results.run_record import RunRecord
from ltray.results.tables import SEEDS, precision_of_best, seeds_error_key, state_of, trial_label
from ltray.strategies.stopping_rules import STOPPING_RULES
from ltray.study.seed_runs import RUN_SEED
from ltray.study.short_runs import RUN_EPOCH

SHOWN = 15  # trials in the visible part of the table


def explored(record: RunRecord) -> str:
    """Return the explored knobs with their ranges, the papers' values and the best values."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return ""
    best = record.trials.iloc[0]
    papers = record.trials[record.trials["paper"]]
    rows = []
    for knob, text in record.explored.items():  # a knob is only in the papers' setting of its method
        known = papers[knob].dropna().tolist() if knob in papers else []
        rows.append([knob, symbol(knob), text, cell(known[0]) if known else "–", cell(best.get(knob))])
    return section(
        "Explored knobs", table(["knob", "symbol", "range", "papers'", "best trial"], rows, text_columns=(0, 1, 2))
    )


def slices(record: RunRecord) -> str:
    """Return accuracy over each explored knob."""
    metric = record.metric
    if record.trials is None or metric not in record.trials:
        return ""
    known = record.trials[record.trials[metric].notna()]
    charts = [
        figures.slice_of(known, knob, metric, label=symbol(knob) or knob.rpartition(".")[2], log="(log)" in text)
        for knob, text in record.explored.items()
        if knob in known and known[knob].notna().any()
    ]
    if not len(known) or not charts:
        return ""
    legend = [("blue", "complete trial"), ("hollow", "stopped early"), ("orange", "papers' setting")]
    values = paragraph("Members of a population are shown at their last values.", "soft")
    text = _of_group(record) + (values if STOPPING_RULES[record.rule].population else "")
    return section("Accuracy over each knob", text, grid(charts, 3), key(legend))


def curves(record: RunRecord) -> str:
    """Return the learning curves."""
    metric = record.metric
    history = record.history
    if RUN_SEED in history:  # the runs of a trial have the same epochs
        history = history.assign(epoch=history[RUN_EPOCH].fillna(history["epoch"]))
    if metric not in history or not len(history):
        return ""
    best = int(record.trials.iloc[0]["trial"]) if record.trials is not None and len(record.trials) else 0
    papers = [int(n) for n in record.trials[record.trials["paper"]]["trial"]] if record.trials is not None else []
    drawn = figures.learning_curves(history[history[metric].notna()], metric, best=best, papers=papers)
    legend = [("blue", f"best trial {best}"), ("orange", "papers' setting"), ("grey", "other trials")]
    legend += [("", "dotted lines: epochs at which trials were stopped")] if record.is_search else []
    return section("Learning curves", _of_group(record), drawn, key(legend) if record.is_search else "")


def trials(record: RunRecord) -> str:
    """Return the table of trials, best first."""
    if record.trials is None or not len(record.trials):
        return ""
    metrics = [key for key in shown_keys(record.objectives[0]) if f"{record.selection}/{key}" in record.trials]
    spread = seeds_error_key(record.metric)
    several = spread in record.trials
    headings = [
        "trial",
        *map(heading, metrics),
        *(["± seeds", "seeds"] if several else []),
        "epochs",
        "state",
        *(symbol(k) or k.rpartition(".")[2] for k in record.varied),
    ]
    rows, kinds = [], []
    for place, row in record.trials.iterrows():
        name = trial_label(row["trial"], row["paper"])
        accuracy = [percent(row[f"{record.selection}/{key}"]) for key in metrics]
        accuracy += [percent(row[spread]), cell(row[SEEDS])] if several else []
        rows.append([name, *accuracy, str(row["epochs"]), state_of(row), *(cell(row.get(k)) for k in record.varied)])
        kinds.append("first" if place == 0 else "paper" if row["paper"] else "")
    text_columns = (len(metrics) + (4 if several else 2),)
    open_part = table(headings, rows[:SHOWN], text_columns=text_columns, kinds=kinds)
    rest = (
        folded(f"{len(rows) - SHOWN} more", table(headings, rows[SHOWN:], text_columns=text_columns))
        if len(rows) > SHOWN
        else ""
    )
    where = "the test set" if record.protocol == "paper" else "validation images"
    caption = f"Accuracy on {where} in %, for the best epoch of each trial."
    if error := precision_of_best(record.trials, record.metric):
        caption += f" Standard error of the best trial's value: {error}; a smaller difference is not significant."
    if several:
        caption += " Values are means over a trial's seeds, ± seeds the standard error of that mean."
    return section("Trials", paragraph(caption, "soft"), open_part, rest)


def _of_group(record: RunRecord) -> str:
    """Return the name of the metric that the charts show, if it is not the accuracy over all images."""
    first = record.objectives[0]
    group = METRICS[first].group
    text = f"Accuracy of the {group}-shot classes" if group else title(first).capitalize()
    return "" if first == BALANCED else paragraph(f"{text}: the first objective.", "soft")
