"""The model in `best/`, as far as its folder describes it: nothing is classified again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ltray.engine.checkpoint import FILE_NAME
from ltray.engine.evaluation import Evaluation
from ltray.files import is_there, reading
from ltray.long_tail import LongTail
from ltray.results.predictions import Predictions
from ltray.results.run_record import RunRecord
from ltray.run_folder import RunFolder


@dataclass(frozen=True)
class BestModel:
    """A model with its saved logits and its evaluation on test images.

    Attributes:
        folder: Its folder.
        evaluation: The content of `evaluation.json`.
        predictions: Its logits of the selection images.
        class_names: Names in label order.
    """

    folder: Path
    evaluation: Mapping[str, Any]
    predictions: Predictions
    class_names: Sequence[str]

    @classmethod
    def of(cls, record: RunRecord) -> "BestModel | None":
        """Read the model of a run; None before its evaluation.

        Raises:
            UsageError: A file is damaged.
        """
        best = RunFolder(record.folder).best
        if not record.evaluation or not is_there(best.scores_file):
            return None
        predictions = Predictions.load(best.scores_file)
        return cls(best.path, record.evaluation, predictions, _class_names(best.path, predictions.tail.classes))

    @property
    def tail(self) -> LongTail:
        """Class counts of the training set."""
        return self.predictions.tail

    @property
    def images(self) -> str:
        """The name of the images of the logits."""
        if self.predictions.folds is not None:
            return "the images of the folds"
        return "test images" if self.predictions.split == "test" else "validation images"

    @cached_property
    def by_frequency(self) -> list[int]:
        """The classes, the most frequent in the training set first."""
        return sorted(range(self.tail.classes), key=lambda label: (-self.tail.counts[label], label))

    @cached_property
    def on_test(self) -> Evaluation | None:
        """Counts of test images by class; None if an earlier version wrote the evaluation without them."""
        if "correct" not in self.evaluation or self.predictions.split == "test":
            return None
        correct, seen = (torch.tensor(self.evaluation[name]) for name in ("correct", "seen"))
        return Evaluation(correct, seen, torch.tensor(self.evaluation.get("predicted", [0] * len(seen))))


def _class_names(folder: Path, classes: int) -> Sequence[str]:
    """Return the class names in the checkpoint; its weights are not read."""
    path = folder / FILE_NAME
    if not is_there(path):
        return [f"class {label}" for label in range(classes)]
    with reading(path, "is not a checkpoint of ltray"):
        saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        return [str(name) for name in saved["context"]["class_names"]]
