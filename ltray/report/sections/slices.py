"""Accuracy over each explored knob."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from ltray.report.facts import knob_label, of_group
from ltray.report.plot import Plot, log_ticks, new_figure, short
from ltray.report.section import Section
from ltray.report.theme import colour
from ltray.results.run_record import RunRecord
from ltray.strategies.stopping_rules import STOPPING_RULES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

KEY = [("blue", "complete trial"), ("hollow", "stopped early"), ("orange", "papers' setting")]
HEIGHT = 220  # pixels


def slices(record: RunRecord) -> Section | None:
    """Return a figure for each explored knob that has values.

    optuna.visualization draws complete trials only; here, those that early stopping ended are also shown.
    """
    metric = record.metric
    if record.trials is None or metric not in record.trials:
        return None
    known = record.trials[record.trials[metric].notna()]
    plots = [
        slice_of(known, knob, metric, label=knob_label(knob), log="(log)" in text)
        for knob, text in record.explored.items()
        if knob in known and known[knob].notna().any()
    ]
    if not plots:
        return None
    population = STOPPING_RULES[record.rule].population
    return Section(
        "slices",
        "Accuracy over each knob",
        {"note": of_group(record), "population": population, "plots": plots, "key": KEY},
    )


def slice_of(trials: pd.DataFrame, knob: str, metric: str, *, label: str, log: bool) -> Plot:
    """Draw the metric of every trial over one explored knob.

    Args:
        trials: Results; those without the metric are left out.
        knob: Column of the knob.
        metric: Column to draw, a share of 1.
        label: Label of the axis.
        log: Whether the knob was drawn on a logarithmic scale.
    """
    known = trials[trials[metric].notna() & trials[knob].notna()]
    figure = new_figure(label, "%", left=36)
    xs = _axis(figure, known[knob], log)
    top = int(known[metric].argmax())
    tones = [_tone(row) for _, row in known.iterrows()]
    figure.add_scatter(
        x=xs,
        y=[100 * value for value in known[metric]],
        mode="markers",
        marker={
            "color": [colour(tone) for tone, _ in tones],
            "symbol": [symbol for _, symbol in tones],
            "opacity": 1,
            "size": [12 if place == top else 8 for place in range(len(known))],
        },
        customdata=[[f"trial {row['trial']}", str(row[knob]), row["state"]] for _, row in known.iterrows()],
        hovertemplate="%{customdata[0]}: %{y:.1f} %, %{customdata[1]}, %{customdata[2]}<extra></extra>",
    )
    best = known.iloc[top]
    text = f"Accuracy over {knob} of {len(known)} trials; the highest, {100 * best[metric]:.1f} %, is at {best[knob]}."
    return Plot(figure, text, height=HEIGHT, title=knob)


def _axis(figure: "Figure", values: "pd.Series[Any]", log: bool) -> list[float]:
    """Return the horizontal positions; values that are not numbers get one position for each."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        figure.update_xaxes(type="log" if log and (values > 0).all() else "linear", nticks=5)
        if log and (values > 0).all():
            figure.update_xaxes(**log_ticks(float(values.min()), float(values.max())))
        return [float(value) for value in values]
    names = sorted(set(map(str, values)))
    figure.update_xaxes(
        tickvals=list(range(len(names))),
        ticktext=[short(name, 14) for name in names],
        range=[-0.5, len(names) - 0.5],
    )
    return [float(names.index(str(value))) for value in values]


def _tone(row: "pd.Series[Any]") -> tuple[str, str]:
    """Return colour and marker of a trial."""
    if row["paper"]:
        return "orange", "square"
    return ("blue", "circle") if row["state"] == "complete" else ("grey", "circle-open")
