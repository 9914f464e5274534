"""LOS: the classifier of a finished network is trained further on labels that are smoothed almost completely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ltray.knobs import Value, knob
from ltray.parts.precision import full_precision
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, Stage
from ltray.stages.second_stage import FrozenBackboneKnobs, FrozenBackboneStage


@dataclass(frozen=True)
class LOSKnobs(FrozenBackboneKnobs):
    """The second stage of the official code, which was released for CIFAR-100-LT only; the other sets use its values.

    Its first stage is cross-entropy with a weight decay of 5e-3.
    """

    epochs: int = Recipe.redeclared("epochs", 20)
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (12, 16))
    batch_size: int = Recipe.redeclared("batch_size", 64)
    learning_rate: float = Recipe.redeclared("learning_rate", 5e-4, search=(1e-4, 1e-1))
    weight_decay: float = Recipe.redeclared("weight_decay", 0.0, search=None)
    smoothing: float = knob(
        0.98,
        "δ",
        "share of a label that is spread evenly over all classes",
        low=0.0,
        high=0.9999,
        search=(0.5, 0.999),
        dynamic=True,
    )
    mirrored: bool = knob(
        True,
        "",
        "evaluation on the mean of the scores of an image and its mirror image; off where it must not be mirrored",
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(),
        "places_lt": dict(),
        "inat18": dict(),
        "digits_lt": dict(epochs=5, batch_size=32, learning_rate=0.05, mirrored=False),
    }


@full_precision
def smoothed_cross_entropy(scores: Tensor, labels: Tensor, *, smoothing: float) -> Tensor:
    """Mean of −Σ_k q_k·log p_k with q = (1 − δ)·onehot + δ/K.

    Source: Sun et al., Rethinking Classifier Re-Training in Long-Tailed Recognition, ICLR 2025 (arXiv:2403.00250).

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        smoothing: δ, in [0, 1].
    """
    return F.cross_entropy(scores, labels, label_smoothing=smoothing)


class LabelOverSmoothing(FrozenBackboneStage):
    """Over-smoothed cross-entropy on the preceding network's own classifier; classes are not balanced."""

    def __init__(self, knobs: LOSKnobs, context: BuildContext) -> None:
        super().__init__(knobs, context, context.continued().classifier)
        self.knobs = knobs

    def trained(self) -> Sequence[nn.Module]:
        """Train the classifier."""
        return [self.network.classifier]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        loss = smoothed_cross_entropy(self.scores(batch), batch.labels, smoothing=self.knobs.smoothing)
        return {"classification": loss}

    def logits(self, images: Tensor) -> Tensor:
        """Return the scores (B, K), with `mirrored` the mean of those of the images and of their mirror images."""
        scores = super().logits(images)
        return (scores + super().logits(images.flip(-1))) / 2 if self.knobs.mirrored else scores


def _stages(knobs: LOSKnobs, context: BuildContext) -> Sequence[Stage]:
    return [LabelOverSmoothing(knobs, context)]


METHOD = Method(
    name="los",
    paper="Sun et al., Rethinking Classifier Re-Training in Long-Tailed Recognition: Label Over-Smooth Can Balance, "
    "ICLR 2025 (arXiv:2403.00250)",
    knobs=LOSKnobs,
    stages=_stages,
    needs_network=True,
)
