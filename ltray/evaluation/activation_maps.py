"""Class activation maps: which parts of an image give the score of a class."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.data.transforms import policies
from ltray.errors import UsageError
from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import HEAT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import GROUPS, TWO_COLUMNS, name_text, paper_style
from ltray.network import Network
from ltray.parts.blocks import transformer_blocks
from ltray.parts.heads import CosineClassifier, UnitRowsClassifier
from ltray.stage import Stage

EXACT, GRADIENT = "exact", "Grad-CAM"
COLUMNS = 8  # images in the figure
CLOSE = 1e-3  # relative difference of scores that are equal but for rounding


def activation_maps(subject: Subject) -> Found:
    """Return the maps of the true and of the predicted class for correct and wrong images of each group."""
    import pandas as pd

    rows = shown_images(subject)
    pixels = subject.pixels(rows)
    definition = subject.trained.experiment.dataset
    images = policies.evaluation(
        torch.stack([torch.from_numpy(one).permute(2, 0, 1) for one in pixels]),
        image_size=definition.image_size,
        mean=definition.mean,
        std=definition.std,
    ).to(subject.trained.device)
    labels, predicted = subject.predictions.labels[rows], subject.predicted[rows]
    maps, how = class_maps(subject.trained.stage, images, labels)
    others, _ = class_maps(subject.trained.stage, images, predicted)
    names = subject.class_names
    table = pd.DataFrame(
        [
            {
                "position": row,
                "class": names[int(label)],
                "predicted": names[int(guess)],
                "confidence": float(subject.confidence[row]),
                "rows": one.shape[0],
                "map_of_class": one.flatten().tolist(),
                "map_of_predicted": other.flatten().tolist(),
            }
            for row, label, guess, one, other in zip(rows, labels, predicted, maps, others, strict=True)
        ]
    )
    values = {"method": how, "images": len(rows), "cells": list(maps.shape[1:])}
    return Found(values, {"cam": table}, {"cam": lambda: _figure(subject, rows, pixels, maps, others, how)})


def _line(values: Mapping[str, Any]) -> str:
    return f"{values['method']} maps of {values['images']} images"


CAM = Analysis("cam", "which parts of images give the scores", activation_maps, _line, needs_images=True)


def shown_images(subject: Subject) -> list[int]:
    """Return for each group the most confident correct predictions and mistakes, each of another class."""
    groups, found = subject.tail.groups(), []
    quota = -(-COLUMNS // (2 * len(groups)))
    right = subject.predicted == subject.predictions.labels
    order = subject.confidence.argsort(descending=True, stable=True)
    for labels in groups.values():
        for wanted in (True, False):
            known: set[int] = set()
            for row in order.tolist():
                label = int(subject.predictions.labels[row])
                if label in labels and label not in known and bool(right[row]) is wanted and len(known) < quota:
                    known.add(label)
                    found.append(row)
    others = (row for row in order.tolist() if row not in found)
    return (found + list(islice(others, COLUMNS)))[:COLUMNS]


def class_maps(stage: Stage, images: Tensor, classes: Tensor) -> tuple[Tensor, str]:
    """Return the map of a class for each image, and how it was computed.

    Exact: for scores ⟨w_k, mean of F⟩ + b_k of the feature map F, the map ⟨w_k, F(x, y)⟩, whose mean is the score
    without its bias (Zhou et al., Learning Deep Features for Discriminative Localization, 2016); for the cosine
    classifier the same with s·w_k/|w_k| and F divided by the length of its mean. Otherwise Grad-CAM (Selvaraju et al.,
    2017) of the feature map, or of the patches' tokens before the last block of a transformer.

    Args:
        stage: The stage that classifies.
        images: Normalised images (B, 3, H, W).
        classes: A class for each image (B,).

    Returns:
        Maps (B, h, w), float32, on the CPU; "exact" or "Grad-CAM".

    Raises:
        UsageError: The scores depend neither on the average of a feature map nor on a transformer's tokens.
    """
    stage.eval()
    network = stage.network
    with torch.no_grad():
        found = _feature_map(network, images)
        scores = stage.logits(images)
        pooled = None if found is None else found.mean(dim=(2, 3))
        if found is not None and pooled is not None and _same(network, pooled, scores):
            rows = closed_form(network.classifier, found, pooled, classes.to(found.device))
            if rows is not None:
                return rows.float().cpu(), EXACT
    if found is not None and pooled is not None and _same(network, pooled, scores):
        return _of_average(network, images, classes), GRADIENT
    return _of_tokens(stage, images, classes), GRADIENT


def closed_form(classifier: nn.Module, found: Tensor, pooled: Tensor, classes: Tensor) -> Tensor | None:
    """Return exact maps (B, h, w) of a linear or cosine classifier; None for another one.

    Args:
        classifier: On the averages of the feature maps.
        found: The feature maps (B, d, h, w).
        pooled: Their averages (B, d).
        classes: A class for each image (B,).
    """
    if isinstance(classifier, nn.Linear):
        rows = classifier.weight[classes]
    elif isinstance(classifier, CosineClassifier):
        length = pooled.norm(dim=1, keepdim=True).clamp_min(1e-12)
        rows = classifier.scale * F.normalize(classifier.weight[classes], dim=1) / length
    elif isinstance(classifier, UnitRowsClassifier) and not classifier.layer_norm:
        rows = F.normalize(classifier.weight[classes], dim=1)
    else:
        return None
    return torch.einsum("bd,bdhw->bhw", rows, found)


def _feature_map(network: Network, images: Tensor) -> Tensor | None:
    try:
        found = network.backbone.feature_map(images)
    except (UsageError, TypeError):
        return None  # the backbone has none
    return found if found.dim() == 4 else None


def _same(network: Network, pooled: Tensor, scores: Tensor) -> bool:
    """Return whether the scores are those of the classifier on the average of the feature map."""
    try:
        own = network.classifier(pooled)
    except RuntimeError:  # another width
        return False
    return own.shape == scores.shape and bool((own - scores).abs().max() <= CLOSE * scores.abs().max().clamp_min(1))


class _OfAverage(nn.Module):
    """The scores as a function of the feature map, which passes through `seen`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.seen = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        found = self.seen(self.network.backbone.feature_map(images))
        scores: Tensor = self.network.classifier(found.mean(dim=(2, 3)))
        return scores


