"""Class-balanced loss: weights by the effective number of images of a class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.knobs import knob
from ltray.long_tail import LongTail
from ltray.methods.classifiers import classified_network
from ltray.methods.cross_entropy import OneViewKnobs, policy_of
from ltray.parts.margin_losses import class_balanced_weights, weighted_cross_entropy
from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View


@dataclass(frozen=True)
class ClassBalancedKnobs(OneViewKnobs):
    """The baselines' recipe, β, and the weighted loss."""

    beta: float = knob(
        0.9999,
        "β",
        "β of the effective number (1 − β^n)/(1 − β); with 1 the weights are 1/n",
        low=0.0,
        high=1.0,
        search=(0.9, 0.99, 0.999, 0.9999),
        tried=(0.9, 0.99, 0.999, 0.9999),
    )
    loss: str = knob(
        "softmax",
        "",
        "the weighted loss; sigmoid and focal are one-versus-all",
        choices=("softmax", "sigmoid", "focal"),
    )
    gamma: float = knob(
        1.0,
        "γ",
        "focusing exponent for loss = focal",
        low=0.0,
        high=10.0,
        search=(0.5, 2.0),
        tried=(0.5, 1.0, 2.0),
        needs=("loss", ("focal",)),
    )


@full_precision
def one_versus_all(scores: Tensor, labels: Tensor, weight: Tensor, *, gamma: float = 0.0) -> Tensor:
    """Weighted sigmoid focal loss, summed over classes, mean over images; γ = 0 is cross-entropy.

    Source: official TensorFlow code of Cui et al., CVPR 2019 (sum over everything divided by
    the number of positives, which is B with one label per image).

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        weight: Class weights (K,); all K terms of an image get its label's weight.
        gamma: γ >= 0.
    """
    target = F.one_hot(labels, scores.shape[1]).to(scores.dtype)
    entropy = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    # (1 − p_t)^γ as exp(γ·log(1 − p_t)): gradients are finite even for extreme scores.
    missed = torch.exp(gamma * F.logsigmoid(torch.where(target > 0, -scores, scores)))
    return ((missed * entropy).sum(dim=1) * weight[labels].to(scores.dtype)).mean()


class ClassBalanced(Stage):
    """A class-weighted loss on one view of each image."""

    weight: Tensor

    def __init__(self, knobs: ClassBalancedKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.views = (View("image", policy_of(knobs.augmentation)),)
        self.network = classified_network(knobs, context)
        self.register_buffer("weight", class_balanced_weights(context.tail, knobs.beta), persistent=False)
        if knobs.loss != "softmax":
            _start_at_the_prior(self.network.classifier, context.tail.classes)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        scores = self.network(batch["image"])
        if self.knobs.loss == "softmax":
            return {"classification": weighted_cross_entropy(scores, batch.labels, self.weight)}
        gamma = self.knobs.gamma if self.knobs.loss == "focal" else 0.0
        return {"classification": one_versus_all(scores, batch.labels, self.weight, gamma=gamma)}

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the training set times the weights; one-versus-all losses give no posteriors."""
        return ScorePrior(tail.prior().log() + self.weight.cpu().log()) if self.knobs.loss == "softmax" else None


def _start_at_the_prior(classifier: nn.Module, classes: int) -> None:
    """Start every sigmoid at 1/K, so that the K − 1 negatives of each image do not dominate the first epochs."""
    bias = getattr(classifier, "bias", None)
    if not isinstance(bias, Tensor):
        raise UsageError(f"One-versus-all losses need a classifier with bias, but got {type(classifier).__name__}.")
    nn.init.constant_(bias, -math.log(classes - 1))


def _stages(knobs: ClassBalancedKnobs, context: BuildContext) -> Sequence[Stage]:
    return [ClassBalanced(knobs, context)]


METHOD = Method(
    name="class_balanced",
    paper="Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (arXiv:1901.05555)",
    knobs=ClassBalancedKnobs,
    stages=_stages,
)
