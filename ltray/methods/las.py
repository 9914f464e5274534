"""LAS, MiSLAS's second stage: labels of frequent classes are smoothed more."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.following import Facts, Follow, images_of
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.parts.adjusted_classifiers import ScaledClassifier
from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, Method, Stage
from ltray.stages.second_stage import SecondStage, SecondStageKnobs

SHAPES: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "concave": lambda t, power: torch.sin(t * math.pi / 2),
    "linear": lambda t, power: t,
    "convex": lambda t, power: 1.0 + torch.sin(1.5 * math.pi + t * math.pi / 2),
    "exponential": lambda t, power: t**power,
}
"""The increase of the smoothing with t = (n_k − n_min)/(n_max − n_min), from 0 to 1."""

MOST_DRAWS = 50_000_000


def _fits_in_an_epoch(value: bool, facts: Facts) -> bool:
    largest = facts.size.largest
    return value and (largest is None or largest * facts.size.classes <= MOST_DRAWS)


@dataclass(frozen=True)
class LASKnobs(SecondStageKnobs):
    """MiSLAS's second stage; the CIFAR columns are those of imbalance factor 100."""

    head_smoothing: float = knob(
        0.4,
        "ε_1",
        "label smoothing of the most frequent class",
        low=0.0,
        high=1.0,
        search=(0.1, 0.5),
        tried=(0.1, 0.2, 0.3, 0.4),
    )
    tail_smoothing: float = knob(
        0.0, "ε_K", "label smoothing of the rarest class", low=0.0, high=1.0, at_most="head_smoothing", tried=(0.0, 0.1)
    )
    shape: str = knob("concave", "", "how the label smoothing increases with the class count", choices=tuple(SHAPES))
    power: float = knob(
        3.0,
        "p",
        "exponent for shape = exponential",
        low=0.01,
        high=20.0,
        tried=(3.0,),
        needs=("shape", ("exponential",)),
    )
    classifier_lr_scale: float = knob(
        0.2,
        "",
        "factor of the learning rate for the classifier; the class factors use the full rate",
        low=0.0,
        high=10.0,
        search=(0.05, 0.5),
        tried=(0.05, 0.1, 0.2, 0.5),
    )
    long_epoch: bool = SecondStageKnobs.redeclared(
        "long_epoch", True, follows=Follow(f"off where n_max·K is above {MOST_DRAWS:,}", _fits_in_an_epoch, images_of)
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(head_smoothing=0.3, classifier_lr_scale=0.5, features="fixed"),
        "cifar100_lt": dict(head_smoothing=0.4, tail_smoothing=0.1),
        "imagenet_lt": dict(head_smoothing=0.3, classifier_lr_scale=0.05, batch_size=256),
        "places_lt": dict(head_smoothing=0.4, tail_smoothing=0.1, classifier_lr_scale=0.05, batch_size=256),
        "inat18": dict(head_smoothing=0.3, classifier_lr_scale=0.05, batch_size=256, weight_decay=1e-4),
        "digits_lt": dict(head_smoothing=0.3, epochs=5, batch_size=32),
    }


def smoothing_by_class(
    tail: LongTail, *, head: float, rare: float, shape: str = "concave", power: float = 3.0
) -> Tensor:
    """Return ε_k of every class, float64 (K,), from `rare` at n_min to `head` at n_max.

    Source: official code of Zhong et al., Improving Calibration for Long-Tailed Recognition,
    CVPR 2021 (arXiv:2104.00466).

    Args:
        tail: Class counts; with equal counts every class is a rarest class.
        head: ε of the most frequent class.
        rare: ε of the rarest class.
        shape: A key of `SHAPES`.
        power: Exponent of the "exponential" shape.
    """
    counts = tail.count_tensor()
    spread = (counts.max() - counts.min()).clamp_min(1.0)
    return rare + (head - rare) * SHAPES[shape]((counts - counts.min()) / spread, power)


@full_precision
def label_aware_loss(scores: Tensor, labels: Tensor, smoothing: Tensor) -> Tensor:
    """Mean of (1 − ε_y)·(−log p_y) + ε_y·mean_k(−log p_k).

    The smoothing mass lies on all K classes, including the label's class (official code).

    Args:
        scores: Logits (B, K).
        labels: Class indices (B,).
        smoothing: ε by class (K,).
    """
    log_p = F.log_softmax(scores, dim=1)
    amount = smoothing[labels].to(log_p.dtype)
    own = -log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    return ((1.0 - amount) * own - amount * log_p.mean(dim=1)).mean()


class LabelAwareSmoothing(SecondStage):
    """Label-aware smoothing on s_k·(w_k·x + b_k); factors and classifier are trained."""

    smoothing: Tensor

    def __init__(self, knobs: LASKnobs, context: BuildContext) -> None:
        classifier = ScaledClassifier(context.continued().classifier, context.tail.classes)
        super().__init__(knobs, context, classifier)
        self.knobs = knobs
        amount = smoothing_by_class(
            context.tail, head=knobs.head_smoothing, rare=knobs.tail_smoothing, shape=knobs.shape, power=knobs.power
        )
        self.register_buffer("smoothing", amount, persistent=False)

    def trained(self) -> Sequence[nn.Module]:
        """Train the classifier and its factors."""
        return [self.network.classifier]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the factors and, at a share of their rate, the classifier."""
        scaled = self.network.classifier
        assert isinstance(scaled, ScaledClassifier)
        return [
            {"params": list(scaled.scale.parameters())},
            {"params": list(scaled.classifier.parameters()), "lr_scale": self.knobs.classifier_lr_scale},
        ]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        return {"classification": label_aware_loss(self.scores(batch), batch.labels, self.smoothing)}


def _stages(knobs: LASKnobs, context: BuildContext) -> Sequence[Stage]:
    return [LabelAwareSmoothing(knobs, context)]


METHOD = Method(
    name="las",
    paper="Zhong et al., Improving Calibration for Long-Tailed Recognition (MiSLAS), CVPR 2021 (arXiv:2104.00466)",
    knobs=LASKnobs,
    stages=_stages,
    needs_network=True,
)
