"""The results of an evaluation, in memory and as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ltray.engine.evaluation import Evaluation
from ltray.metrics import counted
from ltray.published.check import Comparison, compare
from ltray.results.class_prior import ClassPrior
from ltray.results.classifier import Classifier
from ltray.results.intervals import mean_interval
from ltray.results.label_shift import ShiftedAccuracy, shifted_accuracies
from ltray.results.new_images import NewImagesEvaluated
from ltray.results.predictions import Predictions, TrainedModel


@dataclass(frozen=True)
class Findings:
    """The results of an evaluation.

    Attributes:
        checkpoint: The checkpoint's folder.
        trained: The model.
        predictions: Its logits on the evaluated split.
        look: Number of this look at the test images in the model's run or search, from 1; 0: no look.
        recorded: The evaluation on test images at the end of the run, if there is one.
        new_images: The new images that were evaluated; None for images of the data set.
        five_crops: The logits of the same images as means over five crops; None if not requested.
    """

    checkpoint: Path
    trained: TrainedModel
    predictions: Predictions
    look: int
    recorded: Mapping[str, Any] | None
    new_images: NewImagesEvaluated | None = None
    five_crops: Predictions | None = None

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparison of the test accuracy with published figures; empty for validation images."""
        if self.predictions.split != "test":
            return []
        accuracy = mean_interval([self.predictions.metrics()["test/acc_all"]])
        return compare(self.trained.experiment.settings(), accuracy)

    def shifted(self, prior: ClassPrior | None = None, *, adapt: bool = False) -> list[ShiftedAccuracy]:
        """Return the accuracy if the classes had other shares, by exact reweighting.

        Args:
            prior: Shares of the classes, in addition to the long-tailed ones of LADE.
            adapt: Whether to also compute the accuracy of predictions that are adapted to each prior.

        Raises:
            UsageError: The scores of the model cannot be adapted, or no image is of a class with a share above 0.
        """
        predictions = self.predictions
        stated = {prior.source: prior.shares} if prior else {}
        adapted: Callable[[Tensor], Evaluation] | None = None
        if adapt:
            adaptation = Classifier(self.trained, self.checkpoint).adaptation

            def adapted(shares: Tensor) -> Evaluation:
                return Evaluation.of(adaptation.scores(predictions.logits, shares), predictions.labels)

        return shifted_accuracies(predictions.evaluation, predictions.tail.counts, stated=stated, adapted=adapted)


def as_json(findings: Findings, shifted: Sequence[ShiftedAccuracy] = ()) -> dict[str, Any]:
    """Return all results of an evaluation as plain values; fractions of 1.

    Args:
        findings: What was found.
        shifted: The accuracies under other class priors; none: those that `Findings.shifted` returns by default.
    """
    trained, predictions = findings.trained, findings.predictions
    names, tail = trained.checkpoint.context["class_names"], predictions.tail
    groups, counts = tail.group_of(), tail.counts
    accuracy, seen = predictions.evaluation.per_class().tolist(), predictions.evaluation.seen.tolist()
    rows = [
        {"class": name, "group": group, "training_images": n, "images": images, "accuracy": share if images else None}
        for name, group, n, images, share in zip(names, groups, counts, seen, accuracy, strict=True)
    ]
    return {
        "checkpoint": str(findings.checkpoint),
        "epoch": trained.checkpoint.position.total_epochs,
        "split": predictions.split,
        "protocol": trained.experiment.dataset.protocol,
        "images": len(predictions.labels),
        "metrics": predictions.metrics(),
        "intervals": intervals(predictions),
        "five_crops": _crops_as_json(findings),
        "chosen": trained.chosen(),
        "test_look": findings.look,
        "new_images": _new_images_as_json(findings.new_images),
        "classes": rows,
        "label_shift": [_shift_as_json(one) for one in shifted or findings.shifted()],
        "claims": [
            {"claim": one.claim.where, "all": one.claim.all, "difference": one.difference, "verdict": one.text}
            for one in findings.comparisons
        ],
    }


def intervals(predictions: Predictions) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each metric that is computed from counts of images, by its key in `metrics`."""
    return {
        f"{predictions.split}/{key}": predictions.evaluation.interval(key, predictions.tail)
        for key in counted(predictions.metrics(), predictions.split)
    }


def _shift_as_json(one: ShiftedAccuracy) -> dict[str, Any]:
    found: dict[str, Any] = {"prior": one.name, "accuracy": one.accuracy, "standard_error": one.standard_error}
    if one.adapted is not None:
        found |= {"adapted_accuracy": one.adapted, "adapted_standard_error": one.adapted_error}
    return found


def _new_images_as_json(images: NewImagesEvaluated | None) -> dict[str, Any] | None:
    if images is None:
        return None
    return {"path": str(images.place), "notes": list(images.notes), "unusable": list(images.unusable)}


def _crops_as_json(findings: Findings) -> dict[str, Any] | None:
    cropped = findings.five_crops
    if cropped is None:
        return None
    return {"margin": findings.trained.margin, "metrics": cropped.metrics(), "intervals": intervals(cropped)}
