"""LDAM: larger margins for rarer classes; class weights start late, when the features are trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.following import BEFORE_THE_END
from ltray.knobs import Value, knob
from ltray.methods.cross_entropy import BaselineKnobs, policy_of
from ltray.network import Network
from ltray.parts.heads import CosineClassifier
from ltray.parts.margin_losses import (
    class_balanced_weights,
    ldam_margins,
    subtract_margins,
    weighted_cross_entropy,
)
from ltray.stage import Batch, BuildContext, Losses, Method, Stage, View


@dataclass(frozen=True)
class LDAMKnobs(BaselineKnobs):
    """The baselines' recipe, margins and the deferred weights."""

    margin: float = knob(0.5, "m", "margin of the rarest class", low=0.0, high=2.0, search=(0.1, 0.8), tried=(0.3, 0.5))
    scale: float = knob(
        30.0, "s", "factor of the cosines", low=1.0, high=200.0, search=(10.0, 60.0), tried=(20.0, 30.0)
    )
    beta: float = knob(
        0.9999, "β", "β of the class weights from `reweight_epoch` on", low=0.0, high=1.0, tried=(0.9999,)
    )
    reweight_epoch: int = knob(
        160,
        "",
        "epoch from which classes are weighted (DRW)",
        low=0,
        at_most="epochs",
        in_epochs=True,
        follows=BEFORE_THE_END,
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(BaselineKnobs.paper_values["imagenet_lt"], reweight_epoch=72),
        "places_lt": dict(BaselineKnobs.paper_values["places_lt"], reweight_epoch=24),
        "inat18": dict(BaselineKnobs.paper_values["inat18"], reweight_epoch=72),
        "digits_lt": dict(BaselineKnobs.paper_values["digits_lt"], reweight_epoch=24),
    }


class LDAM(Stage):
    """Cross-entropy of s·(cos − Δ_y), weighted by effective number from `reweight_epoch` on."""

    margins: Tensor
    late_weight: Tensor

    def __init__(self, knobs: LDAMKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.views = (View("image", policy_of(knobs.augmentation)),)
        backbone = context.new_network("cosine").backbone
        self.network = Network(backbone, CosineClassifier(backbone.width, context.tail.classes, scale=knobs.scale))
        self.register_buffer("margins", knobs.scale * ldam_margins(context.tail, knobs.margin), persistent=False)
        self.register_buffer("late_weight", class_balanced_weights(context.tail, knobs.beta), persistent=False)
        self.weighted = False

    def begin_epoch(self, epoch: int) -> None:
        """Switch the class weights on from `reweight_epoch`."""
        self.weighted = epoch >= self.knobs.reweight_epoch

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        scores = subtract_margins(self.network(batch["image"]), batch.labels, self.margins)
        weight = self.late_weight if self.weighted else torch.ones_like(self.late_weight)
        return {"classification": weighted_cross_entropy(scores, batch.labels, weight)}


def _stages(knobs: LDAMKnobs, context: BuildContext) -> Sequence[Stage]:
    return [LDAM(knobs, context)]


METHOD = Method(
    name="ldam",
    paper="Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019 "
    "(arXiv:1906.07413)",
    knobs=LDAMKnobs,
    stages=_stages,
)
