"""DLSA's separation experiment on the features of the run, and the separation that its Flow Filters reach."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult
from ltray.analysis.measured.subject import AnalysedModel
from ltray.analysis.separation import (
    STEPS,
    balancing_reliability,
    class_accuracy,
    linear_predictions,
    separated_accuracy,
)
from ltray.figures.style import COLOURS, new_figure
from ltray.methods.dlsa.division import DivisionTree

SOURCE = "DLSA, Fig. 2"
RELIABILITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Train linear classifiers of both sides for several reliabilities of the oracle."""
    if subject.trained.experiment.dataset.folds:
        return NotApplicable("A model of a cross-validation is trained on all images: none are left to compare it on.")
    if subject.features.features.dim() != 2:
        return NotApplicable("The network has no single feature vector of an image.")
    tail, (train, test) = tail_classes(subject), (subject.features, subject.selection)
    tail = tail.to(train.labels.device)
    found = linear_predictions(train, test.features, classes=len(tail), seed=subject.seed, steps=STEPS)
    one = _summary(class_accuracy(found == test.labels, test.labels, len(tail)), tail)
    curve = {
        reliability: _summary(separated_accuracy(train, test, tail, reliability, seed=subject.seed, steps=STEPS), tail)
        for reliability in RELIABILITIES
    }
    counts = subject.tail.count_tensor().to(tail.device)
    balancing = balancing_reliability(counts, tail)
    rows = [Quantity(f"balanced accuracy, one classifier, {side}", value, None, SOURCE) for side, value in one.items()]
    rows += [
        Quantity(f"balanced accuracy, separated with p = {p:g}, {side}", curve[p][side], None, SOURCE)
        for p in (0.5, 0.9, 1.0)
        for side in one
    ]
    if (reached := filter_reliability(subject, tail)) is not None:
        rows.append(Quantity("p that the run's Flow Filters reach on training images", reached, 1.0, SOURCE))
    rows.append(Quantity("p above which the tail side has more tail images", balancing, None, SOURCE))
    data = {
        "tail_classes": [subject.names[label] for label in tail.nonzero().squeeze(1).tolist()],
        "one_classifier": one,
        "separated": [{"reliability": p, **values} for p, values in curve.items()],
        "balancing_reliability": balancing,
        "flow_filters": reached,
    }
    return TheoryResult(
        "Separation of head and tail", rows, data, lambda: _draw(curve, one, balancing=balancing, reached=reached)
    )


def tail_classes(subject: AnalysedModel) -> Tensor:
    """Return which classes are tail classes, bool (K,): all but Many; without Many or others, the rarer half."""
    groups = subject.tail.group_of()
    tail = torch.tensor([group != "many" for group in groups])
    if tail.all() or not tail.any():
        tail[:] = False
        tail[subject.order[(len(groups) + 1) // 2 :]] = True
    return tail


@torch.no_grad()
def filter_reliability(subject: AnalysedModel, tail: Tensor) -> float | None:
    """Return the share of training images on the side of their class, mean of both sides; None without Flow Filters."""
    tree = subject.trained.stage.network.classifier
    if not isinstance(tree, DivisionTree):
        return None
    aided = (tree.settled >= 0).cpu()
    right = (aided == tail.cpu()[subject.features.labels.cpu()]).double()
    side = tail.cpu()[subject.features.labels.cpu()]
    return float((right[side].mean() + right[~side].mean()) / 2)


def _summary(accuracy: Tensor, tail: Tensor) -> dict[str, float]:
    """Return the mean accuracy of all classes, those of the head and those of the tail."""
    return {
        "all": float(accuracy.nanmean()),
        "head": float(accuracy[~tail].nanmean()),
        "tail": float(accuracy[tail].nanmean()),
    }


def _draw(
    curve: dict[float, dict[str, float]], one: dict[str, float], *, balancing: float, reached: float | None
) -> Figure:
    figure = new_figure()
    axis = figure.subplots()
    for side, colour, marker in zip(one, ("#000000", COLOURS[0], COLOURS[5]), "osD", strict=True):
        axis.plot(
            list(curve), [100 * values[side] for values in curve.values()], f"{marker}-", color=colour, label=side
        )
        axis.axhline(100 * one[side], color=colour, linestyle="--", linewidth=0.8)
    if balancing >= min(curve):
        axis.axvline(balancing, color="#888888", linestyle=":", label="tail side balanced")
    if reached is not None:
        axis.axvline(reached, color=COLOURS[3], linestyle="-.", label="Flow Filters")
    axis.set(xlabel="reliability p of the separation", ylabel="balanced accuracy (%)")
    axis.set_title("dashed: one classifier for all images")
    axis.legend()
    return figure
