"""BCL: balanced contrastive learning."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.bcl.losses import contrast
from ltray.methods.bcl.prototypes import Prototypes, new_prototypes
from ltray.methods.classifiers import ClassifierKnobs, classified_network
from ltray.parts.contrast import ContrastBatch, ContrastPairs, other_view, unit
from ltray.parts.counts import class_counts
from ltray.parts.heads import projector
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.parts.pairs import extended
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

LARGE: dict[str, Value] = dict(
    schedule="cosine",
    classification_weight=1.0,
    contrastive_weight=0.35,
    temperature=0.07,
    hidden_width=2048,
    projection_width=1024,
    classifier="cosine",
)
"""The settings that ImageNet-LT, Places-LT and iNaturalist share."""


@dataclass(frozen=True)
class BCLKnobs(Recipe):
    """BCL's hyperparameters, and its ablations as switches.

    The CIFAR lines are the paper's (no code was released for them); their linear classifier
    follows the third-party re-implementations, since the paper names the cosine classifier
    for ImageNet and iNaturalist only. ImageNet-LT and iNaturalist are the official code's;
    Places-LT is not in the paper: our choice, 30 epochs of a pretrained ResNet-152.
    """

    learning_rate: float = Recipe.redeclared("learning_rate", 0.15, search=(0.01, 0.5))
    batch_size: int = Recipe.redeclared("batch_size", 256)
    classification_weight: float = knob(
        2.0,
        "λ",
        "weight of the classification term (`alpha` in the official code)",
        low=0.0,
        high=100.0,
        search=(0.5, 4.0),
        dynamic=True,
    )
    contrastive_weight: float = knob(
        0.6,
        "μ",
        "weight of the contrastive term (`beta` in the official code); 0: only logit compensation, on one view",
        low=0.0,
        high=100.0,
        log=True,
        search=(0.05, 2.0),
        dynamic=True,
    )
    temperature: float = knob(
        0.1,
        "τ",
        "contrastive temperature",
        low=1e-3,
        high=1.0,
        log=True,
        search=(0.03, 0.5),
        tried=(0.07, 0.1),
        dynamic=True,
    )
    hidden_width: int = knob(
        512, "", "hidden width of the two projection heads", low=2, high=16_384, search=(64, 128, 512, 2048)
    )
    projection_width: int = knob(
        128, "F", "width of the embedding, preferably K − 1 or more", low=2, high=8192, log=True, search=(32, 1024)
    )
    classifier: str = ClassifierKnobs.redeclared("classifier", "linear", before=None)
    classifier_scale: float = ClassifierKnobs.redeclared("classifier_scale", 30.0, before=None)
    views: str = knob(
        "sim-sim",
        "",
        "augmentation of the two contrastive views: SimAugment (sim), RandAugment added (rand), or, for 32 pixels, "
        "crops from 8 % of the area (sim_wide) or blur (sim_blur), as in third-party code",
        choices=("sim-sim", "rand-sim", "rand-rand", "sim_wide-sim_wide", "sim_blur-sim_blur"),
        tried=("sim-sim", "rand-sim", "rand-rand"),
    )
    averaging: str = knob(
        "L1",
        "",
        "class average outside exp (L1) or inside (L2), only prototypes (L3, for any `complement`), or none",
        choices=("L1", "L2", "L3", "none"),
        tried=("L1", "L2", "L3", "none"),
    )
    complement: bool = knob(
        True,
        "",
        "class complement: add the prototypes to the keys of every batch",
        tried=(True, False),
        needs=("averaging", ("L1", "L2", "none")),
    )
    prototypes: str = knob(
        "mlp",
        "",
        "prototypes: output of an MLP for the classifier's weights, free parameters, or moving class averages",
        choices=("mlp", "learnable", "ema"),
        tried=("mlp", "learnable", "ema"),
    )
    prototype_momentum: float = knob(
        0.9,
        "",
        "momentum of the moving class averages, per step (the paper gives no value)",
        low=0.0,
        high=0.9999,
        search=(0.5, 0.99),
        needs=("prototypes", ("ema",)),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(LARGE, epochs=90, learning_rate=0.1, warmup_epochs=0),
        "places_lt": dict(LARGE, epochs=30, learning_rate=0.02, warmup_epochs=5),
        "inat18": dict(LARGE, epochs=100, learning_rate=0.2, weight_decay=1e-4, warmup_epochs=0),
        "digits_lt": dict(
            DIGITS,
            classification_weight=1.0,
            contrastive_weight=0.35,
            hidden_width=64,
            projection_width=32,
        ),
    }


class BCL(Stage):
    """One stage: logit compensation on one view, balanced contrast on two others.

    One forward pass over all three views, so that BatchNorm normalises them together. Source: the
    official code (FlamieZhu/Balanced-Contrastive-Learning); its in-batch keys are those of
    a single process on the complete batch, as are ours.
    """

    log_prior: Tensor

    def __init__(self, knobs: BCLKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        first, second = knobs.views.split("-")
        self.views = (View("classify", "bcl_classify"),)
        self.network = classified_network(knobs, context)
        self.register_buffer("log_prior", log_prior(context.tail), persistent=False)
        if knobs.contrastive_weight == 0.0:
            return
        self.views = (View("classify", "bcl_classify"), View("first", first), View("second", second))
        width = self.network.backbone.width
        self.head = projector(width, knobs.hidden_width, knobs.projection_width)
        self.prototypes: Prototypes | None = None
        if knobs.complement or knobs.averaging == "L3":
            self.prototypes = new_prototypes(
                knobs.prototypes,
                width=width,
                hidden=knobs.hidden_width,
                out=knobs.projection_width,
                classes=context.tail.classes,
                momentum=knobs.prototype_momentum,
            )

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the contrastive term."""
        if self.knobs.contrastive_weight == 0.0:
            return {"classification": self._classify(self.network(batch["classify"]), batch.labels)}
        features = self.network.backbone(torch.cat([batch["classify"], batch["first"], batch["second"]]))
        scores = self.network.classifier(features[: batch.labels.shape[0]])
        _, first, second = unit(self.head(features)).chunk(3)
        return {
            "classification": self._classify(scores, batch.labels),
            "contrastive": self.knobs.contrastive_weight
            * self._contrast(ContrastBatch.gathered([first, second], batch.labels)),
        }

    def _classify(self, scores: Tensor, labels: Tensor) -> Tensor:
        return self.knobs.classification_weight * adjusted_cross_entropy(scores, labels, self.log_prior)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())

    def pairs(self, batch: Batch) -> ContrastPairs | None:
        """Return both contrastive views and the prototypes; None without a contrast of pairs (L2, L3, or no weight)."""
        knobs = self.knobs
        if knobs.contrastive_weight == 0.0 or knobs.averaging not in ("L1", "none"):
            return None
        features = self.network.backbone(torch.cat([batch["classify"], batch["first"], batch["second"]]))
        _, first, second = unit(self.head(features)).chunk(3)
        own_view = other_view(len(first), device=first.device)
        contrast = ContrastBatch.gathered([first, second], batch.labels)
        classes = self.log_prior.shape[0]
        if self.prototypes is not None:
            rows = self.prototypes(self.network.classifier.weight).to(contrast.keys.dtype)
            contrast = extended(contrast, rows, torch.arange(classes, device=rows.device))
        found = ContrastPairs.supervised(contrast, temperature=knobs.temperature, own_view=own_view)
        if knobs.averaging == "none":
            return found
        members = class_counts(contrast.key_labels, classes)[contrast.key_labels] - found.positives.long()
        return replace(found, log_weights=-members.to(found.cosines.dtype).log())

    def _contrast(self, batch: ContrastBatch) -> Tensor:
        self.observe(batch.hardest_similarities)
        rows = None if self.prototypes is None else self.prototypes(self.network.classifier.weight)
        if self.prototypes is not None:
            self.prototypes.update(batch.keys.detach(), batch.key_labels)
        return contrast(batch, rows, temperature=self.knobs.temperature, averaging=self.knobs.averaging)


METHOD = Method(
    name="bcl",
    paper="Zhu et al., Balanced Contrastive Learning for Long-Tailed Visual Recognition, CVPR 2022 (arXiv:2207.09052)",
    knobs=BCLKnobs,
    stages=lambda knobs, context: [BCL(knobs, context)],
)
