"""ResCom: rebalanced Siamese contrastive mining."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.following import at_most_classes
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.rescom.losses import EPSILON, class_balanced_contrast, mined_similarities
from ltray.parts.contrast import (
    ContrastBatch,
    ContrastPairs,
    equal_targets,
    hardest_similarities,
    other_view,
    similarity,
    unit,
)
from ltray.parts.heads import projector
from ltray.parts.losses import adjusted_cross_entropy, effective_number_weights, log_prior
from ltray.parts.queues import SLOTS, ClassQueue
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

LARGEST_QUEUE = 131_072


LARGE: dict[str, Value] = dict(
    batch_size=256, warmup_epochs=10, schedule="cosine_to_floor", hard_negatives=500, projection_width=128
)
"""The settings that ImageNet-LT, Places-LT and iNaturalist share."""


@dataclass(frozen=True)
class ResComKnobs(Recipe):
    """ResCom's hyperparameters, and its modules as switches.

    Its Table 6 in switches: class-balanced loss off is `effective_number_beta=0`,
    class-balanced queue off is `queue_kind="original"`, pair mining off is
    `hard_mining=False`, SiamBS off is `siamese_balanced_softmax=False`.

    Published are the CIFAR-100-LT setting (in the official repository's history) and, in the
    paper's text, λ, τ, learning rate, batch and epochs of all sets, β, Q, Q_p and Q_n of
    ImageNet-LT; the rest of the large sets' and CIFAR-10-LT's lines is our choice.
    """

    temperature: float = knob(
        0.2,
        "τ",
        "contrastive temperature",
        low=1e-3,
        high=1.0,
        log=True,
        search=(0.05, 0.5),
        tried=(0.2,),
        dynamic=True,
    )
    contrastive_weight: float = knob(
        0.5,
        "λ",
        "weight of the contrastive term",
        low=0.0,
        high=100.0,
        log=True,
        search=(0.1, 2.0),
        tried=(0.5,),
        dynamic=True,
    )
    effective_number_beta: float = knob(
        0.99,
        "β",
        "class-balanced loss: weights 1/E_k by the effective number; 0: equal weights",
        low=0.0,
        high=0.99999999,
        search=(0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999),
        tried=(0.0, 0.9, 0.99, 0.999, 0.9999, 0.99999),
    )
    queue_size: int = knob(
        4,
        "Q",
        "number of queue slots per class",
        low=1,
        high=1024,
        log=True,
        search=(2, 128),
        tried=(4, 8),
        follows=at_most_classes(
            f"at most {LARGEST_QUEUE:,} slots in all", lambda classes, facts: LARGEST_QUEUE / classes
        ),
    )
    hard_positives: int = knob(
        1,
        "Q_p",
        "number of hard positives: the least similar queue keys of the anchor's class",
        low=1,
        at_most="queue_size",
        search=(1, 8),
        tried=(1, 2, 4, 8),
        needs=("hard_mining", (True,)),
        dynamic=True,
    )
    hard_negatives: int = knob(
        400,
        "Q_n",
        "number of hard negatives: the most similar queue keys of other classes",
        low=1,
        log=True,
        at_most=lambda knobs, classes: (classes - 1) * knobs.queue_size,
        search=(8, 1000),
        tried=(500, 2000, 3996, 7992),
        needs=("hard_mining", (True,)),
        dynamic=True,
    )
    projection_width: int = knob(32, "dim", "width of the embedding", low=2, high=4096, log=True, search=(32, 256))
    anchors: str = knob(
        "both_views",
        "",
        "both_views (official code): both views are compared with batch and queue, view 1 is added to the queue; "
        "first_view (paper, Eq. 5 and Alg. 1): view 1 is compared only with the queue, view 2 is added to it",
        choices=("both_views", "first_view"),
    )
    queue_kind: str = knob(
        "balanced",
        "",
        "slots per class: Q (balanced), or K·Q in total, in proportion to the class counts (original) or reversed",
        choices=tuple(SLOTS),
        tried=tuple(SLOTS),
    )
    hard_mining: bool = knob(True, "SPM", "use only the Q_p and Q_n hardest keys; off: all keys of the queue")
    siamese_balanced_softmax: bool = knob(
        True, "SiamBS", "train the classifier on both views; off: only on the first view"
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(epochs=400, warmup_epochs=10, milestones=(320, 360)),
        "cifar10_lt": dict(
            epochs=400, warmup_epochs=10, milestones=(320, 360), effective_number_beta=0.999999, queue_size=100
        ),
        "cifar100_lt": dict(
            epochs=400, warmup_epochs=10, milestones=(320, 360), effective_number_beta=0.999999, queue_size=10
        ),
        "imagenet_lt": dict(LARGE, epochs=400, learning_rate=0.06),
        "places_lt": dict(LARGE, epochs=30, learning_rate=0.02),
        "inat18": dict(LARGE, epochs=400, learning_rate=0.08, weight_decay=1e-4, queue_size=2),
        "digits_lt": dict(DIGITS, queue_size=16, hard_negatives=64),
    }


class ResCom(Stage):
    """One stage: Siamese Balanced Softmax and a class-balanced contrast with mined queue keys.

    Source: the official code (dvlab-research/ResCom) where it differs from the paper; its
    in-batch pairs are those of a worker, ours those of all workers.
    """

    views = (View("first", "rescom"), View("second", "rescom"))
    log_prior: Tensor
    class_weights: Tensor

    def __init__(self, knobs: ResComKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        knobs.check_classes(context.tail.classes)
        self.knobs = knobs
        self.network = context.new_network("linear")
        width = self.network.backbone.width
        self.projector = projector(width, width, knobs.projection_width)
        slots = SLOTS[knobs.queue_kind](context.tail, knobs.queue_size)
        self.queue = ClassQueue(slots, knobs.projection_width)
        self.mined = (knobs.hard_positives, knobs.hard_negatives)
        if not knobs.hard_mining:
            self.mined = (max(slots), sum(slots) - min(slots))
        weights = effective_number_weights(context.tail, knobs.effective_number_beta)
        self.register_buffer("class_weights", weights, persistent=False)
        self.register_buffer("log_prior", log_prior(context.tail, epsilon=EPSILON), persistent=False)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the contrastive term; the batch then enters the queue."""
        features = self.network.backbone(torch.cat([batch["first"], batch["second"]]))
        scores = self.network.classifier(features)
        first, second = unit(self.projector(features)).chunk(2)
        contrastive = self.knobs.contrastive_weight * self._contrast(first, second, batch.labels)
        self.queue.push(first if self.knobs.anchors == "both_views" else second, batch.labels)
        return {"classification": self._classify(scores, batch.labels), "contrastive": contrastive}

    def _classify(self, scores: Tensor, labels: Tensor) -> Tensor:
        if self.knobs.siamese_balanced_softmax:
            return adjusted_cross_entropy(scores, labels.repeat(2), self.log_prior)
        return adjusted_cross_entropy(scores[: labels.shape[0]], labels, self.log_prior)

    def pairs(self, batch: Batch) -> ContrastPairs:
        """Return the pairs in the batch and the mined ones; with `first_view` only these."""
        features = self.network.backbone(torch.cat([batch["first"], batch["second"]]))
        first, second = unit(self.projector(features)).chunk(2)
        similarities, positives, labels = self._pairs(first, second, batch.labels)
        both = self.knobs.anchors == "both_views"
        own_view = other_view(len(first), device=first.device) if both else None
        targets = equal_targets(positives)
        return ContrastPairs(similarities, labels, positives, targets, self.knobs.temperature, own_view)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())

    def _contrast(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        similarities, positives, labels = self._pairs(first, second, labels)
        self.observe(lambda: hardest_similarities(similarities, positives, ~positives))
        weights = self.class_weights[labels]
        return class_balanced_contrast(similarities, positives, weights, temperature=self.knobs.temperature)

    def _pairs(self, first: Tensor, second: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return similarities of anchors and keys, which are positives, and the labels of the anchors."""
        if self.knobs.anchors == "first_view":
            return *self._mine(first, labels), labels
        batch = ContrastBatch.gathered([first, second], labels)
        mined, mined_positives = self._mine(batch.anchors, batch.labels)
        pairs = similarity(batch.anchors, batch.keys).scatter(1, batch.own[:, None], -torch.inf)
        similarities = torch.cat([pairs, mined], dim=1)
        return similarities, torch.cat([batch.positives(), mined_positives], dim=1), batch.labels

    def _mine(self, anchors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        # A copy: the gradient needs the keys as they were before this batch entered.
        keys, slots = self.queue.keys.clone(), self.queue.slots_of(labels)
        return mined_similarities(anchors, keys, slots, positives=self.mined[0], negatives=self.mined[1])


METHOD = Method(
    name="rescom",
    paper="Zhong et al., Rebalanced Siamese Contrastive Mining for Long-Tailed Recognition, 2022 (arXiv:2203.11506)",
    knobs=ResComKnobs,
    stages=lambda knobs, context: [ResCom(knobs, context)],
)
