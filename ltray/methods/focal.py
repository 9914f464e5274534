"""Focal loss: images that are already classified well count less."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.knobs import Above, knob
from ltray.methods.classifiers import classified_network
from ltray.methods.cross_entropy import OneViewKnobs, policy_of
from ltray.parts.margin_losses import class_balanced_weights
from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, Method, Stage, View


@dataclass(frozen=True)
class FocalKnobs(OneViewKnobs):
    """The baselines' recipe, γ, and class weights by effective number."""

    gamma: float = knob(
        1.0,
        "γ",
        "focusing exponent; 0 is cross-entropy",
        low=0.0,
        high=10.0,
        search=(0.5, 2.0),
        tried=(0.5, 1.0, 2.0),
        dynamic=True,
    )
    beta: float = knob(
        0.0, "β", "β of the class weights; 0: equal weights", low=0.0, high=1.0, tried=(0.9, 0.99, 0.999, 0.9999)
    )
    probability: str = knob(
        "plain",
        "p",
        "use of the class weight w: plain is w·(1−p)^γ·CE; weighted has p = exp(−w·CE), as the code of LDAM-DRW",
        choices=("plain", "weighted"),
        needs=("beta", Above(0.0)),
    )


@full_precision
def focal_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    gamma: float,
    weight: Tensor | None = None,
    probability: Literal["plain", "weighted"] = "plain",
) -> Tensor:
    """Mean of w_y·(1 − p_y)^γ·(−log p_y) over the batch.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv:1708.02002),
    eq. 5, on softmax probabilities; weights, and their use in the probability, as in LDAM-DRW's official code.

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        gamma: γ >= 0.
        weight: Class weights (K,), or None for ones.
        probability: Under "weighted" p = exp(−w·CE) instead of exp(−CE).
    """
    entropy = F.cross_entropy(scores, labels, reduction="none")
    losses = entropy if weight is None else weight[labels].to(entropy.dtype) * entropy
    exponent = losses if probability == "weighted" else entropy
    # Not below the smallest normal number: the derivative of 0^γ is infinite for γ < 1.
    missed = (-torch.expm1(-exponent)).clamp_min(torch.finfo(exponent.dtype).tiny)
    return (missed**gamma * losses).mean()


class Focal(Stage):
    """Focal loss on one view of each image."""

    weight: Tensor

    def __init__(self, knobs: FocalKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.views = (View("image", policy_of(knobs.augmentation)),)
        self.network = classified_network(knobs, context)
        self.register_buffer("weight", class_balanced_weights(context.tail, knobs.beta), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        probability: Literal["plain", "weighted"] = "weighted" if self.knobs.probability == "weighted" else "plain"
        scores = self.network(batch["image"])
        loss = focal_loss(scores, batch.labels, gamma=self.knobs.gamma, weight=self.weight, probability=probability)
        return {"classification": loss}


def _stages(knobs: FocalKnobs, context: BuildContext) -> Sequence[Stage]:
    return [Focal(knobs, context)]


METHOD = Method(
    name="focal",
    paper="Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv:1708.02002)",
    knobs=FocalKnobs,
    stages=_stages,
)
