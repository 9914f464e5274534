"""Balanced Softmax together with re-weighted SupCon: the baseline of GPaCo's Table 14."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.centres import LARGE, QUEUE_DIGITS, QueueKnobs
from ltray.methods.gpaco import VIEWS, GPaCoKnobs, TwoAnchorStage
from ltray.parts.contrast import ContrastBatch, ContrastPairs, other_view
from ltray.parts.losses import adjusted_cross_entropy, effective_number_weights
from ltray.parts.pairs import supervised_contrast
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage


@dataclass(frozen=True)
class MultiTaskKnobs(QueueKnobs):
    """The weights of the two tasks and of the rare classes.

    Sources: `MultiTaskLoss` of the official GPaCo code and its scripts; there is none for
    long-tailed CIFAR; that of its balanced CIFAR-100 is used instead. By mistake, all class
    weights of the code are 1; the default is the paper's description.
    """

    temperature: float = knob(
        0.07,
        "τ",
        "temperature of the similarities",
        low=1e-3,
        high=10.0,
        log=True,
        search=(0.03, 0.3),
        tried=(0.07, 0.2),
        dynamic=True,
    )
    contrastive_weight: float = knob(
        0.5,
        "α",
        "weight of the contrastive task",
        low=0.0,
        high=100.0,
        log=True,
        search=(0.05, 1.0),
        tried=(0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0),
        dynamic=True,
    )
    effective_number_beta: float = knob(
        0.999,
        "β",
        "β of the class weights in the contrastive task; 0: equal weights, as in the official code",
        low=0.0,
        high=0.99999999,
        search=(0.0, 0.9, 0.99, 0.999, 0.9999),
        tried=(0.999,),
    )
    classification: str = knob(
        "balanced_softmax",
        "",
        "loss of the classifier; cross_entropy is `MultiTaskBLoss` of the official code",
        choices=("balanced_softmax", "cross_entropy"),
    )
    views: str = GPaCoKnobs.redeclared("views", "strong_sim")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": LARGE | dict(learning_rate=0.06, views="strong_strong"),
        "places_lt": LARGE | dict(epochs=30, warmup_epochs=5, views="sim_sim"),
        "inat18": LARGE | dict(learning_rate=0.04, weight_decay=1e-4),
        "digits_lt": QUEUE_DIGITS,
    }


class MultiTaskStage(TwoAnchorStage):
    """A classification term and a contrastive term, both on all 2b rows."""

    class_weight: Tensor

    def __init__(self, knobs: MultiTaskKnobs, context: BuildContext) -> None:
        super().__init__(knobs, context, VIEWS[knobs.views])
        self.knobs = knobs
        if knobs.classification == "cross_entropy":
            self.log_prior = torch.zeros_like(self.log_prior)
        weight = effective_number_weights(context.tail, knobs.effective_number_beta)
        self.register_buffer("class_weight", weight, persistent=False)

    def terms(self, contrast: ContrastBatch, scores: Tensor) -> Losses:
        """Return the classification term and the weighted contrastive term."""
        contrastive = supervised_contrast(
            contrast,
            temperature=self.knobs.temperature,
            classes=scores.shape[1],
            class_weight=self.class_weight,
        )
        return {
            "classification": adjusted_cross_entropy(scores, contrast.labels, self.log_prior),
            "contrastive": self.knobs.contrastive_weight * contrastive,
        }

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return both views and the queue."""
        contrast, _, keys = self.compared(batch)
        own_view = other_view(len(keys), device=keys.device)
        return ContrastPairs.supervised(contrast, temperature=self.knobs.temperature, own_view=own_view)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())


def _stages(knobs: MultiTaskKnobs, context: BuildContext) -> Sequence[Stage]:
    return [MultiTaskStage(knobs, context)]


METHOD = Method(
    name="multi_task",
    paper="Cui et al., Generalized Parametric Contrastive Learning, TPAMI 2023 (arXiv:2209.12400), Table 14",
    knobs=MultiTaskKnobs,
    stages=_stages,
)
