"""PaCo: contrast with a momentum queue and with learnable class centres in one softmax."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.distributed import gather
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.centres import LARGE, QUEUE_DIGITS, CentreKnobs, centre_contrast, centre_pairs, centre_prior
from ltray.parts.contrast import ContrastBatch, ContrastPairs, unit
from ltray.parts.heads import projector
from ltray.parts.key_queue import KeyQueue
from ltray.parts.losses import log_prior
from ltray.parts.momentum import MomentumCopy, MomentumKnobs
from ltray.parts.pairs import extended
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

VIEWS = {"strong_sim": ("paco_query", "paco_key"), "sim_sim": ("paco_key", "paco_key")}


@dataclass(frozen=True)
class PaCoKnobs(CentreKnobs, MomentumKnobs):
    """PaCo's hyperparameters; values from the scripts of the official code."""

    views: str = knob(
        "strong_sim",
        "",
        "augmentations of query and key: AutoAugment or RandAugment, and SimCLR's; or SimCLR's for both",
        choices=tuple(VIEWS),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": LARGE | dict(alpha=0.05),
        "places_lt": LARGE | dict(alpha=0.05, epochs=30, warmup_epochs=5, views="sim_sim"),
        "inat18": LARGE | dict(alpha=0.05, weight_decay=1e-4),
        "digits_lt": QUEUE_DIGITS,
    }


class PaCoStage(Stage):
    """Queries against a momentum encoder's keys, a queue of them, and the class centres.

    The centres are the rows of the linear classifier.
    """

    log_prior: Tensor

    def __init__(self, knobs: PaCoKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        query, key = VIEWS[knobs.views]
        self.views = (View("query", query), View("key", key))
        self.knobs = knobs
        self.network = context.new_network("linear")
        width = self.network.backbone.width
        self.projector = projector(width, width, knobs.projection_width)
        self.key_encoder = MomentumCopy(
            (self.network.backbone, self.projector),
            momentum=knobs.key_momentum,
            shuffled=knobs.key_batch_norm == "shuffled",
        )
        self.queue = KeyQueue(
            knobs.queue_size, knobs.projection_width, classes=context.tail.classes, start=knobs.queue_start
        )
        self.register_buffer("log_prior", log_prior(context.tail, epsilon=1e-9), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Contrast the queries with the keys and the queue as it was before, then enqueue."""
        features = self.network.backbone(batch["query"])
        queries = unit(self.projector(features))
        self.key_encoder.follow((self.network.backbone, self.projector))
        keys = unit(self.key_encoder(batch["key"]))
        contrast = self._contrast(queries, keys, batch.labels)
        self.observe(contrast.hardest_similarities)
        scores = self.network.classifier(features)
        loss = centre_contrast(self.knobs, contrast, scores, log_prior=self.log_prior)
        self.queue.push(keys, batch.labels)
        return {"paco": loss}

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return queries, keys, queue and centres."""
        features = self.network.backbone(batch["query"])
        keys = unit(self.key_encoder(batch["key"]))
        contrast = self._contrast(unit(self.projector(features)), keys, batch.labels)
        own_view = len(keys) + torch.arange(len(keys), device=keys.device)
        scores = self.network.classifier(features)
        return centre_pairs(self.knobs, contrast, scores, log_prior=self.log_prior, own_view=own_view)

    def _contrast(self, queries: Tensor, keys: Tensor, labels: Tensor) -> ContrastBatch:
        contrast = ContrastBatch.gathered([queries], labels)
        contrast = extended(contrast, gather(keys), gather(labels))
        return extended(contrast, *self.queue.stored())

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the scores of the centres."""
        return centre_prior(self.knobs, self.log_prior.cpu(), tail)


def _stages(knobs: PaCoKnobs, context: BuildContext) -> Sequence[Stage]:
    return [PaCoStage(knobs, context)]


METHOD = Method(
    name="paco",
    paper="Cui et al., Parametric Contrastive Learning, ICCV 2021 (arXiv:2107.12028)",
    knobs=PaCoKnobs,
    stages=_stages,
    train={"places_lt": "norms_and_last_block"},
)
