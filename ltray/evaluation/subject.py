"""What is analysed: a model, its predictions on a split and the images of the split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltray.data.beton.progress import ProgressBars
from ltray.data.loaders import EvaluationImages
from ltray.data.splits import Split
from ltray.long_tail import LongTail
from ltray.results.predictions import Predictions, TrainedModel

NAMES = {"test": "test images", "val": "validation images"}


@dataclass(frozen=True)
class Compared:
    """Another model on the same images.

    Attributes:
        name: Its methods, for titles.
        predictions: Its predictions.
        digest: SHA-256 of its checkpoint.
    """

    name: str
    predictions: Predictions
    digest: str


@dataclass(frozen=True)
class Subject:
    """A model on a split.

    Attributes:
        trained: The model.
        predictions: Its predictions on the split.
        folder: The folder of its results; analyses may keep unfinished results in it.
        bars: Shows the progress of long analyses.
        other: The model with which it is compared, or None.
    """

    trained: TrainedModel
    predictions: Predictions
    folder: Path
    bars: ProgressBars
    other: Compared | None = None

    @property
    def tail(self) -> LongTail:
        """Class counts of the training set."""
        return self.predictions.tail

    @property
    def class_names(self) -> Sequence[str]:
        """Names in label order (K)."""
        return tuple(str(name) for name in self.trained.checkpoint.context["class_names"])

    @cached_property
    def by_frequency(self) -> list[int]:
        """The classes, the most frequent in the training set first."""
        return sorted(range(self.tail.classes), key=lambda label: (-self.tail.counts[label], label))

    @property
    def methods(self) -> str:
        """The names of its methods, for titles."""
        return " + ".join(method.name for method in self.trained.experiment.methods)

    @property
    def shown_images(self) -> str:
        """The name of the images, for titles."""
        return "images of the folds" if self.predictions.folds is not None else NAMES[self.predictions.split]

    @property
    def split(self) -> Split:
        """Positions of the images in the data set."""
        splits = self.trained.data.splits
        return splits.test if self.predictions.split == "test" else splits.selection

    @property
    def images(self) -> EvaluationImages:
        """The images, in the order of the predictions; with folds their order differs."""
        data = self.trained.data
        return data.test() if self.predictions.split == "test" else data.selection()

    @cached_property
    def positions(self) -> Tensor:
        """The position among `images` of each prediction (N,): with folds, images that no fold has are left out."""
        folds = self.trained.data.splits.folds
        if self.predictions.folds is None or folds is None:
            return torch.arange(len(self.predictions.labels))
        return torch.from_numpy(np.flatnonzero(folds >= 0))

    @cached_property
    def predicted(self) -> Tensor:
        """The predicted class of each image (N,)."""
        return self.predictions.logits.argmax(dim=1)

    @cached_property
    def confidence(self) -> Tensor:
        """The largest softmax probability of each image (N,), float64."""
        return torch.softmax(self.predictions.logits.double(), dim=1).amax(dim=1)

    def pixels(self, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return the images of some predictions as the network sees them before normalisation, (H, W, 3)."""
        order = self.positions[torch.tensor(list(rows), dtype=torch.int64)]
        return [one for batch in self.streamed(order, 64) for one in batch]

    def streamed(self, order: Tensor, batch: int) -> Iterator[NDArray[np.uint8]]:
        """Yield images (b, H, W, 3) at positions (m,) of `images`, in batches."""
        for found in self.images.pool.stream(order, batch):
            yield np.ascontiguousarray(found.permute(0, 2, 3, 1).cpu().numpy())
