"""GPaCo: PaCo without a momentum encoder; both views are anchors and both carry gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.centres import (
    LARGE,
    QUEUE_DIGITS,
    CentreKnobs,
    QueueKnobs,
    centre_contrast,
    centre_pairs,
    centre_prior,
)
from ltray.parts.contrast import ContrastBatch, ContrastPairs, other_view, unit
from ltray.parts.heads import mlp
from ltray.parts.key_queue import KeyQueue
from ltray.parts.losses import log_prior
from ltray.parts.pairs import extended
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

VIEWS = {
    "strong_sim": ("paco_query", "gpaco_key"),
    "strong_strong": ("paco_query", "gpaco_stack"),
    "sim_sim": ("paco_key", "paco_key"),
}


@dataclass(frozen=True)
class GPaCoKnobs(CentreKnobs):
    """GPaCo's hyperparameters; values from the scripts of the official code."""

    learning_rate: float = Recipe.redeclared("learning_rate", 0.1)
    smoothing: float = knob(
        0.0,
        "",
        "fraction of the centre's weight that is distributed over the centres of the other classes",
        low=0.0,
        high=0.9,
        tried=(0.0, 0.1),
        dynamic=True,
    )
    views: str = knob(
        "strong_sim",
        "",
        "augmentations of the views: AutoAugment or RandAugment and SimCLR's, RandAugment twice, or SimCLR's twice",
        choices=tuple(VIEWS),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": LARGE | dict(alpha=0.045, learning_rate=0.04, views="strong_strong"),
        "places_lt": LARGE | dict(alpha=0.02, epochs=30, warmup_epochs=5, views="sim_sim"),
        "inat18": LARGE | dict(alpha=0.05, learning_rate=0.04, weight_decay=1e-4),
        "digits_lt": QUEUE_DIGITS,
    }


class TwoAnchorStage(Stage):
    """Two passes through one network; every row is an anchor; a subclass defines the loss.

    Args:
        knobs: Recipe, queue and embedding.
        context: The data and the network.
        views: Augmentations of the two views.
    """

    log_prior: Tensor

    def __init__(self, knobs: QueueKnobs, context: BuildContext, views: tuple[str, str]) -> None:
        super().__init__(knobs)
        self.views = (View("query", views[0]), View("key", views[1]))
        self.network = context.new_network("linear")
        width = self.network.backbone.width
        self.projector = mlp(width, width, width, knobs.projection_width)
        self.queue = KeyQueue(
            knobs.queue_size, knobs.projection_width, classes=context.tail.classes, start=knobs.queue_start
        )
        self.register_buffer("log_prior", log_prior(context.tail, epsilon=1e-9), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Contrast both views with each other and with the queue, then enqueue the second."""
        contrast, scores, keys = self.compared(batch)
        self.observe(contrast.hardest_similarities)
        terms = self.terms(contrast, scores)
        self.queue.push(keys, batch.labels)
        return terms

    def compared(self, batch: Batch) -> tuple[ContrastBatch, Tensor, Tensor]:
        """Return anchors and keys, the classifier's scores of the anchors (2b, K), and the second view's rows."""
        # Two passes, not one on both: each view has its own BatchNorm statistics.
        features = [self.network.backbone(batch[view.name]) for view in self.views]
        queries, keys = (unit(self.projector(rows)) for rows in features)
        contrast = extended(ContrastBatch.gathered([queries, keys], batch.labels), *self.queue.stored())
        return contrast, self.network.classifier(torch.cat(features)), keys

    def terms(self, contrast: ContrastBatch, scores: Tensor) -> Losses:
        """Return the loss terms of the anchors (2b, d) with classifier scores (2b, K)."""
        raise TypeError(f"{type(self).__name__} must define terms(contrast, scores).")


class GPaCoStage(TwoAnchorStage):
    """PaCo's loss with all 2b rows as anchors."""

    def __init__(self, knobs: GPaCoKnobs, context: BuildContext) -> None:
        super().__init__(knobs, context, VIEWS[knobs.views])
        self.knobs = knobs

    def terms(self, contrast: ContrastBatch, scores: Tensor) -> Losses:
        """Return the one term of the loss."""
        knobs = self.knobs
        return {"gpaco": centre_contrast(knobs, contrast, scores, log_prior=self.log_prior, smoothing=knobs.smoothing)}

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return both views, queue and centres."""
        contrast, scores, keys = self.compared(batch)
        own_view = other_view(len(keys), device=keys.device)
        return centre_pairs(self.knobs, contrast, scores, log_prior=self.log_prior, own_view=own_view)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the scores of the centres."""
        return centre_prior(self.knobs, self.log_prior.cpu(), tail)


def _stages(knobs: GPaCoKnobs, context: BuildContext) -> Sequence[Stage]:
    return [GPaCoStage(knobs, context)]


METHOD = Method(
    name="gpaco",
    paper="Cui et al., Generalized Parametric Contrastive Learning, TPAMI 2023 (arXiv:2209.12400)",
    knobs=GPaCoKnobs,
    stages=_stages,
    train={"places_lt": "norms_and_last_block"},
)
