"""Parallel coordinates and contours: several knobs of a method together."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from ltray.report.facts import knob_label
from ltray.report.formatting import cell
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.results.verdict import METHODS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LEAST = 4  # trials of a method with a value
MOST_KNOBS = 10
SHADES = ("grey", "teal", "blue")
"""Colours of the lower half, the next quarter and the best quarter of the trials."""


def parallel(record: RunRecord) -> Section | None:
    """Return parallel coordinates, one figure per method with enough trials and at least two explored knobs.

    Plotly's own type of figure needs WebGL, which printers, remote desktops and some browsers do not have; these are
    lines.
    """
    trials, metric = record.trials, record.metric
    if trials is None or metric not in trials:
        return None
    known = trials[trials[metric].notna()]
    parts = known.groupby(METHODS) if METHODS in record.varied and METHODS in known else [("", known)]
    plots = []
    for name, own in parts:
        knobs = [knob for knob in record.explored if knob in own and own[knob].nunique() > 1]
        if len(own) >= LEAST and len(knobs) > 1:
            logs = {knob: "(log)" in record.explored[knob] for knob in knobs}
            plots.append(_lines(own, knobs[:MOST_KNOBS], metric, logs, str(name)))
    return Section("parallel", "Settings of each trial", {"plots": plots}) if plots else None


def _lines(own: pd.DataFrame, knobs: list[str], metric: str, logs: dict[str, bool], method: str) -> Plot:
    figure = new_figure(left=20)
    order = own.sort_values(metric)
    axes = [_Axis(own[knob], log=logs[knob]) for knob in knobs] + [_Axis(100 * own[metric], log=False)]
    names = [*(knob_label(knob) for knob in knobs), "accuracy, %"]
    for place, (_, row) in enumerate(order.iterrows()):
        rank = (place + 1) / len(order)
        tone = "orange" if row["paper"] else SHADES[2 if rank > 0.75 else 1 if rank > 0.5 else 0]
        values = [*(row[knob] for knob in knobs), 100 * row[metric]]
        best = place == len(order) - 1
        figure.add_scatter(
            x=list(range(len(axes))),
            y=[axis.share(value) for axis, value in zip(axes, values, strict=True)],
            mode="lines+markers",
            line={"color": colour(tone), "width": 3 if best else 1.5},
            marker={"size": 5},
            opacity=1.0 if best or row["paper"] else 0.75,
            customdata=[
                f"trial {row['trial']}: {name} {cell(value)}" for name, value in zip(names, values, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    _frame(figure, axes, names)
    best_row = order.iloc[-1]
    shown = ", ".join(f"{knob} {cell(best_row[knob])}" for knob in knobs)
    label = (
        f"Settings and accuracy of {len(own)} trials as lines; the best, {100 * best_row[metric]:.1f} %, has {shown}."
    )
    return Plot(figure, label, height=320, title=method)


class _Axis:
    """The scale of one vertical axis: from 0, its lowest value, to 1."""

    def __init__(self, values: "pd.Series[Any]", *, log: bool) -> None:
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        self.names = None if numeric else sorted(set(map(str, values.dropna())))
        self.log = bool(log and numeric and (values.dropna() > 0).all())
        known = [self._position(value) for value in values.dropna()]
        self.low, self.high = min(known), max(known)
        self.ends = (cell(values.min()), cell(values.max())) if numeric else (self.names[0], self.names[-1])  # type: ignore[index]

    def share(self, value: Any) -> float | None:
        """Return the position of a value in [0, 1], or None without a value."""
        if pd.isna(value):
            return None
        return (self._position(value) - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def _position(self, value: Any) -> float:
        if self.names is not None:
            return float(self.names.index(str(value)))
        return math.log(value) if self.log else float(value)


def _frame(figure: "Figure", axes: list[_Axis], names: list[str]) -> None:
    """Draw the axes with their names, lowest and highest values."""
    for place, axis in enumerate(axes):
        figure.add_vline(x=place, line={"color": colour("grey"), "width": 1}, layer="below")
        for end, y, anchor in ((axis.ends[0], 0, "top"), (axis.ends[1], 1, "bottom")):
            figure.add_annotation(
                x=place, y=y, text=short(end, 12), showarrow=False, yanchor=anchor, yshift=-4 if y == 0 else 4
            )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[short(name, 14) for name in names],
        range=[-0.3, len(axes) - 0.7],
        showline=False,
    )
    figure.update_yaxes(visible=False, range=[-0.12, 1.12])
