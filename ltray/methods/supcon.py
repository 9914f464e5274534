"""SupCon together with Balanced Softmax: the framework that ResCom and BCL extend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.following import HALF_THE_IMAGES
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.rescom.method import ResComKnobs
from ltray.parts.contrast import ContrastBatch, ContrastPairs, other_view, unit
from ltray.parts.heads import projector
from ltray.parts.key_queue import KeyQueue
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.parts.pairs import extended, supervised_contrast
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

LARGE: dict[str, Value] = dict(
    batch_size=256, learning_rate=0.06, schedule="cosine_to_floor", queue_size=4096, projection_width=128
)


@dataclass(frozen=True)
class ContrastiveBaselineKnobs(Recipe):
    """The common knobs of the SupCon and MoCo baselines.

    Sources: ResCom's Tables 3 and 6 and its Section 4.3.4, which run both in ResCom's recipe;
    the large sets' queue is one of the sizes of its Figure 4.
    """

    epochs: int = Recipe.redeclared("epochs", 400)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 10)
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (320, 360))

    temperature: float = knob(
        0.2,
        "τ",
        "contrastive temperature",
        low=1e-3,
        high=10.0,
        log=True,
        search=(0.05, 0.5),
        tried=(0.2,),
        dynamic=True,
    )
    contrastive_weight: float = ResComKnobs.redeclared("contrastive_weight", 0.5)
    queue_size: int = knob(
        1024,
        "",
        "number of keys in the queue",
        low=0,
        high=2**20,
        log=True,
        search=(128, 16_384),
        tried=(4000, 8000),
        follows=HALF_THE_IMAGES,
    )
    queue_start: str = knob(
        "random", "", "initial content of the queue: random unit vectors, or nothing", choices=("random", "empty")
    )
    projection_width: int = knob(32, "dim", "width of the embedding", low=1, high=4096, log=True, search=(32, 256))


@dataclass(frozen=True)
class SupConKnobs(ContrastiveBaselineKnobs):
    """SupCon + Balanced Softmax; `queue_size=0` is SupCon as published, with pairs from the batch only."""

    siamese_balanced_softmax: bool = ResComKnobs.redeclared("siamese_balanced_softmax", False)

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": LARGE,
        "places_lt": LARGE | dict(epochs=30, learning_rate=0.02),
        "inat18": LARGE | dict(learning_rate=0.08, weight_decay=1e-4),
        "digits_lt": dict(DIGITS, queue_size=128),
    }


class SupConStage(Stage):
    """Two views of one policy; every row is an anchor; its keys are the other rows and a queue of first views."""

    views = (View("first", "rescom"), View("second", "rescom"))
    log_prior: Tensor

    def __init__(self, knobs: SupConKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.classes = context.tail.classes
        self.network = context.new_network("linear")
        width = self.network.backbone.width
        self.projector = projector(width, width, knobs.projection_width)
        self.queue = KeyQueue(knobs.queue_size, knobs.projection_width, classes=self.classes, start=knobs.queue_start)
        self.register_buffer("log_prior", log_prior(context.tail), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the contrastive term; then enqueue the first views."""
        features, contrast = self._compared(batch)
        self.observe(contrast.hardest_similarities)
        loss = supervised_contrast(contrast, temperature=self.knobs.temperature, classes=self.classes)
        self.queue.push(contrast.anchors[: len(batch.labels)], batch.labels)
        classified = 2 if self.knobs.siamese_balanced_softmax else 1
        labels = batch.labels.repeat(classified)
        scores = self.network.classifier(features[: len(labels)])
        return {
            "classification": adjusted_cross_entropy(scores, labels, self.log_prior),
            "contrastive": self.knobs.contrastive_weight * loss,
        }

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return both views and the queue."""
        _, contrast = self._compared(batch)
        own_view = other_view(len(batch.labels), device=batch.labels.device)
        return ContrastPairs.supervised(contrast, temperature=self.knobs.temperature, own_view=own_view)

    def _compared(self, batch: Batch) -> tuple[Tensor, ContrastBatch]:
        """Return the features of both views, and their embeddings with the queue."""
        features = self.network.backbone(torch.cat([batch["first"], batch["second"]]))
        first, second = unit(self.projector(features)).chunk(2)
        return features, extended(ContrastBatch.gathered([first, second], batch.labels), *self.queue.stored())

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())


def _stages(knobs: SupConKnobs, context: BuildContext) -> Sequence[Stage]:
    return [SupConStage(knobs, context)]


METHOD = Method(
    name="supcon",
    paper="Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (arXiv:2004.11362), with Balanced Softmax",
    knobs=SupConKnobs,
    stages=_stages,
)
