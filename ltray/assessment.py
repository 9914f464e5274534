"""A trained model on one split: its logits, and every measure that follows from them."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltray.data.source import ImageData
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.evaluation import Evaluation, classify
from ltray.experiment import Experiment, restore
from ltray.long_tail import LongTail
from ltray.parts.agreement import matthews_correlation, normalised_mutual_information
from ltray.parts.calibration import reliability
from ltray.stage import Stage

LARGE = 1 << 26  # bytes of logits above which a file keeps them as float16


@dataclass(frozen=True)
class Assessment:
    """Logits of every image of a split.

    Attributes:
        split: "val" or "test".
        logits: Scores (N, K), float32.
        labels: Class indices (N,), int64.
        tail: Training counts.
    """

    split: str
    logits: Tensor
    labels: Tensor
    tail: LongTail

    @property
    def evaluation(self) -> Evaluation:
        """Correct and seen images by class."""
        return Evaluation.of(self.logits, self.labels)

    def metrics(self) -> dict[str, float]:
        """Return `<split>/acc_<group>`, `/mcc`, `/nmi` and `/ece` (15 bins, of 1, not of 100)."""
        predictions = self.logits.argmax(dim=1)
        confidence = torch.softmax(self.logits, dim=1).amax(dim=1)
        return self.evaluation.metrics(self.tail, self.split) | {
            f"{self.split}/mcc": matthews_correlation(self.labels, predictions),
            f"{self.split}/nmi": normalised_mutual_information(self.labels, predictions),
            f"{self.split}/ece": reliability(confidence, predictions == self.labels).expected_error,
        }

    def save(self, path: Path) -> None:
        """Write split, logits, labels and class counts as an .npz, under a temporary name first."""
        logits = self.logits.numpy()
        if logits.nbytes > LARGE:
            logits = logits.astype(np.float16)
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            np.savez_compressed(
                file, split=self.split, logits=logits, labels=self.labels.numpy(), counts=np.array(self.tail.counts)
            )
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> "Assessment":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as saved:
            logits = torch.from_numpy(saved["logits"].astype(np.float32))
            counts = tuple(saved["counts"].tolist())
            return cls(str(saved["split"]), logits, torch.from_numpy(saved["labels"]), LongTail(counts))


@dataclass(frozen=True)
class Trained:
    """A checkpoint brought back to life.

    Attributes:
        checkpoint: What was saved.
        experiment: What it was trained by.
        stage: The stage whose `logits` are its prediction.
        device: Where it computes.
    """

    checkpoint: Checkpoint
    experiment: Experiment
    stage: Stage
    device: torch.device

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> "Trained":
        """Read a checkpoint folder."""
        checkpoint = Checkpoint.load(folder, device)
        experiment, stages = restore(checkpoint, device)
        return cls(checkpoint, experiment, stages[checkpoint.position.stage], device)

    @cached_property
    def data(self) -> ImageData:
        """The data set it was trained on."""
        return self.experiment.open_data(self.device)

    def on_selection(self) -> Assessment:
        """Classify the images that epochs and trials are compared on: validation, or test under `paper`."""
        return Assessment(self.experiment.selection, *classify(self.stage, self.data.selection()), self.data.tail)

    def on_test(self) -> Assessment:
        """Classify the test set."""
        return Assessment("test", *classify(self.stage, self.data.test()), self.data.tail)
