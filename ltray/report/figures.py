"""The charts of a report, drawn from tables of results."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ltray.report.chart import Axis, Chart
from ltray.results.finalist_table import name_of
from ltray.study.short_runs import RUN

PERCENT = 100.0
NAMED = 12  # up to this number of classes, the axis has a label for each class


def learning_curves(history: pd.DataFrame, metric: str, *, best: int | None, papers: Sequence[int]) -> str:
    """Draw a metric by epoch, one line per trial; dotted lines mark the epochs at which trials were stopped.

    Args:
        history: One row per trial and epoch; a trial of several runs has one line for each run.
        metric: Column to draw, a fraction of 1.
        best: Trial to emphasise.
        papers: Trials of the papers' setting.
    """
    runs = history[RUN] if RUN in history else pd.Series(0, index=history.index)
    lines: dict[int, list[list[tuple[float, float]]]] = {}
    for (number, _), rows in history.groupby([history["trial"], runs.fillna(0)]):
        lines.setdefault(int(str(number)), []).append(_points(rows, metric))
    points = [p for parts in lines.values() for part in parts for p in part]
    longest = max(epoch for epoch, _ in points)
    axis = Axis(0.0 if longest > 2 else 0.5, longest * 1.02, "epoch")
    chart = Chart(axis, Axis.around([v for _, v in points], "accuracy, %"), "learning curves", height=280)
    for rung in sorted({parts[-1][-1][0] for parts in lines.values() if parts[-1][-1][0] < longest}):
        chart.rule(x=rung)
    ranks = {number: 2 if number == best else 1 if number in papers else 0 for number in lines}
    for number in sorted(lines, key=lambda n: ranks[n]):
        kind = ("rest", "paper", "best")[ranks[number]]
        for part in lines[number]:
            chart.line(part, kind, f"trial {number}: {part[-1][1]:.1f} % at epoch {part[-1][0]:g}")
            if len(part) == 1:
                chart.dot(*part[0], kind="run", hint=f"trial {number}")
    return chart.svg()


def _points(rows: pd.DataFrame, metric: str) -> list[tuple[float, float]]:
    return [(float(e), PERCENT * float(v)) for e, v in zip(rows["epoch"], rows[metric], strict=True)]


def slice_of(trials: pd.DataFrame, knob: str, metric: str, *, label: str, log: bool) -> str:
    """Draw the metric of every trial over one explored knob.

    Args:
        trials: Results; those without the metric are left out.
        knob: Column of the knob.
        metric: Column to draw, a share of 1.
        label: Label of the axis.
        log: Whether the knob was drawn on a logarithmic scale.
    """
    known = trials[trials[metric].notna() & trials[knob].notna()]
    numeric = pd.api.types.is_numeric_dtype(known[knob]) and not pd.api.types.is_bool_dtype(known[knob])
    names = tuple(sorted(set(map(str, known[knob]))))
    axis = Axis.around(map(float, known[knob]), label, log=log) if numeric else Axis.of_names(names, label)
    chart = Chart(axis, Axis.around(known[metric] * PERCENT), f"accuracy over {label}", width=300, height=200, left=34)
    order = known.sort_values("paper") if "paper" in known else known
    top = known[metric].idxmax()
    for place, row in order.iterrows():
        x = float(row[knob]) if numeric else float(names.index(str(row[knob])))
        kind = "paper" if row["paper"] else "stopped" if row["state"] != "complete" else ""
        hint = f"trial {row['trial']}: {PERCENT * row[metric]:.1f} %, {row[knob]}, {row['state']}"
        chart.dot(x, PERCENT * row[metric], kind=f"{kind} best" if place == top else kind, hint=hint, size=4)
    return chart.svg()


def front(trials: pd.DataFrame, *, x: str, y: str, labels: tuple[str, str], line: bool) -> str:
    """Draw every complete trial by two objectives and emphasise the Pareto front.

    Args:
        trials: Results with both columns and `front`; accuracies are shares of 1.
        x: Column of the horizontal axis.
        y: Column of the vertical axis.
        labels: Labels of the two axes.
        line: Whether to connect the dots of the Pareto front; with more than two objectives it has no order.
    """
    scale = {name: 1.0 if name == "seconds" else PERCENT for name in (x, y)}
    across, up = (Axis.around(trials[name] * scale[name], label) for name, label in zip((x, y), labels, strict=True))
    chart = Chart(across, up, f"Pareto front: {labels[1]} over {labels[0]}", height=280)
    best = trials[trials["front"]].sort_values(x)
    if line:
        chart.line([(scale[x] * a, scale[y] * b) for a, b in zip(best[x], best[y], strict=True)], "front")
    for _, row in trials.sort_values("front").iterrows():
        values = f"{labels[1]} {scale[y] * row[y]:.1f}, {labels[0]} {scale[x] * row[x]:.1f}"
        kind = "paper" if row["paper"] else "" if row["front"] else "run"
        size = 5.0 if row["front"] else 3.5
        chart.dot(scale[x] * row[x], scale[y] * row[y], kind=kind, hint=f"trial {row['trial']}: {values}", size=size)
    return chart.svg()


def finalist_dots(finalists: pd.DataFrame, runs: pd.DataFrame, *, metric: str) -> str:
    """Draw every run of every finalist, with the mean and its interval.

    Args:
        finalists: The summary, best first.
        runs: One row per run.
        metric: "selection" for the selection images, or "test/acc_all".
    """
    known = finalists[finalists[f"{metric}_mean"].notna()]
    column = metric if metric != "selection" else _selection_column(finalists.iloc[0])
    spread = [PERCENT * v for v in runs[column].dropna()]
    for _, row in known.iterrows():
        spread += [_ends(row, metric)[i] for i in (0, 1) if math.isfinite(row[f"{metric}_low"])]
    names = [name_of(row) for _, row in known.iterrows()][::-1]
    height = 60 + 34 * len(names)
    chart = Chart(Axis.around(spread, "accuracy, %"), Axis.of_names(names), "finalists", height=height, left=128)
    for place, (_, row) in enumerate(reversed(list(known.iterrows()))):
        own = runs[runs["trial"] == row["trial"]]
        for _, run in own[own[column].notna()].iterrows():
            hint = f"seed {run['seed']}, data seed {run['data_seed']}: {PERCENT * run[column]:.1f} %"
            chart.dot(PERCENT * run[column], place - 0.22, kind="run", hint=hint, size=3)
        kind = "paper" if row["paper"] else ""
        low, high = _ends(row, metric)
        if math.isfinite(row[f"{metric}_low"]):
            chart.bar((low, place), (high, place), kind=f"span {kind}", hint=f"{low:.1f} to {high:.1f} %")
        chart.dot(
            PERCENT * row[f"{metric}_mean"],
            place,
            kind=kind,
            hint=f"mean {PERCENT * row[f'{metric}_mean']:.2f} %",
            size=5,
        )
    return chart.svg()


def _ends(row: "pd.Series[Any]", metric: str) -> tuple[float, float]:
    """Return the ends of an interval in percent, limited to 0 to 100."""
    low, high = (min(max(PERCENT * row[f"{metric}_{end}"], 0.0), PERCENT) for end in ("low", "high"))
    return low, high


def _selection_column(row: "pd.Series[Any]") -> str:
    return f"{'test' if row['protocol'] == 'paper' else 'val'}/{row['objective']}"


def per_class(accuracy: Sequence[float], counts: Sequence[int], groups: Mapping[str, Sequence[int]]) -> str:
    """Draw the accuracy of each class; the most frequent class is on the left.

    Args:
        accuracy: Share of correct images by class; NaN for a class without images.
        counts: Training images by class.
        groups: Classes of each group.
    """
    order = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    of = {label: name for name, labels in groups.items() for label in labels}
    chart = Chart(
        Axis.of_names([f"{counts[label]:,}" for label in order], "training images of the class")
        if len(order) <= NAMED
        else Axis(-0.5, len(order) - 0.5, "classes, most frequent first"),
        Axis(0.0, 102.0, "accuracy, %"),
        "accuracy of each class",
    )
    size = 4.0 if len(order) <= 60 else 2.6 if len(order) <= 400 else 1.4
    for place, label in enumerate(order):
        if not math.isnan(accuracy[label]):
            hint = f"class {label}: {PERCENT * accuracy[label]:.1f} %, {counts[label]} training images"
            chart.dot(place, PERCENT * accuracy[label], kind=of[label], hint=hint, size=size)
    return chart.svg()


def tau_curve(curves: Mapping[str, Sequence[tuple[float, float]]], *, best: float) -> str:
    """Draw accuracy over τ for all classes and for each group, with the best τ marked."""
    points = [p for line in curves.values() for p in line]
    x = Axis(min(p[0] for p in points), max(p[0] for p in points), "τ")
    chart = Chart(x, Axis.around([PERCENT * p[1] for p in points], "accuracy, %"), "accuracy over τ")
    chart.rule(x=best)
    for group, line in curves.items():
        chart.line([(tau, PERCENT * value) for tau, value in line], group, group)
    return chart.svg()
