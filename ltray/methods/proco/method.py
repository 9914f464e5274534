"""ProCo: contrast with a von Mises-Fisher estimate of each class instead of a queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.distributed import gather
from ltray.errors import UsageError
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.bcl.method import BCLKnobs
from ltray.methods.classifiers import classified_network
from ltray.methods.proco.bessel import BESSEL
from ltray.methods.proco.estimator import ClassEstimator
from ltray.methods.proco.losses import class_contrast
from ltray.parts.contrast import unit
from ltray.parts.heads import projector
from ltray.parts.losses import adjusted_cross_entropy, log_prior
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, View

LARGE: dict[str, Value] = dict(
    schedule="cosine", temperature=0.07, hidden_width=2048, projection_width=1024, classifier="cosine"
)
"""The settings that ImageNet-LT, Places-LT and iNaturalist share."""


@dataclass(frozen=True)
class ProCoKnobs(Recipe):
    """ProCo's hyperparameters; values from the scripts of the official code.

    Places-LT is not among them: our choice, 30 epochs of a pretrained ResNet-152 as in BCL.
    """

    learning_rate: float = Recipe.redeclared("learning_rate", 0.3, search=(0.05, 0.6))
    weight_decay: float = Recipe.redeclared("weight_decay", 2e-4, search=(5e-5, 1e-3))
    batch_size: int = Recipe.redeclared("batch_size", 256)
    contrastive_weight: float = knob(
        1.0, "α", "weight of the contrastive term", low=1e-3, high=100.0, log=True, search=(0.1, 3.0), dynamic=True
    )
    temperature: float = BCLKnobs.redeclared("temperature", 0.1)
    hidden_width: int = BCLKnobs.redeclared("hidden_width", 512, help="hidden width of the projection head")
    projection_width: int = BCLKnobs.redeclared(
        "projection_width", 128, symbol="p", help="width of the embedding; even with bessel = recurrence"
    )
    classifier: str = BCLKnobs.redeclared("classifier", "linear")
    classifier_scale: float = BCLKnobs.redeclared("classifier_scale", 30.0)
    bessel: str = knob(
        "exact",
        "",
        "Bessel functions: exact, or the official code's recurrence, which is off at high concentrations",
        choices=tuple(BESSEL),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(LARGE, epochs=90, learning_rate=0.1, weight_decay=5e-4, warmup_epochs=0),
        "places_lt": dict(LARGE, epochs=30, learning_rate=0.02, weight_decay=5e-4, warmup_epochs=5),
        "inat18": dict(LARGE, epochs=90, learning_rate=0.2, weight_decay=1e-4, warmup_epochs=0),
        "digits_lt": dict(DIGITS, hidden_width=64, projection_width=32),
    }


class ProCo(Stage):
    """Logit adjustment on one view, contrast of two others with the estimated classes.

    One forward pass over all three views, so that BatchNorm normalises them together. There are two
    estimators: the loss uses `estimate`, of the previous and the current epoch; `fresh` is of the current epoch only
    and replaces it at the start of the next one. Both include a view before its loss is computed (official code).
    """

    log_prior: Tensor
    seed: Tensor
    opened: Tensor

    def __init__(self, knobs: ProCoKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        if knobs.bessel == "recurrence" and knobs.projection_width % 2:
            raise UsageError(
                f"`projection_width` must be even with `bessel` recurrence, but got {knobs.projection_width}."
            )
        self.knobs = knobs
        self.views = (View("classify", "bcl_classify"), View("first", "sim_wide"), View("second", "sim_wide"))
        self.network = classified_network(knobs, context)
        self.head = projector(self.network.backbone.width, knobs.hidden_width, knobs.projection_width)
        self.estimate = ClassEstimator(context.tail.classes, knobs.projection_width)
        self.fresh = ClassEstimator(context.tail.classes, knobs.projection_width)
        self.register_buffer("log_prior", log_prior(context.tail), persistent=False)
        self.register_buffer("seed", torch.randint(2**40, ()))  # of the estimators' random directions
        self.register_buffer("opened", torch.tensor(-1))  # the epoch that the estimators were last reset for
        self.fresh.reset(int(self.seed))

    def begin_epoch(self, epoch: int) -> None:
        """Set the loss's estimator to that of the previous epoch; once per epoch, also if a run continues within it."""
        if int(self.opened) == epoch:
            return
        self.estimate.copy(self.fresh)
        self.fresh.reset(int(self.seed) + epoch + 1)
        self.opened.fill_(epoch)

    def forward(self, batch: Batch) -> Losses:
        """Return the classification and the contrastive term."""
        features = self.network.backbone(torch.cat([batch["classify"], batch["first"], batch["second"]]))
        scores = self.network.classifier(features[: batch.labels.shape[0]])
        _, *views = unit(self.head(features)).chunk(3)
        labels = gather(batch.labels)
        contrast = torch.stack([self._contrast(view, batch.labels, labels) for view in views]).mean()
        return {
            "classification": adjusted_cross_entropy(scores, batch.labels, self.log_prior),
            "contrastive": self.knobs.contrastive_weight * contrast,
        }

    def _contrast(self, rows: Tensor, labels: Tensor, all_labels: Tensor) -> Tensor:
        all_rows = gather(rows)
        for estimator in (self.estimate, self.fresh):
            estimator.update(all_rows, all_labels)
        knobs = self.knobs
        scores = class_contrast(rows, self.estimate, temperature=knobs.temperature, bessel=knobs.bessel)
        return adjusted_cross_entropy(scores, labels, self.log_prior)

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment that the training scores have."""
        return ScorePrior(tail.prior().log() - self.log_prior.cpu())


METHOD = Method(
    name="proco",
    paper="Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI 2024 "
    "(arXiv:2403.06726)",
    knobs=ProCoKnobs,
    stages=lambda knobs, context: [ProCo(knobs, context)],
)
