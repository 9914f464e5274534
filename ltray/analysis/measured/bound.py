"""BCL's lower bound and the regular simplex, at the embeddings of the training images without augmentation."""

import copy

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ltray.analysis.balanced_bound import BalancedLoss, simplex_bound
from ltray.analysis.measured.result import NotApplicable, Quantity, TheoryResult, by_group
from ltray.analysis.measured.subject import AnalysedModel
from ltray.analysis.neural_collapse import class_means
from ltray.analysis.simplex import least_simplex_distance, simplex_distance
from ltray.figures.style import GROUPS, MARKERS, THEORY, name_classes, new_figure
from ltray.methods.bcl.method import BCL
from ltray.parts.contrast import unit
from ltray.stage import Stage

SOURCE = "BCL, lower bound of eq. 6"
ROWS = 4096  # embeddings; the same number of each class if it has so many
TEMPERATURE = 0.1  # of methods without a contrastive temperature: that of BCL on CIFAR


def analyse(subject: AnalysedModel) -> TheoryResult | NotApplicable:
    """Compare the balanced contrastive loss of the embeddings with its bounds."""
    if subject.features.features.dim() != 2:
        return NotApplicable("The network has no single feature vector of an image.")
    stage, embeddings, kind = embedded(subject)
    temperature = float(getattr(stage.recipe, "temperature", TEMPERATURE)) if stage else TEMPERATURE
    rows, labels, classes = _several_of_each(embeddings, subject.features.labels, subject.tail.classes)
    if len(classes) < 2:
        return NotApplicable("Fewer than two classes have two training images, which a loss of pairs needs.")
    loss = BalancedLoss.of(rows, labels, temperature=temperature)
    each, bounds = (_spread(values, classes, subject.tail.classes) for values in (loss.losses, loss.bounds))
    least = simplex_bound(len(classes), temperature)
    found, jensen = by_group(each, subject.tail), by_group(bounds, subject.tail)
    measured = [Quantity("balanced loss, mean over classes", found["all"], least, SOURCE)]
    measured += [Quantity(f"balanced loss, {group}", found[group], jensen[group], SOURCE) for group in list(found)[1:]]
    means = class_means(embeddings, subject.features.labels)
    closest = least_simplex_distance(*means.shape)
    distance = simplex_distance(means)
    measured.append(Quantity("distance of the class means from the regular simplex", distance, closest, "BCL, Sec. 3"))
    if (prototypes := _prototypes(stage)) is not None:
        apart = simplex_distance(prototypes)
        measured.append(Quantity("distance of the prototypes from the regular simplex", apart, closest, "BCL, Sec. 3"))
        cosine = float(torch.nn.functional.cosine_similarity(prototypes, means.to(prototypes), dim=1).mean())
        measured.append(Quantity("cosine of prototype and class mean", cosine, 1.0, "BCL, Sec. 3"))
    order = subject.order
    data = {
        "classes": subject.ordered_names,
        "embeddings": kind,
        "temperature": temperature,
        "loss": each[order].tolist(),
        "bound": bounds[order].tolist(),
        "simplex_bound": least,
    }
    return TheoryResult("Lower bound of the balanced loss", measured, data, lambda: _draw(each, bounds, least, subject))


@torch.no_grad()
def embedded(subject: AnalysedModel) -> tuple[Stage | None, Tensor, str]:
    """Return the stage whose projection is used, unit embeddings of the training images (N, d), and what they are."""
    for stage in reversed(subject.trained.stages):
        head = getattr(stage, "head", getattr(stage, "projector", None))
        if isinstance(head, nn.Module):
            data = subject.trained.data.without_augmentation()
            features = data.features(stage.network.backbone)
            return stage, unit(copy.deepcopy(head).eval()(features)), "projected features"
    return None, unit(subject.features.features), "features"


def _several_of_each(embeddings: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows, their labels among the classes with at least two rows, and these classes."""
    most = max(2, ROWS // classes)
    found = [(labels == label).nonzero().squeeze(1)[:most] for label in range(classes)]
    kept = [rows for rows in found if len(rows) > 1]
    used = torch.tensor([label for label, rows in enumerate(found) if len(rows) > 1], dtype=torch.int64)
    sizes = torch.tensor([len(rows) for rows in kept], dtype=torch.int64)
    own = torch.arange(len(kept)).repeat_interleave(sizes).to(labels.device)
    return embeddings[torch.cat(kept)] if kept else embeddings[:0], own, used


def _spread(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the values at their labels (K,), NaN for the other classes."""
    complete = torch.full((classes,), torch.nan, dtype=torch.float64)
    complete[labels] = values.cpu().double()
    return complete


@torch.no_grad()
def _prototypes(stage: Stage | None) -> Tensor | None:
    if not isinstance(stage, BCL) or stage.prototypes is None:
        return None
    rows: Tensor = copy.deepcopy(stage.prototypes)(stage.network.classifier.weight)
    return rows.double()


def _draw(losses: Tensor, bounds: Tensor, least: float, subject: AnalysedModel) -> Figure:
    figure = new_figure()
    axis = figure.subplots()
    groups, order = subject.tail.group_of(), subject.order
    for group in subject.tail.groups():
        places = [place for place, label in enumerate(order) if groups[label] == group]
        values = losses[order][places].numpy()
        axis.plot(places, values, MARKERS[group], color=GROUPS[group], label=group.capitalize())
    axis.plot(bounds[order].numpy(), "_", color="#000000", markersize=6, label="bound of the class")
    axis.axhline(least, label="bound at the simplex", **THEORY)
    axis.set(ylabel="balanced contrastive loss")
    axis.legend(fontsize=6)
    name_classes(axis, subject.ordered_names)
    return figure
