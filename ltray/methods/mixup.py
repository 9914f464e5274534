"""Mixup: images and losses are blended in pairs; the first stage of MiSLAS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.classifiers import classified_network
from ltray.methods.cross_entropy import OneViewKnobs, policy_of
from ltray.parts.blending import blend, mix
from ltray.parts.precision import full_precision
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View


@dataclass(frozen=True)
class MixupKnobs(OneViewKnobs):
    """The recipe of MiSLAS's first stage and the blend's distribution."""

    alpha: float = knob(
        1.0,
        "α",
        "α of the mixing weight λ ~ Beta(α, α)",
        low=0.01,
        high=10.0,
        log=True,
        search=(0.1, 2.0),
        tried=(0.2, 1.0),
        dynamic=True,
    )

    label_smoothing: float = Recipe.redeclared("label_smoothing", 0.0, refused="")
    feature_passes: int = Recipe.redeclared("feature_passes", 0, refused="this method blends images")
    mixup: float = Recipe.redeclared("mixup", 0.0, refused="this method is mixup, with `alpha`")
    cutmix: float = Recipe.redeclared("cutmix", 0.0, refused="this method is mixup, with `alpha`")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(weight_decay=5e-4, decay=0.1),
        "cifar10_lt": dict(weight_decay=5e-4, decay=0.1),
        "cifar100_lt": dict(weight_decay=5e-4, decay=0.1),
        "imagenet_lt": dict(
            alpha=0.2, epochs=180, batch_size=256, weight_decay=5e-4, warmup_epochs=0, schedule="cosine_annealing"
        ),
        "places_lt": dict(
            alpha=0.2, epochs=90, batch_size=256, weight_decay=5e-4, warmup_epochs=0, schedule="cosine_annealing"
        ),
        "inat18": dict(
            alpha=0.2, epochs=200, batch_size=256, weight_decay=1e-4, warmup_epochs=0, schedule="cosine_annealing"
        ),
        "digits_lt": dict(OneViewKnobs.paper_values["digits_lt"]),
    }


@full_precision
def mixed_cross_entropy(
    scores: Tensor, labels: Tensor, partner_labels: Tensor, share: Tensor, smoothing: float = 0.0
) -> Tensor:
    """λ·CE(z, y) + (1 − λ)·CE(z, y'), averaged over the batch.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018
    (arXiv:1710.09412), as in MiSLAS's official code.

    Args:
        scores: Logits of the blended images (B, K).
        labels: Labels of the images (B,).
        partner_labels: Labels of those blended in (B,).
        share: λ in [0, 1], a scalar.
        smoothing: Share of each label that is spread evenly over all classes.
    """
    first, second = (F.cross_entropy(scores, each, label_smoothing=smoothing) for each in (labels, partner_labels))
    return mix(first, second, share)


class Mixup(Stage):
    """Cross-entropy on blended images: one λ and one permutation for the batch of all workers."""

    def __init__(self, knobs: MixupKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.views = (View("image", policy_of(knobs.augmentation)),)
        self.network = classified_network(knobs, context)
        self.alpha = knobs.alpha

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        blended = blend(batch["image"], batch.labels, mixup=self.alpha, cutmix=0.0)
        scores = self.network(blended.images)
        loss = mixed_cross_entropy(scores, *blended.labels, blended.share, self.recipe.label_smoothing)
        return {"classification": loss}

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the training set."""
        return ScorePrior(tail.prior().log())


def _stages(knobs: MixupKnobs, context: BuildContext) -> Sequence[Stage]:
    return [Mixup(knobs, context)]


METHOD = Method(
    name="mixup",
    paper="Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (arXiv:1710.09412); "
    "recipe of Zhong et al., MiSLAS, CVPR 2021 (arXiv:2104.00466)",
    knobs=MixupKnobs,
    stages=_stages,
)
