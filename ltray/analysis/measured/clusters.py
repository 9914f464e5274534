"""The balance and purity of the clusters of each Flow Filter, on the training images that it divides."""

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ltray.analysis.cluster_balance import ClusterBalance
from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult
from ltray.analysis.measured.separation import tail_classes
from ltray.analysis.measured.subject import AnalysedModel
from ltray.figures.style import COLOURS, THEORY, new_figure
from ltray.methods.dlsa.division import DivisionTree, cluster_classes

SOURCE = "DLSA, L_bal"


@torch.no_grad()
def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Count the images in the clusters of each level whose threshold is set."""
    tree = subject.trained.stage.network.classifier
    if not isinstance(tree, DivisionTree):
        return NotApplicable("The method has no clusters: only DLSA's Flow Filters have them.")
    tail, levels = tail_classes(subject), []
    labels, features = subject.features.labels.cpu(), subject.features.features
    tree.eval()
    for depth in range(len(tree.levels)):
        level = tree.level(depth)
        divided = (tree.settled.cpu() < 0) | (tree.settled.cpu() >= depth)
        if not torch.isfinite(level.threshold) or not divided.any():
            continue
        _, cluster = level.measure(features[divided.to(features.device)])
        levels.append(cluster_classes(cluster.cpu(), labels[divided], shape=level.prior.shape))
    if not levels:
        return NotApplicable("No Flow Filter has divided the training images yet.")
    rows = []
    for depth, members in enumerate(levels, start=1):
        balance = ClusterBalance.of(members, tail)
        rows += [
            Quantity(f"L_bal = log K − H, division {depth}", balance.loss, 0.0, SOURCE),
            Quantity(f"effective number of clusters, division {depth}", balance.effective, len(members), SOURCE),
            Quantity(f"empty clusters, division {depth}", balance.empty, 0.0, SOURCE),
            Quantity(f"purity of classes, division {depth}", balance.purity, 1.0, "DLSA, L_pure"),
            Quantity(f"purity of head and tail, division {depth}", balance.tail_purity, 1.0, "DLSA, L_pure"),
        ]
    data = {"classes": list(subject.names), "members": [members.tolist() for members in levels]}
    return TheoryResult("Balance of the clusters", rows, data, lambda: _draw(levels, tail))


def _draw(levels: list[Tensor], tail: Tensor) -> Figure:
    figure = new_figure(height=0.6 + 1.3 * len(levels))
    axes = figure.subplots(len(levels), 1, squeeze=False)[:, 0]
    for depth, (axis, members) in enumerate(zip(axes, levels, strict=True), start=1):
        order = members.sum(dim=1).argsort(descending=True)
        head, rare = members[order][:, ~tail].sum(dim=1).numpy(), members[order][:, tail].sum(dim=1).numpy()
        places = range(len(order))
        axis.bar(places, head, width=1.0, color=COLOURS[0], label="head images")
        axis.bar(places, rare, width=1.0, bottom=head, color=COLOURS[5], hatch="////", label="tail images")
        axis.axhline(float(members.sum()) / len(members), label="equal shares", **THEORY)
        axis.set(ylabel=f"images, division {depth}")
        axis.margins(x=0.01 + 0.1 / math.sqrt(len(order)))
    axes[0].legend()
    axes[-1].set_xlabel("cluster, the largest first")
    return figure
