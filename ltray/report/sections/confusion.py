"""Which classes the model confuses, from its saved logits."""

from typing import Any

import torch
from torch import Tensor

from ltray.report.best_model import BestModel
from ltray.report.plot import Plot, new_figure, short
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.report.theme import colour

NAMED = 25  # up to this number of classes, both axes name each one
BLOCKS = 100  # with more classes, neighbours in the order of frequency are drawn together
LARGEST = 15  # confusions in the table
SCALE = [[0.0, colour("card")], [0.15, colour("line")], [1.0, colour("blue")]]


def confusion(model: BestModel) -> Section:
    """Return the confusion matrix by frequency, that of the groups, and the largest confusions."""
    counts = _matrix(model)
    return Section(
        "confusion",
        "Confusion",
        {
            "plot": _plot(model, counts),
            "groups": _groups(model, counts),
            "table": _largest(model, counts),
            "images": model.images,
            "correct": "blue",
        },
    )


def _matrix(model: BestModel) -> Tensor:
    """Return the images by true (row) and predicted class (K, K), int64; classes by frequency."""
    classes, place = model.tail.classes, torch.empty(model.tail.classes, dtype=torch.int64)
    place[torch.tensor(model.by_frequency)] = torch.arange(classes)
    found = model.predictions
    pairs = place[found.labels] * classes + place[found.logits.argmax(dim=1)]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def _plot(model: BestModel, counts: Tensor) -> Plot:
    """Draw shares of each row; above `BLOCKS` classes, sums over neighbouring classes."""
    classes = len(counts)
    each = -(-classes // BLOCKS)
    names = [str(model.class_names[label]) for label in model.by_frequency]
    if each > 1:
        block = torch.arange(classes) // each
        membership = torch.nn.functional.one_hot(block).double()
        counts = membership.T @ counts.double() @ membership
        names = [f"{names[first]} … {names[min(first + each, classes) - 1]}" for first in range(0, classes, each)]
    shares = 100 * counts.double() / counts.sum(dim=1, keepdim=True).clamp_min(1)
    named = len(names) <= NAMED
    figure = new_figure(*(("predicted", "true") if named else ("predicted, frequent classes first", "true")))
    figure.add_heatmap(
        z=shares.round(decimals=1).tolist(),
        colorscale=SCALE,
        zmin=0,
        zmax=100,
        hoverongaps=False,
        customdata=[[[row, column] for column in names] for row in names] if len(names) <= 60 else None,
        hovertemplate="%{customdata[0]}<br>as %{customdata[1]}: %{z:.0f} %<extra></extra>"
        if len(names) <= 60
        else "row %{y}, column %{x}: %{z:.0f} %<extra></extra>",
        colorbar={"title": {"text": "%"}, "thickness": 12, "outlinewidth": 0},
        xgap=1 if named else 0,
        ygap=1 if named else 0,
    )
    _label_axes(figure, names, named)
    _mark_groups(figure, model, each)
    right = float(counts.diag().sum() / counts.sum().clamp_min(1))
    what = "class" if each == 1 else f"block of {each} classes"
    label = f"Confusion matrix of {model.tail.classes} classes, most frequent first; {100 * right:.1f} % of the images "
    return Plot(
        figure, label + f"are on the diagonal, in their own {what}. The table lists the largest confusions.", 520
    )


def _label_axes(figure: Any, names: list[str], named: bool) -> None:
    ticks = {"tickvals": list(range(len(names))), "ticktext": [short(name, 16) for name in names]} if named else {}
    size = {"range": [-0.5, len(names) - 0.5], "showgrid": False, "showline": False}
    figure.update_xaxes(**ticks, **size, tickangle=-45 if named else 0)
    figure.update_yaxes(**ticks, **size | {"range": [len(names) - 0.5, -0.5]})


def _mark_groups(figure: Any, model: BestModel, each: int) -> None:
    """Draw lines between many, medium and few."""
    end = 0
    for labels in list(model.tail.groups().values())[:-1]:
        end += len(labels)
        for add, axis in ((figure.add_vline, "x"), (figure.add_hline, "y")):
            add(**{axis: end / each - 0.5}, line={"color": colour("orange"), "width": 1})


def _groups(model: BestModel, counts: Tensor) -> PageTable | None:
    """Return where the images of each group are classified, in percent; None with a single group."""
    groups = model.tail.groups()
    if len(groups) < 2:
        return None
    place = {label: position for position, label in enumerate(model.by_frequency)}
    own = {name: torch.tensor([place[label] for label in labels]) for name, labels in groups.items()}
    rows = []
    for name, true in own.items():
        part = counts[true]
        total = int(part.sum())
        shares = [f"{100 * int(part[:, predicted].sum()) / total:.1f}" if total else "–" for predicted in own.values()]
        correct = f"{100 * int(counts[true, true].sum()) / total:.1f}" if total else "–"
        rows.append([name, f"{total:,}", *shares, correct])
    headings = ["true group", "images", *(f"as {name}, %" for name in own), "correct class, %"]
    return PageTable("Groups of the true and the predicted class", headings, rows)


def _largest(model: BestModel, counts: Tensor) -> PageTable | None:
    """Return the pairs of classes with the most confused images; None without an error."""
    wrong = counts - torch.diag(counts.diag())
    classes = len(counts)
    order = wrong.flatten().argsort(descending=True, stable=True)[:LARGEST]
    groups = model.tail.group_of()
    rows = []
    for position in order.tolist():
        images = int(wrong.flatten()[position])
        if images:
            true, predicted = (model.by_frequency[place] for place in divmod(position, classes))
            share = 100 * images / int(counts[position // classes].sum())
            names = [f"{model.class_names[label]} ({groups[label]})" for label in (true, predicted)]
            rows.append([*names, str(images), f"{share:.0f}"])
    headings = ["true class", "predicted class", "images", "of its images, %"]
    return PageTable("The largest confusions", headings, rows, text=(0, 1)) if rows else None
