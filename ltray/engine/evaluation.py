"""The metrics of a model on a split, from how many images of each class were seen, predicted and right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltray.distributed import total
from ltray.long_tail import LongTail
from ltray.metrics import COUNTED
from ltray.stage import EvaluationLoader, Stage


@dataclass(frozen=True)
class Evaluation:
    """Counts of images by class; every metric of `ltray.metrics.COUNTED` follows from them.

    Attributes:
        correct: Correctly classified images of each class (K,), int64, on the CPU.
        seen: Images of each class (K,), int64, on the CPU.
        predicted: Images that were classified as each class (K,), int64, on the CPU.
    """

    correct: Tensor
    seen: Tensor
    predicted: Tensor

    def per_class(self) -> Tensor:
        """Accuracy (recall) of each class (K,), float64; NaN for a class without images."""
        return self.correct.double() / self.seen.double()

    def metrics(self, tail: LongTail, prefix: str) -> dict[str, float]:
        """Return `<prefix>/<key>` of every metric in `COUNTED`, as shares of 1, and `<prefix>/images`.

        Classes without an evaluated image are left out of every mean. A group without classes, or without a
        single evaluated image, is absent.

        Args:
            tail: Training counts, which decide a class's group.
            prefix: "val" or "test".
        """
        groups = tail.groups()
        found = {}
        for key, metric in COUNTED.items():
            classes = self._evaluated(groups.get(metric.group, []) if metric.group else None)
            if len(classes):
                found[f"{prefix}/{key}"] = self._value(key, classes)
        return found | {f"{prefix}/images": int(self.seen.sum())}

    def _evaluated(self, classes: list[int] | None) -> Tensor:
        """Return those of some classes, or of all, that have images (k,)."""
        known = torch.arange(len(self.seen)) if classes is None else torch.tensor(classes, dtype=torch.int64)
        return known[self.seen[known] > 0]

    def _value(self, key: str, classes: Tensor) -> float:
        recall = self.per_class()[classes]
        if key == "acc_all":
            return int(self.correct.sum()) / int(self.seen.sum())
        if key == "macro_f1":
            return float((2 * self.correct[classes] / (self.seen + self.predicted)[classes]).double().mean())
        if key == "worst_class":
            return float(recall.min())
        if key == "geometric_mean":
            return float(recall.log().mean().exp())
        return float(recall.mean())  # balanced accuracy, of all classes or of a group

    def standard_error(self, key: str, tail: LongTail) -> float:
        """Return the standard error of a metric that the finite number of images leaves, as a share of 1.

        Images of a class are taken to be right independently, with the probability (c + 1) / (n + 2) for c right
        of n, so that a class of three images, all right, is not taken for certain. Macro-F1 and the geometric mean
        follow by the delta method, wrong predictions of a class being counted as Poisson.

        Args:
            key: A key of `COUNTED`.
            tail: Training counts, which decide a class's group.
        """
        group = COUNTED[key].group
        classes = self._evaluated(tail.groups().get(group, []) if group else None)
        right, seen = self.correct[classes].double(), self.seen[classes].double()
        share = (right + 1) / (seen + 2)
        variance = share * (1 - share) / seen  # of each class's recall
        if key == "acc_all":
            share = (right.sum() + 1) / (seen.sum() + 2)
            return float((share * (1 - share) / seen.sum()).sqrt())
        if key == "worst_class":
            return float(variance[(right / seen).argmin()].sqrt())
        if key == "geometric_mean":
            return float(share.log().mean().exp() * (variance / share**2).sum().sqrt()) / len(classes)
        if key == "macro_f1":
            variance = self._f1_variance(classes, variance)
        return float(variance.sum().sqrt()) / len(classes)

    def _f1_variance(self, classes: Tensor, recall_variance: Tensor) -> Tensor:
        """Return the variance of each class's F1 = 2 TP / (n + TP + FP)."""
        right, seen = self.correct[classes].double(), self.seen[classes].double()
        wrong = self.predicted[classes].double() - right
        below = (seen + right + wrong) ** 2
        by_right, by_wrong = 2 * (seen + wrong) / below, 2 * right / below
        return by_right**2 * recall_variance * seen**2 + by_wrong**2 * (wrong + 1)

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Evaluation":
        """Count from logits (N, K) and labels (N,)."""
        return cls.of_predictions(logits.argmax(dim=1), labels, classes=logits.shape[1])

    @classmethod
    def of_predictions(cls, predictions: Tensor, labels: Tensor, *, classes: int) -> "Evaluation":
        """Count from predicted classes (N,) and labels (N,), on their device."""
        hits = labels[predictions == labels]
        return cls(*(torch.bincount(found, minlength=classes) for found in (hits, labels, predictions)))

    def as_lists(self) -> dict[str, Any]:
        """Return the counts as plain lists, for JSON."""
        return {name: getattr(self, name).tolist() for name in ("correct", "seen", "predicted")}


@torch.no_grad()
def evaluate(stage: Stage, images: EvaluationLoader, *, classes: int, device: torch.device) -> Evaluation:
    """Classify every image once, over all workers, and leave the stage as it was.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: This worker's share.
        classes: Number of classes K.
        device: Where the stage lives.
    """
    counts = torch.zeros(3, classes, dtype=torch.int64, device=device)
    with _in_evaluation_mode(stage):
        for views, labels in images:
            found = Evaluation.of_predictions(stage.logits(views).argmax(dim=1), labels, classes=classes)
            counts += torch.stack([found.correct, found.seen, found.predicted])
    return Evaluation(*total(counts).cpu())


@torch.no_grad()
def classify(stage: Stage, images: EvaluationLoader) -> tuple[Tensor, Tensor]:
    """Return this worker's logits (n, K), float32, and labels (n,), on the CPU; the stage stays as it was.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: At least one batch.
    """
    with _in_evaluation_mode(stage):
        parts = [(stage.logits(views).float().cpu(), labels.cpu()) for views, labels in images]
    logits, labels = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(labels)


@contextmanager
def _in_evaluation_mode(stage: Stage) -> Iterator[None]:
    modes = [(module, module.training) for module in stage.modules()]
    stage.eval()
    yield
    for module, mode in modes:
        module.training = mode
