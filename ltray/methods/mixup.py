"""Mixup: images and losses are blended in pairs; the first stage of MiSLAS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Beta

from ltray.distributed import from_first, gather, own_rows, world_size
from ltray.knobs import Value, knob
from ltray.methods.cross_entropy import BaselineKnobs, policy_of
from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, Method, Stage, View


@dataclass(frozen=True)
class MixupKnobs(BaselineKnobs):
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
        "digits_lt": dict(BaselineKnobs.paper_values["digits_lt"]),
    }


def mix(images: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """λ·x + (1 − λ)·x', with one λ for the batch.

    Args:
        images: (B, 3, H, W).
        partners: The images to blend in (B, 3, H, W).
        share: λ in [0, 1], a scalar.
    """
    share = share.to(images.dtype)
    return share * images + (1.0 - share) * partners


@full_precision
def mixed_cross_entropy(scores: Tensor, labels: Tensor, partner_labels: Tensor, share: Tensor) -> Tensor:
    """λ·CE(z, y) + (1 − λ)·CE(z, y'), averaged over the batch.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018
    (arXiv:1710.09412), as in MiSLAS's official code.

    Args:
        scores: Logits of the blended images (B, K).
        labels: Labels of the images (B,).
        partner_labels: Labels of those blended in (B,).
        share: λ in [0, 1], a scalar.
    """
    share = share.to(scores.dtype)
    return share * F.cross_entropy(scores, labels) + (1.0 - share) * F.cross_entropy(scores, partner_labels)


class Mixup(Stage):
    """Cross-entropy on blended images: one λ and one permutation for the batch of all workers."""

    def __init__(self, knobs: MixupKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.views = (View("image", policy_of(knobs.augmentation)),)
        self.network = context.new_network("linear")
        self.blend = Beta(
            torch.tensor(knobs.alpha, dtype=torch.float64), torch.tensor(knobs.alpha, dtype=torch.float64)
        )

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        images, labels = batch["image"], batch.labels
        rows, device = len(labels), labels.device
        share = from_first(self.blend.sample().to(device))
        mine = own_rows(torch.randperm(rows * world_size()).to(device))
        scores = self.network(mix(images, gather(images)[mine], share))
        return {"classification": mixed_cross_entropy(scores, labels, gather(labels)[mine], share)}


def _stages(knobs: MixupKnobs, context: BuildContext) -> Sequence[Stage]:
    return [Mixup(knobs, context)]


METHOD = Method(
    name="mixup",
    paper="Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (arXiv:1710.09412); "
    "recipe of Zhong et al., MiSLAS, CVPR 2021 (arXiv:2104.00466)",
    knobs=MixupKnobs,
    stages=_stages,
)
