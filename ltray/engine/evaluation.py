"""The metrics of a model on a split, from the number of images, predictions and correct predictions of each class."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ltray.class_counts import ClassCounts
from ltray.distributed import gather_unequal, total
from ltray.engine.fold_error import error_with_folds, pseudo_values
from ltray.long_tail import LongTail
from ltray.metrics import COUNTED
from ltray.stage import EvaluationLoader, Stage

NORMAL_95 = 1.959964  # of a normal distribution, 95 % is within this many standard deviations


@dataclass(frozen=True)
class Evaluation:
    """Counts of images by class; every metric of `ltray.metrics.COUNTED` follows from them.

    Attributes:
        correct: Correctly classified images of each class (K,), int64, on the CPU.
        seen: Images of each class (K,), int64, on the CPU.
        predicted: Images that were classified as each class (K,), int64, on the CPU.
        folds: The counts of each fold, whose sums these are; () where one model classified all images.
    """

    correct: Tensor
    seen: Tensor
    predicted: Tensor
    folds: tuple["Evaluation", ...] = field(default=(), kw_only=True)

    @classmethod
    def pooled(cls, folds: Sequence["Evaluation"]) -> "Evaluation":
        """Return the counts over the images of all folds."""
        parts = zip(*((one.correct, one.seen, one.predicted) for one in folds), strict=True)
        return cls(*(torch.stack(part).sum(dim=0) for part in parts), folds=tuple(folds))

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
        found = {}
        for key, metric in COUNTED.items():
            counts = self._evaluated(metric.group, tail)
            if len(counts.seen):
                found[f"{prefix}/{key}"] = metric.value(counts)
        return found | {f"{prefix}/images": int(self.seen.sum())}

    def standard_error(self, key: str, tail: LongTail) -> float:
        """Return the standard error of a metric due to the finite number of images, as a share of 1.

        That of a cross-validation includes the noise of the folds' models; see `ltray.engine.fold_error`.

        Args:
            key: A key of `COUNTED` that `metrics` has.
            tail: Training counts, which decide a class's group.
        """
        images = COUNTED[key].error(self._evaluated(COUNTED[key].group, tail))
        values = self.fold_values(key, tail)
        return error_with_folds(images, values) if values else images

    def fold_values(self, key: str, tail: LongTail) -> list[float]:
        """Return the value of each fold, by the jackknife; [] with fewer than two folds, or without a value.

        Args:
            key: A key of `COUNTED`.
            tail: Training counts, which decide a class's group.
        """
        if len(self.folds) < 2:
            return []
        metric, whole = COUNTED[key], (self.correct, self.seen, self.predicted)
        without = [
            Evaluation(*(every - own for every, own in zip(whole, (f.correct, f.seen, f.predicted), strict=True)))
            for f in self.folds
        ]
        counts = [one._evaluated(metric.group, tail) for one in (self, *without)]
        if not all(len(one.seen) for one in counts):
            return []
        values = [metric.value(one) for one in counts]
        return pseudo_values(values[0], values[1:])

    def interval(self, key: str, tail: LongTail) -> tuple[float, float]:
        """Return the ends of the 95 % interval of a metric: 1.96 standard errors, within its range; shares of 1.

        Args:
            key: A key of `COUNTED` that `metrics` has.
            tail: Training counts, which decide a class's group.
        """
        metric = COUNTED[key]
        value, half = metric.value(self._evaluated(metric.group, tail)), NORMAL_95 * self.standard_error(key, tail)
        return max(value - half, metric.low), min(value + half, metric.high)

    def _evaluated(self, group: str, tail: LongTail) -> ClassCounts:
        """Return the counts of those classes of a group, or of all where it is "", that have images."""
        classes = tail.groups().get(group, []) if group else range(len(self.seen))
        known = torch.tensor(list(classes), dtype=torch.int64)
        known = known[self.seen[known] > 0]
        return ClassCounts(self.correct[known], self.seen[known], self.predicted[known])

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
    """Classify every image once, over all workers; the stage is not changed.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: This worker's share.
        classes: Number of classes K.
        device: The device of the stage.
    """
    counts = torch.zeros(3, classes, dtype=torch.int64, device=device)
    with _in_evaluation_mode(stage):
        for views, labels in images:
            found = Evaluation.of_predictions(stage.logits(views).argmax(dim=1), labels, classes=classes)
            counts += torch.stack([found.correct, found.seen, found.predicted])
    return Evaluation(*total(counts).cpu())


@torch.no_grad()
def classify(stage: Stage, images: EvaluationLoader) -> tuple[Tensor, Tensor]:
    """Return this worker's logits (n, K), float32, and labels (n,), on the CPU; the stage is not changed.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: At least one batch.
    """
    with _in_evaluation_mode(stage):
        parts = [(scores_of(stage, views).float().cpu(), labels.cpu()) for views, labels in images]
    logits, labels = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(labels)


@torch.no_grad()
def classify_on_all_workers(
    stage: Stage, images: EvaluationLoader, *, classes: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the logits (N, K), float32, and labels (N,) of all workers' images, on the CPU; the stage is not changed.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: This worker's share, perhaps empty; the shares are consecutive parts in the order of the workers.
        classes: Number of classes K.
        device: The device of the stage.
    """
    logits, labels = [torch.zeros(0, classes, device=device)], [torch.zeros(0, dtype=torch.int64, device=device)]
    with _in_evaluation_mode(stage):
        for views, own in images:
            logits.append(stage.logits(views).float())
            labels.append(own)
    return gather_unequal(torch.cat(logits)).cpu(), gather_unequal(torch.cat(labels)).cpu()


def scores_of(stage: Stage, views: Tensor) -> Tensor:
    """Return the scores (B, K) of images (B, 3, H, W); of crops (B, C, 3, H, W) the mean of their scores.

    The mean is over logits, before the softmax, as in LIFT's code.
    """
    if views.dim() == 4:
        return stage.logits(views)
    return stage.logits(views.flatten(0, 1)).view(*views.shape[:2], -1).mean(dim=1)


@contextmanager
def _in_evaluation_mode(stage: Stage) -> Iterator[None]:
    modes = [(module, module.training) for module in stage.modules()]
    stage.eval()
    yield
    for module, mode in modes:
        module.training = mode
