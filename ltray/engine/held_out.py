"""Out-of-fold scores: the scores of each image by the model that was not trained on it, after every epoch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from ltray.engine.evaluation import Evaluation
from ltray.errors import UsageError

HELD_OUT = "held_out"  # key in the context of a checkpoint
LARGEST = 1 << 28  # bytes of the scores of all epochs: every checkpoint contains them


class OutOfFold(NamedTuple):
    """The scores after one epoch of the images of some folds.

    Attributes:
        logits: Scores (M, K), float32.
        labels: Class indices (M,), int64.
        folds: The fold of each image (M,), int64.
    """

    logits: Tensor
    labels: Tensor
    folds: Tensor


@dataclass(frozen=True)
class HeldOut:
    """The out-of-fold scores of a cross-validation, filled fold by fold and epoch by epoch.

    Models of different folds are compared, and their scores pooled, after equal epochs: the best epoch is one number
    for all folds, so that it is not chosen on the few images of each fold.

    Attributes:
        count: Number of folds.
        fold_of: The fold of each training image (N,), int64; negative: it is never validated.
        labels: Their labels (N,), int64.
        scores: After each epoch (E, N, K), float32; rows that are not known yet are 0.
        chosen: The values that stages without epochs chose, by the index of the stage, then by fold.
        fold: The fold whose model is being trained; None: the final training on all images.
    """

    count: int
    fold_of: Tensor
    labels: Tensor
    scores: Tensor
    chosen: dict[int, dict[int, dict[str, float]]]
    fold: int | None = 0

    @classmethod
    def new(cls, fold_of: Tensor, labels: Tensor, *, count: int, epochs: int, classes: int) -> Self:
        """Return an object without scores.

        Args:
            fold_of: The fold of each training image (N,).
            labels: Their labels (N,).
            count: Number of folds.
            epochs: Epochs of a training, E.
            classes: Number of classes, K.

        Raises:
            UsageError: The scores of so many epochs and images would not fit into a checkpoint.
        """
        size = 4 * epochs * len(labels) * classes
        if size > LARGEST:
            raise UsageError(
                f"`folds: {count}` keeps the scores of all images after every epoch: {len(labels):,} images x "
                f"{classes} classes x {epochs} epochs = {size / 1e6:,.0f} MB, more than {LARGEST / 1e6:,.0f} MB. For "
                "so many images, held-out ones are precise enough: set folds=0 and validation_per_class."
            )
        return cls(count, fold_of, labels, torch.zeros(epochs, len(labels), classes), {})

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Build from what `state` returned."""
        scores = state["scores"].to("cpu", copy=True)
        chosen = {stage: {fold: dict(own) for fold, own in folds.items()} for stage, folds in state["chosen"].items()}
        return cls(state["count"], state["fold_of"].cpu(), state["labels"].cpu(), scores, chosen, state["fold"])

    def state(self) -> dict[str, Any]:
        """Return the content as tensors and plain values, which later epochs do not change."""
        chosen = {stage: {fold: dict(own) for fold, own in folds.items()} for stage, folds in self.chosen.items()}
        return vars(self) | {"scores": self.scores.clone(), "chosen": chosen}

    def of_run(self, run: int) -> Self:
        """Return the same scores for the run of a fold, or after those of all folds, for the final training."""
        return replace(self, fold=run if run < self.count else None)

    def add(self, epoch: int, logits: Tensor, labels: Tensor) -> None:
        """Store the scores of the fold's images after an epoch.

        Args:
            epoch: From 0, over all stages.
            logits: Scores of the fold's images in the order of the training set (m, K).
            labels: Their labels (m,).
        """
        rows = self.fold_of == self.fold
        assert torch.equal(labels, self.labels[rows])
        self.scores[epoch, rows] = logits

    def evaluation(self, epoch: int) -> Evaluation:
        """Return the pooled counts of the folds that have scores after an epoch."""
        known = self.predictions(epoch)
        return evaluation_of(known.logits, known.labels, known.folds)

    def predictions(self, epoch: int) -> OutOfFold:
        """Return the scores after an epoch, of all folds up to the present one.

        Args:
            epoch: From 0, over all stages.
        """
        last = self.count - 1 if self.fold is None else self.fold
        rows = (self.fold_of >= 0) & (self.fold_of <= last)
        return OutOfFold(self.scores[epoch, rows], self.labels[rows], self.fold_of[rows])

    def keep_chosen(self, stage: int, values: Mapping[str, float]) -> None:
        """Store the values that a stage without epochs chose on the fold's images."""
        if self.fold is not None and values:
            self.chosen.setdefault(stage, {})[self.fold] = dict(values)

    def chosen_by_folds(self, stage: int) -> dict[str, float]:
        """Return the mean over the folds of the values that a stage chose; {} before the final training."""
        known = list(self.chosen.get(stage, {}).values())
        if self.fold is not None or not known:
            return {}
        return {name: math.fsum(own[name] for own in known) / len(known) for name in known[0]}


def evaluation_of(logits: Tensor, labels: Tensor, folds: Tensor) -> Evaluation:
    """Return the counts of out-of-fold scores (M, K), pooled over the folds of the images (M,)."""
    each = [folds == fold for fold in sorted(set(folds.tolist()))]
    return Evaluation.pooled([Evaluation.of(logits[rows], labels[rows]) for rows in each])
