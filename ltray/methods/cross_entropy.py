"""Cross-entropy on the unmodified long-tailed set: the baseline that every paper improves on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.classifiers import ClassifierKnobs, classified_network
from ltray.parts.blending import blend
from ltray.parts.losses import adjusted_cross_entropy
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

POLICIES = {"standard": "standard", "strong": "bcl_classify"}


def policy_of(augmentation: str) -> str:
    """Return the augmentation policy that the knob `augmentation` names: one of two names, or a dotted path."""
    return POLICIES.get(augmentation, augmentation)


@dataclass(frozen=True)
class BaselineKnobs(Recipe):
    """The training recipe of the one-view baselines.

    Sources: CIFAR as in LDAM-DRW's official code (Cao et al., NeurIPS 2019), whose rate
    falls to 1 % at epoch 160 and 0.01 % at 180; ImageNet-LT and iNaturalist as stage 1 of
    Kang et al. (ICLR 2020). Places-LT follows the 30 epochs that ResCom and PaCo give a
    pretrained ResNet-152.
    """

    weight_decay: float = Recipe.redeclared("weight_decay", 2e-4)
    decay: float = Recipe.redeclared("decay", 0.01)
    augmentation: str = knob(
        "standard",
        "",
        "standard: crop and flip; strong: AutoAugment and Cutout at 32 pixels, RandAugment above",
        choices=tuple(POLICIES),
        dotted=True,
    )

    drop_path: float = Recipe.redeclared("drop_path", 0.0, refused="")
    feature_passes: int = Recipe.redeclared("feature_passes", 0, refused="")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(
            epochs=90, batch_size=512, learning_rate=0.2, weight_decay=5e-4, warmup_epochs=0, schedule="cosine"
        ),
        "places_lt": dict(
            epochs=30, batch_size=128, learning_rate=0.02, weight_decay=5e-4, warmup_epochs=5, schedule="cosine"
        ),
        "inat18": dict(
            epochs=90, batch_size=512, learning_rate=0.2, weight_decay=1e-4, warmup_epochs=0, schedule="cosine"
        ),
        "digits_lt": dict(DIGITS, decay=0.1),
    }


@dataclass(frozen=True)
class OneViewKnobs(ClassifierKnobs, BaselineKnobs):
    """The baselines' recipe and the classifier."""


@dataclass(frozen=True)
class SoftLabelKnobs(OneViewKnobs):
    """The recipe and the classifier, for a loss that takes soft labels."""

    label_smoothing: float = Recipe.redeclared("label_smoothing", 0.0, refused="")
    mixup: float = Recipe.redeclared("mixup", 0.0, refused="")
    cutmix: float = Recipe.redeclared("cutmix", 0.0, refused="")


class OneView(Stage):
    """Cross-entropy of scores + adjustment on one view of each image, blended with another one if the recipe says so.

    Args:
        knobs: How it trains, and its classifier.
        context: The data and the network.
        adjustment: What is added to each class's score in training only (K,).
    """

    adjustment: Tensor

    def __init__(self, knobs: OneViewKnobs, context: BuildContext, adjustment: Tensor) -> None:
        super().__init__(knobs)
        self.views = (View("image", policy_of(knobs.augmentation)),)
        self.network = classified_network(knobs, context)
        self.register_buffer("adjustment", adjustment, persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        images, recipe = batch["image"], self.recipe
        if not (recipe.mixup or recipe.cutmix):
            return {"classification": self._loss(self.network(images), batch.labels)}
        blended = blend(images, batch.labels, mixup=recipe.mixup, cutmix=recipe.cutmix)
        scores = self.network(blended.images)
        return {"classification": blended.weighted(*(self._loss(scores, labels) for labels in blended.labels))}

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return adjusted_cross_entropy(scores, labels, self.adjustment, smoothing=self.recipe.label_smoothing)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.adjustment.cpu())


def _stages(knobs: SoftLabelKnobs, context: BuildContext) -> Sequence[Stage]:
    return [OneView(knobs, context, torch.zeros(context.tail.classes))]


METHOD = Method(
    name="cross_entropy",
    paper="Baseline, trained as in Cao et al., NeurIPS 2019 (arXiv:1906.07413) and Kang et al., ICLR 2020 (1910.09217)",
    knobs=SoftLabelKnobs,
    stages=_stages,
)
