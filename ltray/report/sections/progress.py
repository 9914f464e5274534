"""The course of the search: the value of every trial in order, and the best one so far."""

import pandas as pd

from ltray.report.facts import images_of, of_group
from ltray.report.plot import Plot, new_figure
from ltray.report.section import Section
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord

KINDS = {
    "complete": ("blue", "circle"),
    "stopped early": ("grey", "circle-open"),
    "failed": ("red", "x"),
    "interrupted": ("grey", "x"),
}


def progress(record: RunRecord) -> Section | None:
    """Return the optimisation history of a search with at least two trials that have a value.

    optuna.visualization draws complete trials only; here, those that early stopping ended are also shown.
    """
    trials, metric = record.trials, record.metric
    if trials is None or metric not in trials or trials[metric].notna().sum() < 2:
        return None
    known = trials[trials[metric].notna()].sort_values("trial")
    values = {"note": of_group(record), "plot": _history(known, record), "images": images_of(record)}
    return Section("progress", "Course of the search", values)


def _history(known: pd.DataFrame, record: RunRecord) -> Plot:
    metric = record.metric
    figure = new_figure("trial", "accuracy, %", legend=True)
    for state, (tone, symbol) in KINDS.items():
        own = known[(known["state"] == state) & ~known["paper"]]
        if len(own):
            figure.add_scatter(**_dots(own, metric, state, tone, symbol))
    if known["paper"].any():
        figure.add_scatter(**_dots(known[known["paper"]], metric, "papers' setting", "orange", "square"))
    complete = known[known["state"] == "complete"]
    best = complete[metric].cummax()
    if len(complete):
        figure.add_scatter(
            x=complete["trial"].tolist(),
            y=[100 * value for value in best],
            mode="lines",
            name="best so far",
            line={"color": colour("blue"), "shape": "hv"},
            hoverinfo="skip",
        )
    last = int(known["trial"].max())
    figure.update_xaxes(range=[-0.03 * last - 0.5, 1.03 * last + 0.5], dtick=1 if last <= 12 else None)
    text = f"; the best complete trial has {100 * best.iloc[-1]:.1f} %" if len(complete) else ""
    return Plot(figure, f"Accuracy of {len(known)} trials in their order{text}.")


def _dots(own: pd.DataFrame, metric: str, name: str, tone: str, symbol: str) -> dict[str, object]:
    return {
        "x": own["trial"].tolist(),
        "y": [100 * value for value in own[metric]],
        "mode": "markers",
        "name": name,
        "marker": {"color": colour(tone), "symbol": symbol, "size": 8},
        "customdata": own["state"].tolist(),
        "hovertemplate": "trial %{x}: %{y:.1f} %, %{customdata}<extra></extra>",
    }
