"""MoCo together with Balanced Softmax: ResCom's baseline, whose contrastive loss uses no labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.following import HALF_THE_IMAGES
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.supcon import LARGE, ContrastiveBaselineKnobs
from ltray.parts.contrast import ContrastPairs, similarity, unit
from ltray.parts.heads import projector
from ltray.parts.key_queue import KeyQueue
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.parts.momentum import MomentumCopy, MomentumKnobs
from ltray.recipe import DIGITS
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View


@dataclass(frozen=True)
class MoCoKnobs(ContrastiveBaselineKnobs, MomentumKnobs):
    """MoCo + Balanced Softmax."""

    queue_size: int = knob(
        1024,
        "",
        "number of keys in the queue",
        low=1,
        high=2**20,
        log=True,
        search=(128, 16_384),
        tried=(4000, 8000),
        follows=HALF_THE_IMAGES,
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": LARGE,
        "places_lt": LARGE | dict(epochs=30, learning_rate=0.02),
        "inat18": LARGE | dict(learning_rate=0.08, weight_decay=1e-4),
        "digits_lt": dict(DIGITS, queue_size=128),
    }


def instance_contrast(queries: Tensor, keys: Tensor, memory: Tensor, *, temperature: float) -> Tensor:
    """InfoNCE: classify an image's own key against the stored keys of other images.

    Source: He et al., CVPR 2020, eq. 1.

    Args:
        queries: Unit embeddings (B, d).
        keys: Unit embeddings of the same images' other view (B, d), no gradient.
        memory: Unit embeddings (M, d), no gradient.
        temperature: τ.

    Returns:
        The mean over the queries, a scalar.
    """
    own = (queries * keys).sum(dim=1) / temperature
    others = similarity(queries, memory, temperature=temperature)
    return (torch.logaddexp(own, others.logsumexp(dim=1)) - own).mean()


class MoCoStage(Stage):
    """Queries against their own keys and a queue; the query's view is also classified."""

    views = (View("query", "rescom"), View("key", "rescom"))
    log_prior: Tensor

    def __init__(self, knobs: MoCoKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.network = context.new_network("linear")
        width, classes = self.network.backbone.width, context.tail.classes
        self.projector = projector(width, width, knobs.projection_width)
        self.key_encoder = MomentumCopy(
            (self.network.backbone, self.projector),
            momentum=knobs.key_momentum,
            shuffled=knobs.key_batch_norm == "shuffled",
        )
        self.queue = KeyQueue(knobs.queue_size, knobs.projection_width, classes=classes, start=knobs.queue_start)
        self.register_buffer("log_prior", log_prior(context.tail), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the contrastive term; then enqueue the keys."""
        features = self.network.backbone(batch["query"])
        queries = unit(self.projector(features))
        self.key_encoder.follow((self.network.backbone, self.projector))
        keys = unit(self.key_encoder(batch["key"]))
        memory, _ = self.queue.contents()
        loss = instance_contrast(queries, keys, memory, temperature=self.knobs.temperature)
        self.queue.push(keys, batch.labels)
        return {
            "classification": adjusted_cross_entropy(self.network.classifier(features), batch.labels, self.log_prior),
            "contrastive": self.knobs.contrastive_weight * loss,
        }

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return each query, its own key, which is the only target, and the queue."""
        queries = unit(self.projector(self.network.backbone(batch["query"])))
        own = (queries * unit(self.key_encoder(batch["key"]))).sum(dim=1, keepdim=True)
        memory, memory_labels = self.queue.contents()
        cosines = torch.cat([own, similarity(queries, memory)], dim=1)
        first = torch.zeros_like(batch.labels)
        targets = torch.zeros_like(cosines).index_fill(1, first[:1], 1.0)
        same = batch.labels[:, None] == memory_labels
        positives = torch.cat([torch.ones_like(same[:, :1]), same], dim=1)
        return ContrastPairs(cosines, batch.labels, positives, targets, self.knobs.temperature, own_view=first)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())


def _stages(knobs: MoCoKnobs, context: BuildContext) -> Sequence[Stage]:
    return [MoCoStage(knobs, context)]


METHOD = Method(
    name="moco",
    paper="He et al., Momentum Contrast, CVPR 2020 (arXiv:1911.05722), with Balanced Softmax",
    knobs=MoCoKnobs,
    stages=_stages,
)