def _of_average(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    module = _OfAverage(network)
    found = LayerGradCam(module, module.seen).attribute(
        images.detach().clone().requires_grad_(), target=classes.to(images.device)
    )
    return torch.relu(found)[:, 0].detach().float().cpu()


def _of_tokens(stage: Stage, images: Tensor, classes: Tensor) -> Tensor:
    """Return Grad-CAM of the patches' tokens that the last block of a transformer reads."""
    from captum.attr import LayerGradCam

    blocks = transformer_blocks(stage.network.backbone)
    if len(blocks) < 2 or blocks[-2].prefix is None:
        raise UsageError(
            f"`cam`: the scores of {type(stage).__name__} depend neither on the average of a feature map nor on the "
            "tokens of a transformer, so that no map can be computed."
        )
    before, seen = blocks[-2], nn.Identity()
    module = nn.Module()
    module.seen = seen
    module.forward = stage.logits
    handle = before.module.register_forward_hook(
        lambda block, inputs, tokens: seen(tokens.transpose(1, 2)).transpose(1, 2)
    )
    try:
        found = LayerGradCam(module, seen).attribute(
            images.detach().clone().requires_grad_(), target=classes.to(images.device)
        )
    finally:
        handle.remove()
    patches = torch.relu(found)[:, 0, int(before.prefix or 0) :]
    side = round(patches.shape[1] ** 0.5)
    return patches[:, : side * side].reshape(-1, side, side).detach().float().cpu()


def overlay(pixels: Any, found: Tensor) -> Any:
    """Return an image (H, W, 3) of fractions of 1 with a map, from its smallest to its largest value, over it."""
    from matplotlib import colormaps

    low, high = float(found.min()), float(found.max())
    level = (found - low) / ((high - low) or 1.0)
    size = pixels.shape[:2]
    large = F.interpolate(level[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
    return 0.45 * pixels / 255 + 0.55 * colormaps[HEAT](large.numpy())[..., :3]


def _figure(subject: Subject, rows: list[int], pixels: list[Any], maps: Tensor, others: Tensor, how: str) -> Any:
    with paper_style():
        figure = new_figure(TWO_COLUMNS, 3.3)
        places = figure.subplots(3, COLUMNS, squeeze=False)
        for axes in places.ravel():
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        groups, names = subject.tail.group_of(), subject.class_names
        for column, (row, image) in enumerate(zip(rows, pixels, strict=True)):
            label, guess = int(subject.predictions.labels[row]), int(subject.predicted[row])
            top, middle, bottom = places[:, column]
            top.imshow(image, interpolation="nearest")
            middle.imshow(overlay(image, maps[column]), interpolation="nearest")
            bottom.imshow(overlay(image, others[column]), interpolation="nearest")
            top.set_title(name_text(names[label], 13), fontsize=6.3, color=GROUPS[groups[label]])
            mark = "correct" if label == guess else name_text(names[guess], 13)
            bottom.set_xlabel(mark, fontsize=6.3)
        for axes, text in zip(places[:, 0], ("image", "true class", "predicted"), strict=True):
            axes.set_ylabel(text, fontsize=6.5)
        return figure
