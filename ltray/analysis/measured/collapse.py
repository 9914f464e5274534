"""Neural collapse NC1 to NC3 by group, of the features of the training images without augmentation."""

from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult, by_group
from ltray.analysis.measured.subject import AnalysedModel
from ltray.analysis.neural_collapse import Collapse, class_means, self_duality
from ltray.figures.style import GROUPS, MARKERS, THEORY, TWO_COLUMNS, new_figure

SOURCE = "Papyan et al. 2020"
NAMES = {
    "within": ("NC1: variability within over between classes", 0.0),
    "norm": ("NC2: length of a class mean over the mean length", 1.0),
    "angle": ("NC2: deviation of the cosines from −1/(K−1)", 0.0),
    "duality": ("NC3: cosine of classifier weight and class mean", 1.0),
}


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Measure the values of each class and their means by group."""
    if subject.features.features.dim() != 2:
        return NotApplicable("The network has no single feature vector of an image.")
    features, labels = subject.features.features.cpu(), subject.features.labels.cpu()
    weight = None if subject.weight is None else subject.weight.cpu()
    collapse = Collapse.of(features, labels, weight)
    found = {name: value for name in NAMES if (value := getattr(collapse, name)) is not None}
    rows = []
    for name, values in found.items():
        quantity, ideal = NAMES[name]
        rows += [
            Quantity(f"{quantity}, {group}", value, ideal, SOURCE)
            for group, value in by_group(values, subject.tail).items()
        ]
    if weight is not None and collapse.weight_cosine is not None:
        distance = self_duality(weight, class_means(features, labels))
        rows.append(Quantity("NC3: ‖W/‖W‖ − M/‖M‖‖", distance, 0.0, SOURCE))
        ideal = -1.0 / (subject.tail.classes - 1)
        rows += [
            Quantity(f"mean cosine of classifier weights, {group}", value, ideal, "Fang et al. 2021")
            for group, value in by_group(collapse.weight_cosine, subject.tail).items()
        ]
    order = subject.order
    data = {"classes": subject.ordered_names, **{name: values[order].tolist() for name, values in found.items()}}
    return TheoryResult("Neural collapse", rows, data, lambda: _draw(found, subject))


def _draw(found: dict[str, Tensor], subject: AnalysedModel) -> Figure:
    figure = new_figure(width=TWO_COLUMNS, height=2.1)
    axes = figure.subplots(1, len(found))
    for axis, (name, values) in zip(axes, found.items(), strict=True):
        for group, labels in subject.tail.groups().items():
            counts = [subject.tail.counts[label] for label in labels]
            shown = values[labels].numpy()
            axis.plot(counts, shown, MARKERS[group], color=GROUPS[group], label=group.capitalize(), alpha=0.8)
        quantity, ideal = NAMES[name]
        axis.axhline(ideal, label="collapse", **THEORY)
        number, _, text = quantity.partition(": ")
        axis.set(xscale="log", xlabel="training images of the class", title=f"{number}: {SHORT[name]}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


SHORT = {
    "within": "variability",
    "norm": "length",
    "angle": "deviation of angles",
    "duality": "cosine of weight and mean",
}
"""Titles of the panels."""
