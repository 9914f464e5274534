"""Re-training of a classifier on a frozen backbone, for cRT, LWS, LAS and LOS."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltray.errors import UsageError
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.network import Backbone, Network
from ltray.recipe import FROZEN, Recipe
from ltray.stage import Batch, BuildContext, ScorePrior, Stage, View

FEATURES = ("shifting", "fixed", "cached")
"""Features that a second stage trains on; the help of its knob describes them."""


@dataclass(frozen=True)
class FrozenBackboneKnobs(Recipe):
    """A recipe, and the features that the classifier is trained on."""

    epochs: int = Recipe.redeclared("epochs", 10)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 0)
    schedule: str = Recipe.redeclared("schedule", "cosine_annealing")
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (6, 8))
    layer_decay: float = Recipe.redeclared("layer_decay", 1.0, refused=FROZEN)
    drop_path: float = Recipe.redeclared("drop_path", 0.0, refused=FROZEN)
    features: str = knob(
        "shifting",
        "",
        "shifting: of augmented images, with BatchNorm statistics that adapt to them (official codes); fixed: with "
        "fixed BatchNorm statistics; cached: of images without augmentation, computed once: a trial takes seconds",
        choices=FEATURES,
    )
    feature_passes: int = Recipe.redeclared(
        "feature_passes",
        1,
        help="passes of the backbone over the training set; 1: without augmentation; n: augmented, epoch e uses pass e "
        "mod n",
        low=1,
        needs=("features", ("cached",)),
        before=1,
        refused="",
    )


@dataclass(frozen=True)
class SecondStageKnobs(FrozenBackboneKnobs):
    """The second stage of Kang et al., Decoupling Representation and Classifier, ICLR 2020."""

    class_run: int = knob(4, "", "number of consecutive images from each drawn class", low=1, high=64, tried=(4,))
    long_epoch: bool = knob(False, "", "whether an epoch has n_max·K images (MiSLAS) instead of N (cRT, LWS)")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(batch_size=512, learning_rate=0.2),
        "places_lt": dict(batch_size=256),
        "inat18": dict(epochs=30, batch_size=512, learning_rate=0.2, weight_decay=1e-4),
        "digits_lt": dict(epochs=5, batch_size=32),
    }


class FrozenBackboneStage(Stage):
    """A classifier on the frozen backbone of the preceding network.

    Args:
        knobs: How it trains.
        context: `start` is the network to continue from; its modules are shared, not copied.
        classifier: Maps features (B, d) to scores (B, K).
    """

    def __init__(self, knobs: FrozenBackboneKnobs, context: BuildContext, classifier: nn.Module) -> None:
        super().__init__(knobs)
        self.network = Network(context.continued().backbone, classifier)
        self.features = knobs.features
        if knobs.features == "cached":
            self.source = "features"
            self.feature_passes = knobs.feature_passes
            self.views = (View("features"),)

    def scores(self, batch: Batch) -> Tensor:
        """Return the scores (B, K) of a training batch; no gradient reaches the backbone."""
        if self.source == "features":
            features = batch["features"]
        else:
            shifting = self.features == "shifting"
            features = frozen_features(self.network.backbone, batch["image"], shifting=shifting)
        scores: Tensor = self.network.classifier(features)
        return scores


class SecondStage(FrozenBackboneStage):
    """A classifier on a frozen backbone; classes are drawn with equal probability.

    Args:
        knobs: How it trains.
        context: `start` is the network to continue from.
        classifier: Maps features (B, d) to scores (B, K).
    """

    sampling = "class_aware"

    def __init__(self, knobs: SecondStageKnobs, context: BuildContext, classifier: nn.Module) -> None:
        super().__init__(knobs, context, classifier)
        self.class_run = knobs.class_run
        self.long_epoch = knobs.long_epoch

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return the uniform one, by the order of the images (approximately so with smoothed labels)."""
        return ScorePrior(torch.zeros(tail.classes, dtype=torch.float64))


def untrained_network(context: BuildContext, kind: str) -> Network:
    """Return a new network for a method that does not change the given weights of the backbone.

    Args:
        context: Builds the network.
        kind: Its classifier; see `BuildContext.new_network`.

    Raises:
        UsageError: `train` names parts of the backbone.
    """
    network = context.new_network(kind)
    if getattr(getattr(network.backbone, "tuned", None), "parameters", None):
        raise UsageError("This method trains no part of the backbone: set `train` to head.")
    return network


@torch.no_grad()
def frozen_features(backbone: Backbone, images: Tensor, *, shifting: bool) -> Tensor:
    """Return features (B, d) without gradient.

    Args:
        backbone: A frozen backbone, in evaluation mode.
        images: (B, 3, H, W).
        shifting: Whether BatchNorm normalises by the batch and updates its running statistics,
            as in official codes that leave a frozen backbone in training mode.
    """
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.training = shifting
    features: Tensor = backbone(images)
    for norm in norms:
        norm.training = False
    return features
