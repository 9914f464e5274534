"""Which classes are taken for which: the confusion matrix and the largest confusions."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import DIVERGING, INK, SEQUENTIAL, SOFT, names_of, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, TWO_COLUMNS, paper_style

NAMED = 30  # up to this number of classes, both axes name each one
WRITTEN = 10  # up to this number of classes, the cells contain numbers
LARGEST = 20  # pairs of classes in the list


def confusion(subject: Subject) -> Found:
    """Return the share of each class's images that is classified as each class."""
    counts = matrix(subject.predictions.labels, subject.predicted, subject.tail.classes)
    shares = as_shares(counts)
    pairs = largest(shares, counts)
    names = subject.class_names
    values = {
        "classes": list(names),
        "by_frequency": subject.by_frequency,
        "largest": [
            {"class": names[row], "predicted": names[column], "share": share, "images": int(counts[row, column])}
            for row, column, share in pairs
        ],
        "between_groups": _between_groups(subject, counts),
    }
    tables = {"confusion": table(subject, counts)}
    label = f"share of the {subject.shown_images} of a class, %"
    return Found(values, tables, {"confusion": lambda: matrix_figure(subject, shares, pairs, label, signed=False)})


def _line(values: Mapping[str, Any]) -> str:
    listed = (f"{one['class']} as {one['predicted']} {100 * one['share']:.0f} %" for one in values["largest"][:3])
    return "most frequent: " + ", ".join(listed) if values["largest"] else "no confusion"


CONFUSION = Analysis("confusion", "which classes are taken for which", confusion, _line)


def matrix(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Return the images by true (row) and predicted class (K, K), int64."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def as_shares(counts: Tensor) -> Tensor:
    """Return each row divided by its sum (K, K), float64; 0 for a class without images."""
    return counts.double() / counts.sum(dim=1, keepdim=True).clamp_min(1)


def largest(shares: Tensor, counts: Tensor) -> list[tuple[int, int, float]]:
    """Return the largest values off the diagonal, by their absolute value: row, column, value."""
    off = shares.clone().fill_diagonal_(0)
    size = torch.stack([off.abs(), counts.double()]).flatten(1)
    order = sorted(range(size.shape[1]), key=lambda place: (-float(size[0, place]), -float(size[1, place]), place))
    classes = len(shares)
    found = [(place // classes, place % classes) for place in order[:LARGEST] if size[0, place] > 0]
    return [(row, column, float(off[row, column])) for row, column in found]


def table(subject: Subject, counts: Tensor) -> Any:
    """Return the matrix as rows: class, predicted class, images; pairs without images are left out."""
    import pandas as pd

    names, places = subject.class_names, counts.nonzero().tolist()
    return pd.DataFrame(
        {
            "class": [names[row] for row, _ in places],
            "predicted": [names[column] for _, column in places],
            "images": [int(counts[row, column]) for row, column in places],
        }
    )


def _between_groups(subject: Subject, counts: Tensor) -> dict[str, dict[str, float]]:
    groups = subject.tail.groups()
    found = {}
    for name, rows in groups.items():
        total = max(int(counts[rows].sum()), 1)
        found[name] = {other: int(counts[rows][:, columns].sum()) / total for other, columns in groups.items()}
    return found


def matrix_figure(
    subject: Subject, shares: Tensor, pairs: list[tuple[int, int, float]], label: str, *, signed: bool
) -> Any:
    """Draw a matrix by frequency; with many classes the groups are marked, and the largest values are listed.

    Args:
        subject: The model.
        shares: The matrix (K, K), fractions of 1, by label.
        pairs: The values to list, as `largest` returns them.
        label: Title of a matrix of differences, else label of the colours, in percent.
        signed: Whether it contains differences.
    """
    order = subject.by_frequency
    shown = 100 * shares[order][:, order]
    names = names_of(subject.class_names, 14 if len(order) <= NAMED else 17)
    reach = float(shown.abs().max()) or 1.0
    limits: dict[str, Any] = (
        {"cmap": DIVERGING, "vmin": -reach, "vmax": reach} if signed else {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 100}
    )
    with paper_style():
        named = len(order) <= NAMED
        small = len(order) <= WRITTEN
        figure = new_figure(COLUMN if small else TWO_COLUMNS, 3.2 if small else 5.6 if named else 4.0)
        axes = figure.subplots() if named else figure.subplots(1, 2, width_ratios=[2.1, 1])[0]
        drawn = axes.imshow(shown.numpy(), aspect="equal", interpolation="nearest", **limits)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if named:
            axes.set_xticks(range(len(order)), [names[one] for one in order], rotation=90)
            axes.set_yticks(range(len(order)), [names[one] for one in order])
        else:
            _name_groups(axes, subject)
            _list_pairs(figure.axes[1], names, pairs, signed=signed)
        if small:
            _write_cells(axes, shown, limits["vmax"], signed=signed)
        _separate_groups(axes, subject)
        colours = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
        colours.set_label("difference, points" if signed else label)
        if signed:
            figure.suptitle(label, fontsize=7)
        colours.outline.set_visible(False)
        return figure


def _sizes(subject: Subject) -> list[tuple[str, int]]:
    return [(name, len(labels)) for name, labels in subject.tail.groups().items()]


def _separate_groups(axes: Any, subject: Subject) -> None:
    """Draw lines between many, medium and few, where these are consecutive in the order of training images."""
    end = 0
    for _, size in _sizes(subject)[:-1]:
        end += size
        axes.axhline(end - 0.5, color=SOFT, linewidth=0.6)
        axes.axvline(end - 0.5, color=SOFT, linewidth=0.6)


def _name_groups(axes: Any, subject: Subject) -> None:
    places, words, end = [], [], 0
    for name, size in _sizes(subject):
        places.append(end + size / 2 - 0.5)
        words.append(f"{name} ({size})")
        end += size
    axes.set_xticks(places, words)
    axes.set_yticks(places, words, rotation=90, va="center")
    axes.tick_params(length=0)


def _list_pairs(axes: Any, names: list[str], pairs: list[tuple[int, int, float]], *, signed: bool) -> None:
    axes.axis("off")
    axes.set_title("largest differences" if signed else "largest confusions", loc="left")
    for place, (row, column, share) in enumerate(pairs):
        height = 0.97 - place * 0.97 / LARGEST
        text = f"{100 * share:+.0f}" if signed else f"{100 * share:.0f}"
        axes.text(0.10, height, text, transform=axes.transAxes, ha="right", va="top", fontsize=5.8)
        axes.text(0.14, height, f"{names[row]} → {names[column]}", transform=axes.transAxes, va="top", fontsize=5.8)


def _write_cells(axes: Any, shown: Tensor, highest: float, *, signed: bool) -> None:
    for row, values in enumerate(shown.tolist()):
        for column, value in enumerate(values):
            if abs(value) >= 0.5:
                dark = abs(value) > 0.6 * highest
                text = f"{value:+.0f}" if signed else f"{value:.0f}"
                axes.text(column, row, text, ha="center", va="center", fontsize=5, color="white" if dark else INK)
