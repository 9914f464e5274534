"""The finalists: settings that were trained again on new seeds, with intervals."""

import math
from typing import Any

import pandas as pd

from ltray.metrics import heading, shown_keys
from ltray.report.facts import images_of
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import colour
from ltray.results.finalist_table import against, meanings, methods_of, name_of, selected_on, shift_of, spread
from ltray.results.ledger import LOOK, describe_look
from ltray.results.run_record import RunRecord

ROW = 40  # pixels
PERCENT = 100.0


def finalists(record: RunRecord) -> Section | None:
    """Return the finalists: figures, intervals, differences from the papers' setting."""
    if record.finalists is None or record.finalist_runs is None:
        return None
    found, runs = record.finalists, record.finalist_runs
    seen, test = selected_on(found.iloc[0]), f"test/{found.iloc[0]['objective']}"
    plots = [dots(found, runs, metric="selection", title=seen)]
    if record.protocol != "paper":
        plots.append(dots(found, runs, metric=test, title="test"))
    look = describe_look(int(found.iloc[0][LOOK])) if LOOK in found else ""
    values = {"caption": _caption(found, images_of(record)), "look": look, "plots": plots, "table": _table(found)}
    return Section("finalists", "Finalists", values)


def _table(found: pd.DataFrame) -> PageTable:
    metrics = [key for key in shown_keys(found.iloc[0]["objective"]) if f"test/{key}_mean" in found]
    several = ["methods"] if methods_of(found) else []
    columns = ["runs", selected_on(found.iloc[0]), *(f"test {heading(key)}" for key in metrics), against(found)]
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
    text = (0, *range(1, 1 + len(several)), len(headings) - 2, len(headings) - 1)
    return PageTable("Accuracy in %, mean ± 95 % interval", headings, rows, text=text, kinds=kinds)


def dots(found: pd.DataFrame, runs: pd.DataFrame, *, metric: str, title: str) -> Plot:
    """Draw every run of every finalist, with the mean and its interval.

    Args:
        found: The summary, best first.
        runs: One row per run.
        metric: "selection" for the selection images, or "test/acc_all".
        title: Heading of the figure.
    """
    known = [row for _, row in found[found[f"{metric}_mean"].notna()].iterrows()]
    column = metric if metric != "selection" else _selection_column(found.iloc[0])
    figure = new_figure("accuracy, %", left=10)
    for place, row in enumerate(known):
        own = runs[(runs["trial"] == row["trial"]) & runs[column].notna()]
        figure.add_scatter(
            x=[PERCENT * value for value in own[column]],
            y=[place + 0.25] * len(own),
            mode="markers",
            marker={"color": colour("grey"), "size": 6},
            customdata=[f"seed {run['seed']}, data seed {run['data_seed']}" for _, run in own.iterrows()],
            hovertemplate="%{customdata}: %{x:.1f} %<extra></extra>",
        )
        figure.add_scatter(**_mean(row, metric, place))
    figure.update_yaxes(
        tickvals=list(range(len(known))),
        ticktext=[short(name_of(row)) for row in known],
        range=[len(known) - 0.5, -0.5],
        showgrid=False,
    )
    parts = [f"{name_of(row)} {spread(row, metric)} %" for row in known]
    label = f"Mean accuracy of the finalists with 95 % intervals, {title}: {'; '.join(parts)}."
    return Plot(figure, label, height=60 + ROW * len(known), title=title)


def _mean(row: "pd.Series[Any]", metric: str, place: int) -> dict[str, Any]:
    mean = PERCENT * row[f"{metric}_mean"]
    low, high = (min(max(PERCENT * row[f"{metric}_{end}"], 0.0), PERCENT) for end in ("low", "high"))
    known = math.isfinite(row[f"{metric}_low"])
    tone = colour("orange" if row["paper"] else "blue")
    text = f"mean {mean:.2f} %" + (f", {low:.1f} to {high:.1f} %" if known else "")
    marker = {"color": tone, "size": 10, "symbol": "square" if row["paper"] else "circle"}
    errors = {"type": "data", "symmetric": False, "array": [high - mean], "arrayminus": [mean - low], "color": tone}
    return {
        "x": [mean],
        "y": [place],
        "mode": "markers",
        "marker": marker,
        "error_x": errors | {"thickness": 2} if known else None,
        "customdata": [f"{name_of(row)}: {text}"],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _selection_column(row: "pd.Series[Any]") -> str:
    return f"{'test' if row['protocol'] == 'paper' else 'val'}/{row['objective']}"


def _caption(found: pd.DataFrame, images: str) -> str:
    first = found.iloc[0]
    unit = f"{first['seeds']} training seeds"
    if first["data_seeds"] > 1:
        unit = f"{first['data_seeds']} data seeds (each with {unit})"
    chosen = f"The winner has the highest mean on {images}. Each run read the test set once; nothing was selected on it"
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
