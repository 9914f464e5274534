"""Accuracy of the groups and of each class, by name, with intervals."""

from collections.abc import Mapping
from typing import Any

from ltray.class_counts import ClassCounts
from ltray.engine.evaluation import NORMAL_95, Evaluation
from ltray.metrics import COUNTED, MEASURED, heading
from ltray.network_config import WEIGHTS
from ltray.pretraining import described, seen_before
from ltray.report.best_model import BestModel
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import GROUPS, SYMBOLS, colour
from ltray.results.ledger import describe_look, number_of

NAMED = 30  # up to this number of classes, the axis names each one
OPEN = 30  # rows of the table that are visible at once
KEY = [("blue", "many (> 100)"), ("green", "medium (20 to 100)"), ("orange", "few (< 20)")]


def classes(model: BestModel) -> Section:
    """Return the accuracy of each group and class: on test images if the run has evaluated them."""
    evaluation, counts = model.evaluation, model.on_test or model.predictions.evaluation
    where = "test images" if model.on_test else model.images
    metrics = evaluation["metrics"]
    known = {one.title: metrics.get(f"test/{key}") for key, one in MEASURED.items()}
    table = _table(model, counts, where)
    values = {
        "intro": _intro(evaluation),
        "measured": ", ".join(f"{name} {100 * value:.1f}" for name, value in known.items() if value is not None),
        "weights": _pretrained(evaluation),
        "groups": _groups(model, counts, where),
        "plot": _plot(model, counts, where),
        "key": [pair for pair in KEY if pair[1].split()[0] in model.tail.groups()],
        "table": table.part(0, OPEN) if len(table.rows) <= OPEN else None,
        "folded": table if len(table.rows) > OPEN else None,
        "counted": model.tail.in_groups(),
    }
    return Section("classes", "Groups and classes", values)


def _intro(evaluation: Mapping[str, Any]) -> str:
    chosen = "".join(f", {symbol} = {value:.4g}" for symbol, value in evaluation.get("chosen", {}).items())
    run = f" of {evaluation['run']}" if "run" in evaluation else ""
    return f"The model in best/{run}, epoch {evaluation['epoch']}{chosen}: {describe_look(number_of(evaluation))}."


def _pretrained(evaluation: Mapping[str, Any]) -> list[str]:
    """Return sentences about the model's initial weights; none for random weights."""
    weights, settings = evaluation.get(WEIGHTS, {}), evaluation.get("settings", {})
    sentences = [f"Initial weights: {described(weights)}." if weights else "", seen_before(settings, weights)]
    return [sentence for sentence in sentences if sentence]


def _groups(model: BestModel, counts: Evaluation, where: str) -> PageTable:
    """Return the metrics over all classes and by group with 95 % intervals."""
    metrics = counts.metrics(model.tail, "of")
    rows = []
    for key, metric in COUNTED.items():
        if f"of/{key}" in metrics:
            low, high = counts.interval(key, model.tail)
            size = len(model.tail.groups().get(metric.group, [])) if metric.group else model.tail.classes
            rows.append(
                [heading(key), str(size), f"{100 * metrics[f'of/{key}']:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"]
            )
    return PageTable(f"Accuracy on {where}, %", ["group or metric", "classes", "value", "95 % interval"], rows)


def accuracy_of(counts: Evaluation) -> list[tuple[float, float] | None]:
    """Return accuracy and half its 95 % interval of each class, in percent; None for a class without images."""
    found: list[tuple[float, float] | None] = [None] * len(counts.seen)
    known = counts.seen.nonzero().flatten()
    own = ClassCounts(counts.correct[known], counts.seen[known], counts.predicted[known])
    halves = NORMAL_95 * own.recall_variance().sqrt()
    for label, share, half in zip(known.tolist(), own.recall().tolist(), halves.tolist(), strict=True):
        found[label] = (100 * share, 100 * half)
    return found


def _plot(model: BestModel, counts: Evaluation, where: str) -> Plot:
    """Draw the accuracy of each class with its interval; the most frequent class is on the left."""
    order, groups, accuracy = model.by_frequency, model.tail.group_of(), accuracy_of(counts)
    named = len(order) <= NAMED
    figure = new_figure("" if named else "classes, the most frequent first", f"accuracy on {where}, %")
    for group in model.tail.groups():
        shown = [(place, label, accuracy[label]) for place, label in enumerate(order) if groups[label] == group]
        known = [(place, label, *value) for place, label, value in shown if value is not None]
        figure.add_scatter(
            x=[place for place, *_ in known],
            y=[value for *_, value, _ in known],
            mode="markers",
            marker={"color": colour(GROUPS[group]), "symbol": SYMBOLS[group], "size": 8 if len(order) <= 100 else 4},
            error_y=_errors(known, GROUPS[group]) if len(order) <= 100 else None,
            customdata=[
                [model.class_names[label], model.tail.counts[label], f"{value - half:.0f} to {value + half:.0f}"]
                for _, label, value, half in known
            ],
            hovertemplate="%{customdata[0]}: %{y:.1f} % (95 % interval %{customdata[2]}), "
            "%{customdata[1]} training images<extra></extra>",
        )
    if named:
        names = [short(model.class_names[label], 18) for label in order]
        figure.update_xaxes(tickvals=list(range(len(order))), ticktext=names, tickangle=-40 if len(order) > 6 else 0)
    figure.update_xaxes(range=[-0.6, len(order) - 0.4])
    figure.update_yaxes(range=[-3, 103])
    known_classes = [(value[0], label) for label, value in enumerate(accuracy) if value is not None]
    ends = [f"{model.class_names[label]} {value:.1f} %" for value, label in (max(known_classes), min(known_classes))]
    return Plot(figure, f"Accuracy of each class on {where}: highest {ends[0]}, lowest {ends[1]}.", height=360)


def _errors(known: list[tuple[int, int, float, float]], tone: str) -> dict[str, Any]:
    """Return the bars of 95 % intervals, limited to 0 to 100 %."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [min(half, 100 - value) for *_, value, half in known],
        "arrayminus": [min(half, value) for *_, value, half in known],
        "color": colour(tone),
        "thickness": 1,
        "width": 2,
    }


def _table(model: BestModel, counts: Evaluation, where: str) -> PageTable:
    groups, accuracy = model.tail.group_of(), accuracy_of(counts)
    rows = []
    for label in model.by_frequency:
        value = accuracy[label]
        shown = ["–", "–"] if value is None else [f"{value[0]:.1f}", f"± {value[1]:.1f}"]
        training, images = f"{model.tail.counts[label]:,}", f"{int(counts.seen[label]):,}"
        rows.append([str(model.class_names[label]), groups[label], training, images, *shown])
    headings = ["class", "group", "training images", where, "accuracy, %", "95 % interval"]
    return PageTable("Each class, the most frequent first", headings, rows, text=(0, 1))
