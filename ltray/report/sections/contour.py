"""Accuracy over the two most important knobs together, as contours by optuna.visualization."""

import logging
from typing import TYPE_CHECKING

import pandas as pd

from ltray.report.facts import knob_label
from ltray.report.plot import Plot, log_ticks, new_figure
from ltray.report.section import Section
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.results.verdict import METHODS

if TYPE_CHECKING:
    import optuna

LEAST = 15  # trials with a value: fewer show no surface, and optuna.visualization takes a second to import
SCALE = [[0.0, colour("line")], [0.5, colour("teal")], [1.0, colour("blue")]]


def contour(record: RunRecord) -> Section | None:
    """Return the contours over two numeric knobs of the best trial's method, or None with too few trials."""
    trials, metric = record.trials, record.metric
    if trials is None or metric not in trials or not trials[metric].notna().any():
        return None
    known = trials[trials[metric].notna()]
    if METHODS in known:
        known = known[known[METHODS] == known.iloc[0][METHODS]]
    knobs = _two_knobs(record, known)
    if len(knobs) < 2 or len(known) < LEAST:
        return None
    return Section("contour", "Two knobs together", {"plot": _contours(known, knobs, record)})


def _two_knobs(record: RunRecord, known: pd.DataFrame) -> list[str]:
    """Return the two numeric knobs with the highest importance for all classes; without it, the first two."""
    numeric = [
        knob
        for knob in record.explored
        if knob in known
        and pd.api.types.is_numeric_dtype(known[knob])
        and not pd.api.types.is_bool_dtype(known[knob])
        and known[knob].nunique() > 2
    ]
    if record.importance is not None and len(record.importance):
        first = record.importance[record.importance["group"] == record.importance.iloc[0]["group"]]
        shares = dict(zip(first["knob"], first["share"], strict=True))
        numeric.sort(key=lambda knob: -shares.get(knob, 0.0))
    return numeric[:2]


def _contours(known: pd.DataFrame, knobs: list[str], record: RunRecord) -> Plot:
    import optuna.visualization  # imported here: it takes a second

    logs = {knob: "(log)" in record.explored[knob] for knob in knobs}
    optuna_logger = logging.getLogger("optuna")
    before = optuna_logger.level
    optuna_logger.setLevel(logging.ERROR)
    try:
        figure = optuna.visualization.plot_contour(_study(known, knobs, record.metric, logs), params=knobs)
    finally:
        optuna_logger.setLevel(before)
    across, up = figure.layout.xaxis.title.text, figure.layout.yaxis.title.text  # optuna sorts them by name
    style = new_figure(*(knob_label(knob) for knob in (across, up))).layout
    axes = {name: figure.layout[name] for name in ("xaxis", "yaxis")}
    figure.layout = style
    for name, axis in axes.items():
        figure.layout[name].update(type=axis.type, range=axis.range)
        if axis.type == "log":
            low, high = (10.0**end for end in axis.range)
            figure.layout[name].update(log_ticks(low, high))
    figure.update_traces(
        colorscale=SCALE,
        reversescale=False,
        selector={"type": "contour"},
        colorbar={"title": {"text": "%"}, "thickness": 12},
    )
    figure.update_traces(
        marker={"color": colour("ink"), "size": 6}, name="trial", showlegend=False, selector={"type": "scatter"}
    )
    figure.update_traces(hovertemplate="%{x:.4g}, %{y:.4g}: %{z:.1f} %<extra></extra>", selector={"type": "contour"})
    figure.update_traces(text=None, hovertemplate="%{x:.4g}, %{y:.4g}<extra></extra>", selector={"type": "scatter"})
    best = known.iloc[int(known[record.metric].argmax())]
    places = " and ".join(f"{knob} {best[knob]:.4g}" for knob in knobs)
    label = f"Accuracy over {across} and {up}, interpolated between {len(known)} trials; the best has {places}."
    return Plot(figure, label, height=360)


def _study(known: pd.DataFrame, knobs: list[str], metric: str, logs: dict[str, bool]) -> "optuna.Study":
    """Return a study in memory with the settings of the trials; stopped trials have their last value."""
    import optuna
    from optuna.distributions import BaseDistribution, FloatDistribution

    found = optuna.create_study(direction="maximize")
    every: dict[str, BaseDistribution] = {
        knob: FloatDistribution(float(known[knob].min()), float(known[knob].max()), log=logs[knob]) for knob in knobs
    }
    for _, row in known.iterrows():
        params = {knob: float(row[knob]) for knob in knobs if pd.notna(row[knob])}
        ranges = {knob: every[knob] for knob in params}
        found.add_trial(optuna.trial.create_trial(value=100 * row[metric], params=params, distributions=ranges))
    return found
