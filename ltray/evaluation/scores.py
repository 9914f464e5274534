"""The numbers of a model: accuracy of all, groups and classes, agreement and calibration, with intervals."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltray.class_counts import ClassCounts
from ltray.engine.evaluation import NORMAL_95, Evaluation
from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.by_class import Value, class_figure
from ltray.evaluation.figures import BAR, INK, LIGHT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, paper_style
from ltray.metrics import COUNTED, METRICS, heading
from ltray.parts.agreement import matthews_correlation, normalised_mutual_information
from ltray.parts.calibration import reliability

RESAMPLES = 200  # of the images, for intervals of metrics that are not means
ENDS = (-0.03, 1.03)


def scores(subject: Subject) -> Found:
    """Return every metric and the accuracy of each class with 95 % intervals."""
    import pandas as pd

    found = subject.predictions.metrics()
    prefix = f"{subject.predictions.split}/"
    ends = _intervals(subject)
    metrics = {
        key: {"value": found[prefix + key], "low": ends[key][0], "high": ends[key][1]}
        for key in METRICS
        if prefix + key in found
    }
    each = recalls(subject.predictions.evaluation)
    groups, names = subject.tail.group_of(), subject.class_names
    seen, predicted = (getattr(subject.predictions.evaluation, name).tolist() for name in ("seen", "predicted"))
    classes = pd.DataFrame(
        [
            {
                "label": label,
                "class": names[label],
                "group": groups[label],
                "training_images": subject.tail.counts[label],
                "images": seen[label],
                "predicted": predicted[label],
                **dict(zip(("accuracy", "low", "high"), value or (None, None, None), strict=True)),
            }
            for label, value in enumerate(each)
        ]
    )
    values = {
        "images": len(subject.predictions.labels),
        "metrics": metrics,
        "groups": {name: len(labels) for name, labels in subject.tail.groups().items()},
        "nmi_of": "predicted classes and labels",
        "chosen": subject.trained.chosen(),
    }
    return Found(
        values,
        {"classes": classes, "predictions": _predictions(subject)},
        {
            "scores": lambda: _bars(subject, metrics),
            "classes": lambda: class_figure(subject, each, f"accuracy on {subject.shown_images}", ends=ENDS),
        },
    )


def _summary(values: Mapping[str, Any]) -> str:
    return "  ".join(f"{heading(key)} {100 * one['value']:.1f}" for key, one in values["metrics"].items()) + " (of 100)"


SCORES = Analysis("scores", "accuracy of all, groups and classes, and other metrics", scores, _summary)


def recalls(counts: Evaluation) -> list[Value | None]:
    """Return the accuracy of each class with its 95 % interval; None for a class without images."""
    found: list[Value | None] = [None] * len(counts.seen)
    known = counts.seen.nonzero().flatten()
    own = ClassCounts(counts.correct[known], counts.seen[known], counts.predicted[known])
    halves = NORMAL_95 * own.recall_variance().sqrt()
    for label, share, half in zip(known.tolist(), own.recall().tolist(), halves.tolist(), strict=True):
        found[label] = (share, max(share - half, 0.0), min(share + half, 1.0))
    return found


def _intervals(subject: Subject) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric: from counts, or percentiles over images drawn again within each class."""
    predictions, labels = subject.predictions, subject.predictions.labels
    found = {
        key: predictions.evaluation.interval(key, subject.tail)
        for key in COUNTED
        if f"{predictions.split}/{key}" in predictions.metrics()
    }
    measures: dict[str, Callable[[Tensor], float]] = {
        "mcc": lambda rows: matthews_correlation(labels[rows], subject.predicted[rows]),
        "nmi": lambda rows: normalised_mutual_information(labels[rows], subject.predicted[rows]),
        "ece": lambda rows: (
            reliability(subject.confidence[rows], subject.predicted[rows] == labels[rows]).expected_error
        ),
    }
    draws = _resamples(labels)
    for key, measure in measures.items():
        low, high = np.percentile([measure(rows) for rows in draws], [2.5, 97.5])
        found[key] = float(low), float(high)
    return found


def _resamples(labels: Tensor) -> list[Tensor]:
    """Return positions of images, drawn with replacement within each class, `RESAMPLES` times."""
    random = torch.Generator().manual_seed(0)
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    each = counts[counts > 0].repeat_interleave(counts[counts > 0])
    starts = (counts.cumsum(0) - counts)[counts > 0].repeat_interleave(counts[counts > 0])
    return [
        order[starts + (torch.rand(len(labels), generator=random) * each).long().clamp_max(each - 1)]
        for _ in range(RESAMPLES)
    ]


def _predictions(subject: Subject) -> Any:
    import pandas as pd

    names, predictions = np.array(subject.class_names, dtype=object), subject.predictions
    return pd.DataFrame(
        {
            "position": np.arange(len(predictions.labels)),
            "label": predictions.labels.numpy(),
            "predicted": subject.predicted.numpy(),
            "confidence": subject.confidence.numpy(),
            "class": names[predictions.labels.numpy()],
            "predicted_class": names[subject.predicted.numpy()],
        }
    )


def _bars(subject: Subject, metrics: dict[str, dict[str, float]]) -> Any:
    """Draw the metrics as bars with their intervals and values."""
    with paper_style():
        figure = new_figure(COLUMN, 0.19 * len(metrics) + 0.55)
        axes = figure.subplots()
        for place, (key, one) in enumerate(metrics.items()):
            errors = [[max(one["value"] - one["low"], 0)], [max(one["high"] - one["value"], 0)]]
            colour = GROUPS.get(METRICS[key].group, BAR)
            axes.barh(place, one["value"], xerr=errors, color=colour, height=0.62, error_kw={"elinewidth": 0.8})
            end = max(one["high"], one["value"], 0)
            axes.text(end + 0.02, place, f"{100 * one['value']:.1f}", va="center", fontsize=6.5, color=INK)
        axes.set_yticks(range(len(metrics)), [heading(key) for key in metrics])
        axes.set_ylim(len(metrics) - 0.5, -0.5)
        axes.set_xlim(min([0.0, *(one["low"] for one in metrics.values())]), 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.grid(axis="x", color=LIGHT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"value on {subject.shown_images}; labels in percent")
        return figure
