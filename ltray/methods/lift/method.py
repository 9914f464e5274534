"""LIFT: few trained parameters in a frozen pretrained network; its cosine classifier starts from class means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltray.errors import UsageError
from ltray.knobs import Value, knob
from ltray.long_tail import LongTail
from ltray.methods.classifiers import ClassifierKnobs, classified_network
from ltray.methods.lift.crops import CROP_SCHEDULES, smallest_areas
from ltray.methods.lift.losses import LOSSES, Adjusted, LossSettings, Weighted, WithMargins
from ltray.parts.mean_features import class_means
from ltray.recipe import DIGITS, Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage, TrainingData, View

MINIMALIST = "minimalist"


@dataclass(frozen=True)
class LIFTKnobs(Recipe):
    """The configurations of LIFT's code; the trained part is set by `train` and `bottleneck`.

    Its runs start from class means, those of CLIP from text (`classifier_start=text`). LIFT+ has `epochs=5` (15 on
    iNaturalist), `learning_rate=0.02` and `augmentation=minimalist`.
    """

    epochs: int = Recipe.redeclared("epochs", 10)
    warmup_epochs: int = Recipe.redeclared("warmup_epochs", 0)
    schedule: str = Recipe.redeclared("schedule", "cosine_annealing")
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (6, 8))
    learning_rate: float = Recipe.redeclared("learning_rate", 0.01, search=(1e-3, 1e-1))
    weight_decay: float = Recipe.redeclared("weight_decay", 5e-4, search=(1e-5, 1e-3))
    feature_passes: int = Recipe.redeclared("feature_passes", 0, refused="")
    loss: str = knob("logit_adjustment", "", "loss of the scores", choices=tuple(LOSSES))
    adjustment: float = knob(
        1.0,
        "τ",
        "factor of log π in the training scores",
        low=0.0,
        high=10.0,
        search=(0.5, 1.5),
        needs=("loss", ("logit_adjustment",)),
    )
    classifier: str = ClassifierKnobs.redeclared("classifier", "cosine", before=None)
    classifier_scale: float = ClassifierKnobs.redeclared(
        "classifier_scale", 25.0, tried=(15.0, 20.0, 25.0, 30.0, 35.0), before=None
    )
    classifier_start: str = knob(
        "class_mean",
        "",
        "first weights of the classifier: class_mean: mean features of the training images without augmentation; "
        "text: features of the class names, from CLIP's text tower; random",
        choices=("class_mean", "text", "random"),
        search=("class_mean", "random"),
    )
    augmentation: str = knob(
        "crop_flip",
        "",
        "crop_flip: crop of 8 to 100 % of the area, flip; minimalist: square crop alone, which grows to the complete "
        "image (LIFT+)",
        choices=("crop_flip", MINIMALIST),
        dotted=True,
        search=("crop_flip", MINIMALIST),
    )
    crop_schedule: str = knob(
        "convex",
        "",
        "growth of the smallest square crop over the epochs",
        choices=tuple(CROP_SCHEDULES),
        needs=("augmentation", (MINIMALIST,)),
    )

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(),
        "places_lt": dict(),
        "inat18": dict(epochs=20, milestones=(12, 16)),
        "digits_lt": dict(DIGITS, warmup_epochs=0),
    }


class LIFT(Stage):
    """One view of each image; `train` determines the part of the backbone that is trained with the classifier."""

    def __init__(self, knobs: LIFTKnobs, context: BuildContext) -> None:
        super().__init__(knobs)
        self.knobs = knobs
        self.text_rows = context.text_rows
        if knobs.classifier_start == "text" and self.text_rows is None:
            raise UsageError(
                "`lift.classifier_start` is text, which needs a CLIP model with its text tower: set `backbone` to one "
                "of OpenCLIP's (`openclip/ViT-B-16`) and `weights` to its weights, or use class_mean."
            )
        minimalist = knobs.augmentation == MINIMALIST
        areas = smallest_areas(knobs.crop_schedule, knobs.epochs) if minimalist else ()
        self.views = (View("image", knobs.augmentation, smallest_areas=areas),)
        self.network = classified_network(knobs, context)
        scale = knobs.classifier_scale if knobs.classifier == "cosine" else 1.0
        self.loss = LOSSES[knobs.loss](LossSettings(context.tail, knobs.adjustment, scale))

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        loss: Tensor = self.loss(self.network(batch["image"]), batch.labels)
        return {"classification": loss}

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return log π without the adjustment, or with the weights, of the loss; the others give no posteriors."""
        natural = tail.prior().log()
        if isinstance(self.loss, Weighted):
            return ScorePrior(natural + self.loss.weight.cpu().log())
        if isinstance(self.loss, Adjusted) and not isinstance(self.loss, WithMargins):
            return ScorePrior(natural - self.loss.adjustment.cpu())
        return None

    def check(self, tail: LongTail, class_names: Sequence[str]) -> None:
        """Check the text tower, if the classifier starts from it."""
        if self.knobs.classifier_start == "text":
            assert self.text_rows is not None
            self.text_rows.check(class_names)

    @torch.no_grad()
    def prepare(self, data: TrainingData) -> None:
        """Set the classifier's first weights."""
        start = STARTS[self.knobs.classifier_start]
        if start is None:
            return
        classifier = self.network.classifier
        assert isinstance(classifier.weight, Tensor)
        classifier.weight.copy_(start(self, data))
        if isinstance(bias := getattr(classifier, "bias", None), Tensor):
            bias.zero_()


def _class_mean_rows(stage: LIFT, data: TrainingData) -> Tensor:
    """Return the class means; of the inserted modules, only prompts change the initial features of the backbone."""
    features, classifier = data.features(stage.network.backbone), stage.network.classifier
    assert isinstance(classifier.weight, Tensor)
    return class_means(features, data.labels.to(features.device), classes=len(classifier.weight))


def _text_rows(stage: LIFT, data: TrainingData) -> Tensor:
    assert stage.text_rows is not None
    return stage.text_rows(data.class_names)


STARTS: Mapping[str, Callable[[LIFT, TrainingData], Tensor] | None] = {
    "class_mean": _class_mean_rows,
    "text": _text_rows,
    "random": None,
}
"""The function that computes the initial rows (K, d) of the classifier, by name; None: random rows."""

METHOD = Method(
    name="lift",
    paper="Shi et al., Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts, ICML 2024 "
    "(arXiv:2309.10019); LIFT+, 2025 (arXiv:2504.13282)",
    knobs=LIFTKnobs,
    stages=lambda knobs, context: [LIFT(knobs, context)],
    train={profile: "adaptformer" for profile in LIFTKnobs.paper_values},
)
