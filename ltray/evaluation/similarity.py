"""Cosine similarity of the features of images of one class (positives), by group of classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.features import evaluated_features, training_features
from ltray.evaluation.figures import LIGHT, SOFT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, paper_style


def similarity(subject: Subject) -> Found:
    """Return the mean similarity of all pairs of images of a class, and of pairs of different classes."""
    import pandas as pd

    classes = subject.tail.classes
    sets = {
        "train": training_features(subject),
        subject.predictions.split: (evaluated_features(subject), subject.predictions.labels),
    }
    found = {name: class_similarities(features, labels, classes) for name, (features, labels) in sets.items()}
    names, groups = subject.class_names, subject.tail.group_of()
    table = pd.DataFrame({"class": names, "group": groups, "training_images": subject.tail.counts})
    for name, (positives, negatives) in found.items():
        table[f"{name}_positives"], table[f"{name}_negatives"] = positives.numpy(), negatives.numpy()
    groups_of = {name: _by_group(subject, *each) for name, each in found.items()}
    values = {"features": "of the backbone, scaled to unit length", "sets": groups_of}
    return Found(values, {"similarity": table}, {"similarity": lambda: _figure(groups_of)})


def _line(values: Mapping[str, Any]) -> str:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    groups = list(values["sets"].values())[-1]
    return ", ".join(
        f"{name}: {shown(one['positives'])} (other classes {shown(one['negatives'])})" for name, one in groups.items()
    )


SIMILARITY = Analysis("similarity", "similarity of images of one class", similarity, _line, needs_images=True)


def class_similarities(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return for each class the mean cosine of pairs of its images, and of pairs with one image of another class.

    For unit rows u with the sum S_k of the n_k images of class k, the mean over its pairs of two different images is
    (|S_k|² − n_k) / (n_k (n_k − 1)), and over pairs with another class ⟨S_k, S − S_k⟩ / (n_k (N − n_k)).

    Args:
        features: Unit rows (N, d).
        labels: Class indices (N,).
        classes: Number of classes, K.

    Returns:
        Both as (K,), float64; NaN for a class without pairs.
    """
    sums = torch.zeros(classes, features.shape[1], dtype=torch.float64).index_add_(0, labels, features.double())
    counts = torch.bincount(labels, minlength=classes).double()
    total = sums.sum(dim=0)
    own = (sums * sums).sum(dim=1)
    positives = (own - counts) / (counts * (counts - 1))
    negatives = (sums @ total - own) / (counts * (len(labels) - counts))
    nothing = torch.full_like(counts, torch.nan)
    return torch.where(counts > 1, positives, nothing), torch.where(counts > 0, negatives, nothing)


def _by_group(subject: Subject, positives: Tensor, negatives: Tensor) -> dict[str, dict[str, float]]:
    """Return the means over the classes of each group, and their standard errors over classes."""
    found = {}
    for name, labels in subject.tail.groups().items():
        own = {}
        for kind, values in (("positives", positives), ("negatives", negatives)):
            known = values[labels][~values[labels].isnan()].numpy()
            own[kind] = float(np.mean(known)) if len(known) else float("nan")
            own[f"{kind}_se"] = float(np.std(known, ddof=1) / len(known) ** 0.5) if len(known) > 1 else float("nan")
        found[name] = own
    return found


def _figure(sets: dict[str, dict[str, dict[str, float]]]) -> Any:
    titles = {"train": "training images", "test": "test images", "val": "validation images"}
    with paper_style():
        figure = new_figure(COLUMN, 2.2)
        panels = figure.subplots(1, len(sets), sharey=True)
        for axes, (name, groups) in zip(panels, sets.items(), strict=True):
            for place, (group, own) in enumerate(groups.items()):
                error = 0 if np.isnan(own["positives_se"]) else own["positives_se"]
                axes.bar(
                    place, own["positives"], yerr=error, color=GROUPS[group], width=0.6, error_kw={"elinewidth": 0.8}
                )
                axes.plot([place - 0.3, place + 0.3], [own["negatives"]] * 2, color="black", linewidth=1.4)
            axes.set_xticks(range(len(groups)), list(groups))
            axes.axhline(0, color=SOFT, linewidth=0.6)
            axes.set_title(titles[name])
            axes.grid(axis="y", color=LIGHT, linewidth=0.5)
            axes.set_axisbelow(True)
        panels[0].set_ylabel("mean cosine similarity")
        figure.supxlabel("bars: pairs of one class; black lines: pairs of different classes", fontsize=6.5)
        return figure
