"""The first part of the page: methods and data, key figures, finalists, published figures."""

import pandas as pd

from ltray.metrics import heading, shown_accuracies, shown_keys
from ltray.published.of_run import claims_of
from ltray.published.table import HEADINGS, claim_rows
from ltray.published.table import meanings as claim_meanings
from ltray.report import figures
from ltray.report.formatting import SELECTED_ON_TEST, percent, spread_of
from ltray.report.page import grid, key, paragraph, section, table
from ltray.results.finalist_table import against, meanings, methods_of, name_of, selected_on, shift_of, spread
from ltray.results.ledger import LOOK, describe_look
from ltray.results.run_record import RunRecord
from ltray.results.verdict import shown_rows, verdict_of


def headline(record: RunRecord) -> str:
    """Return methods, data and protocol in one line."""
    settings = record.settings
    what = f"search over {len(record.explored)} knobs" if record.is_search else "training run"
    stamp = SELECTED_ON_TEST if record.protocol == "paper" else "selected on validation images"
    return f"{what}: {record.methods} on {settings['dataset']}; {stamp}"


def key_figures(record: RunRecord) -> list[tuple[str, str]]:
    """Return the key figures."""
    found = []
    if record.trials is not None and len(record.trials):
        states = record.trials["state"].value_counts()
        text = ", ".join(f"{count} {state}" for state, count in states.items())
        found.append((str(len(record.trials)), f"trials ({text})"))
    if record.finalists is not None:
        best = record.finalists.iloc[0]
        chosen = f"{selected_on(best)}, winner {name_of(best)}, mean over new seeds"
        found.append((f"{spread(best, 'selection')} %", chosen))
        first = record.objectives[0]
        text = "test, same runs" if heading(first) == "all" else f"test {heading(first)}, same runs"
        found.append((f"{spread(best, f'test/{first}')} %", text))
        if not best["paper"]:
            found.append((str(best["verdict"]), f"compared with the papers' setting: {shift_of(best)} points on test"))
    elif record.evaluation:
        shown = shown_accuracies(record.evaluation["metrics"], "test", record.objectives[0])
        found += [(f"{percent(value)} %", f"test {name}") for name, value in shown.items()]
    return found


def which_method(record: RunRecord) -> str:
    """Return the answer of a search over several methods: a table of the methods, sentences and commands."""
    verdict = verdict_of(record)
    if verdict is None:
        return ""
    rows = shown_rows(verdict)
    shown = table([name or "verdict" for name in rows[0]], [list(row.values()) for row in rows], text_columns=(0, 3, 5))
    text = [paragraph(sentence) for sentence in verdict.sentences]
    steps = [paragraph(f"Next: {s.why}" + (f": {s.command}" if s.command else ""), "soft") for s in verdict.steps]
    return section("Which method", *text, shown, *steps)


def overview_row(record: RunRecord) -> list[str]:
    """Return a run's row in the table that compares several."""
    settings, row = record.settings, [record.folder.name]
    row += [record.methods, str(settings["dataset"]), record.protocol]
    if record.finalists is not None:
        best = record.finalists.iloc[0]
        return row + [spread(best, "selection"), *(spread_of(best, f"test/{key}") for key in shown_keys())]
    evaluation = record.evaluation or {"selection": {}, "metrics": {}}
    return row + [
        percent(evaluation["selection"].get(record.metric)),
        *(percent(evaluation["metrics"].get(f"test/{key}")) for key in shown_keys()),
    ]


def finalists(record: RunRecord) -> str:
    """Return the finalists: charts, intervals, differences from the papers' setting."""
    if record.finalists is None or record.finalist_runs is None:
        return ""
    found, runs = record.finalists, record.finalist_runs
    metrics = [key for key in shown_keys(found.iloc[0]["objective"]) if f"test/{key}_mean" in found]
    seen, test = selected_on(found.iloc[0]), f"test/{found.iloc[0]['objective']}"
    several = ["methods"] if methods_of(found) else []
    columns = ["runs", seen, *(f"test {heading(key)}" for key in metrics), against(found)]
    headings = ["finalist", *several, *columns, "verdict", "state"]
    rows = []
    for _, row in found.iterrows():
        verdict = "the papers' setting" if row["paper"] else str(row["verdict"])
        state = row["state"] + (f", {row['failed']} failed" if row["failed"] else "")
        accuracy = [spread(row, "selection"), *(spread(row, f"test/{key}") for key in metrics)]
        rows.append(
            [name_of(row), *(row[name] for name in several), str(row["runs"]), *accuracy, shift_of(row), verdict, state]
        )
    kinds = ["first" if row["winner"] else "paper" if row["paper"] else "" for _, row in found.iterrows()]
    charts = [f"<h3>{seen}</h3>" + figures.finalist_dots(found, runs, metric="selection")]
    if record.protocol != "paper":
        charts.append("<h3>test</h3>" + figures.finalist_dots(found, runs, metric=test))
    return section(
        "Finalists",
        paragraph(_finalist_caption(found)),
        _look_caption(found),
        grid(charts, 2),
        key([("blue", "mean and 95 % interval"), ("orange", "papers' setting"), ("grey", "single runs")]),
        table(
            headings,
            rows,
            text_columns=(0, *range(1, 1 + len(several)), len(headings) - 2, len(headings) - 1),
            kinds=kinds,
        ),
    )


def _look_caption(found: pd.DataFrame) -> str:
    """Return the number of the finalists' look at the test images; "" for versions that did not count looks."""
    return (
        paragraph(f"Test accuracies of all finalists together: {describe_look(int(found.iloc[0][LOOK]))}.")
        if LOOK in found
        else ""
    )


def _finalist_caption(found: pd.DataFrame) -> str:
    first = found.iloc[0]
    unit = f"{first['seeds']} training seeds"
    if first["data_seeds"] > 1:
        unit = f"{first['data_seeds']} data seeds (each with {unit})"
    chosen = (
        "The winner has the highest mean on validation images. Each run read the test set once; nothing was selected "
        "on it"
    )
    if first["protocol"] == "paper":
        chosen = "The winner has the highest mean on the test set itself"
    kinds = "".join(f"{text[0].upper()}{text[1:]}. " for text in meanings(found))
    stopped = (found["state"] != "finished").any()
    early = " A setting was stopped early if it was significantly worse than the best one, or if its run crashed."
    return (
        f"Each setting was trained again on {unit} that the search did not use. {chosen}. Differences are paired by "
        f"seed. {kinds}If no setting truly differs from the papers' setting, at most 5 of 100 searches report any "
        "setting as better, and at most 5 report any as worse. (≥ +0.1): the true difference in points is at least "
        "this large. ±: the true mean is in this range in 95 of 100 searches, also for the "
        f"winner.{early if stopped else ''}"
    )


def claims(record: RunRecord) -> str:
    """Return the published figures and the run's own."""
    found = claims_of(record)
    if not found:
        return ""
    kinds = ". ".join(text[0].upper() + text[1:] for text in claim_meanings(found))
    text = paragraph(
        f"A published figure is the result of one run; with another seed, it would be different. {kinds}.", "soft"
    )
    return section("Published figures", text, table(HEADINGS, claim_rows(found), text_columns=(0, 1, 4)))
