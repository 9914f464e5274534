"""DSCL's two kinds of positives in the run's own batches: probability of the own key, and ratio of the gradients."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.decoupled_optima import PositiveGradients, supervised_alpha
from ltray.analysis.measured.gradients import NO_PAIRS
from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult, by_group, class_means_of
from ltray.analysis.measured.subject import AnalysedModel
from ltray.figures.style import COLOURS, THEORY, name_classes, new_figure


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Measure p(z⁺) and the ratio of the gradients of own key and other positives by class."""
    contrast = subject.contrast
    if contrast is None:
        return NotApplicable(NO_PAIRS)
    if contrast.batches[0].own_view is None:
        return NotApplicable("The other view of an image is not a key of its anchor in this loss.")
    parts: dict[str, list[Tensor]] = {name: [] for name in ("label", "p", "target", "supcon", "ratio", "limit")}
    for pairs in contrast.batches:
        assert pairs.own_view is not None
        place = pairs.own_view[:, None]
        probabilities = pairs.probabilities
        target = pairs.targets.gather(1, place).squeeze(1)
        rest = pairs.targets.scatter(1, place, 0.0).sum(dim=1)
        gradients = PositiveGradients.of(probabilities, pairs.targets, pairs.positives, pairs.own_view)
        parts["label"].append(pairs.labels)
        parts["p"].append(probabilities.gather(1, place).squeeze(1))
        parts["target"].append(target)
        parts["supcon"].append(supervised_alpha(pairs.positives.sum(dim=1) - 1))
        parts["ratio"].append(gradients.own / (gradients.own + gradients.others))
        parts["limit"].append(target / (target + rest))
    labels = torch.cat(parts.pop("label"))
    found = {
        name: class_means_of(torch.cat(values), labels, subject.tail.classes).cpu() for name, values in parts.items()
    }
    rows = []
    names = {
        "p": ("p(z⁺)", "target", "DSCL, eq. 3"),
        "ratio": ("own key's share of the gradient", "limit", "DSCL, eq. 7"),
    }
    for name, (quantity, ideal, source) in names.items():
        measured, theory = by_group(found[name], subject.tail), by_group(found[ideal], subject.tail)
        rows += [Quantity(f"{quantity}, {group}", measured[group], theory[group], source) for group in measured]
    data = {"classes": subject.ordered_names, **{name: each[subject.order].tolist() for name, each in found.items()}}
    return TheoryResult("Own key and other positives", rows, data, lambda: _draw(found, subject))


def _draw(found: dict[str, Tensor], subject: AnalysedModel) -> Figure:
    figure = new_figure(height=3.2)
    axes = figure.subplots(2, 1, sharex=True)
    shown = (("p", "target", "p(z⁺)"), ("ratio", "limit", "own key's share\nof the gradient"))
    for axis, (name, theory, label), colour in zip(axes, shown, COLOURS, strict=False):
        axis.plot(found[name][subject.order].numpy(), "o", color=colour, label="measured")
        axis.plot(found[theory][subject.order].numpy(), label="theory", **THEORY)
        if not torch.allclose(found["supcon"], found["target"], equal_nan=True, rtol=1e-3):
            supcon = found["supcon"][subject.order].numpy()
            axis.plot(supcon, ":", color=COLOURS[5], label="supervised contrast")
        axis.set(ylabel=label)
        axis.set_ylim(bottom=0.0)
    axes[0].legend(ncols=3)
    name_classes(axes[1], subject.ordered_names)
    return figure
