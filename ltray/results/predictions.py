"""A trained model on one split: its logits, and the metrics computed from them."""

import io
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltray.data.beton.store import Check
from ltray.data.dataset import ImageData
from ltray.data.loaders import EvaluationImages
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.evaluation import Evaluation, classify
from ltray.engine.held_out import HELD_OUT, HeldOut, evaluation_of
from ltray.errors import UsageError
from ltray.experiment import Experiment, restore
from ltray.files import is_there, reading
from ltray.imported import check_code
from ltray.long_tail import LongTail
from ltray.model_folder import ModelFolder
from ltray.parts.agreement import matthews_correlation, normalised_mutual_information
from ltray.parts.calibration import reliability
from ltray.results.crop_margin import crop_margin
from ltray.seal import check_listed
from ltray.stage import EvaluationLoader, Stage

LARGE = 1 << 26  # bytes of logits above which they are stored as float16


@dataclass(frozen=True)
class Predictions:
    """Logits of every image of a split.

    Attributes:
        split: "val" or "test".
        logits: Scores (N, K), float32.
        labels: Class indices (N,), int64.
        tail: Training counts, and those of the complete training list.
        norms: |w_k| (K,) of the linear classifier that computed the logits, else None.
        bias: Its bias (K,), else None.
        folds: The fold of each image (N,), whose model was not trained on it; None: one model classified all images.
    """

    split: str
    logits: Tensor
    labels: Tensor
    tail: LongTail
    norms: Tensor | None = None
    bias: Tensor | None = None
    folds: Tensor | None = None

    @property
    def evaluation(self) -> Evaluation:
        """Correct and seen images by class."""
        if self.folds is not None:
            return evaluation_of(self.logits, self.labels, self.folds)
        return Evaluation.of(self.logits, self.labels)

    def metrics(self) -> dict[str, float]:
        """Return `<split>/acc_<group>`, `/mcc`, `/nmi` and `/ece` (15 bins; all as fractions of 1)."""
        predictions = self.logits.argmax(dim=1)
        confidence = torch.softmax(self.logits, dim=1).amax(dim=1)
        return self.evaluation.metrics(self.tail, self.split) | {
            f"{self.split}/mcc": matthews_correlation(self.labels, predictions),
            f"{self.split}/nmi": normalised_mutual_information(self.labels, predictions),
            f"{self.split}/ece": reliability(confidence, predictions == self.labels).expected_error,
        }

    def as_bytes(self) -> bytes:
        """Return all attributes as the content of an .npz file."""
        logits = self.logits.numpy()
        if logits.nbytes > LARGE:
            logits = logits.astype(np.float16)
        known = {"labels": self.labels, "norms": self.norms, "bias": self.bias, "folds": self.folds}
        arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in known.items() if tensor is not None}
        arrays |= {"counts": np.array(self.tail.counts), "listed": np.array(self.tail.listed, dtype=np.int64)}
        content = io.BytesIO()
        np.savez_compressed(content, split=self.split, logits=logits, **arrays)
        return content.getvalue()

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Read a file with the content that `as_bytes` returns.

        Raises:
            UsageError: It is damaged.
        """
        check_listed(path)
        with reading(path), np.load(path, allow_pickle=False) as saved:
            logits = torch.from_numpy(saved["logits"].astype(np.float32))
            listed = (
                tuple(saved["listed"].tolist()) if "listed" in saved else ()
            )  # older files: groups by training images
            tail = LongTail(tuple(saved["counts"].tolist()), listed)
            known = {name: torch.from_numpy(saved[name]) for name in ("norms", "bias", "folds") if name in saved}
            return cls(str(saved["split"]), logits, torch.from_numpy(saved["labels"]), tail, **known)


@dataclass(frozen=True)
class TrainedModel:
    """A model restored from a checkpoint.

    Attributes:
        checkpoint: The saved checkpoint.
        experiment: The experiment that trained it.
        stages: The stages up to the checkpoint; the `logits` of the last one are the prediction.
        device: Device for the computation.
        check: How to treat originals that have changed since their conversion.
    """

    checkpoint: Checkpoint
    experiment: Experiment
    stages: tuple[Stage, ...]
    device: torch.device
    check: Check = "trust"

    @classmethod
    def open(cls, folder: Path, device: torch.device, *, check: Check = "trust") -> "TrainedModel":
        """Read a checkpoint folder.

        Raises:
            UsageError: It is damaged, or its settings contain code that would be imported from the current folder.
        """
        checkpoint = Checkpoint.load(folder, device)
        check_code(checkpoint.settings, checkpoint.context, folder)
        experiment, stages = restore(checkpoint, device)
        return cls(checkpoint, experiment, tuple(stages[: checkpoint.position.stage + 1]), device, check)

    @property
    def stage(self) -> Stage:
        """The last stage, which predicts."""
        return self.stages[-1]

    def chosen(self) -> dict[str, float]:
        """Return the values that the stages chose without training (τ, T), by symbol."""
        return {symbol: value for stage in self.stages for symbol, value in stage.chosen().items()}

    @cached_property
    def data(self) -> ImageData:
        """The data set it was trained on.

        Raises:
            UsageError: It has changed since the training.
        """
        digest = self.checkpoint.context.get("data_digest", "")
        return self.experiment.open_data(self.device, check=self.check, digest=digest)

    @property
    def margin(self) -> int:
        """Pixels by which the shorter side of an image exceeds one of its five crops; see `crop_margin`."""
        return crop_margin(self.stage.network.backbone, self.experiment.dataset.image_size)

    def on_selection(self, *, five_crops: bool = False) -> Predictions:
        """Classify the images on which epochs and trials are compared: validation, or test with `paper`.

        With folds, the result is the saved scores of each image by the model that was not trained on it.

        Raises:
            UsageError: Five crops are asked for, but the models of the folds are not kept.
        """
        if state := self.checkpoint.context.get(HELD_OUT):
            if five_crops:
                raise UsageError(
                    "five crops of the images need the models of the "
                    f"{self.experiment.dataset.folds} folds, which are not kept; evaluate test images or new images."
                )
            scores = HeldOut.from_state(state).predictions(self.checkpoint.position.total_epochs - 1)
            return Predictions("val", scores.logits, scores.labels, self.data.tail, folds=scores.folds)
        return self._assess(self.experiment.selection, self.data.selection(), five_crops)

    def on_test(self, *, five_crops: bool = False) -> Predictions:
        """Classify the test set; with `five_crops` by the mean of the scores of five crops of each image."""
        return self._assess("test", self.data.test(), five_crops)

    def _assess(self, split: str, whole: EvaluationImages, five_crops: bool) -> Predictions:
        images: EvaluationLoader = whole.five_crops(self.margin) if five_crops else whole
        found, classifier = Predictions(split, *classify(self.stage, images), self.data.tail), None
        if type(self.stage).logits is Stage.logits:  # the network's own scores
            classifier = self.stage.network.classifier
        if not isinstance(classifier, nn.Linear):
            return found
        bias = torch.zeros(len(classifier.weight)) if classifier.bias is None else classifier.bias.detach().cpu()
        return replace(found, norms=classifier.weight.detach().norm(dim=1).cpu(), bias=bias)


def recorded_tail(trained: TrainedModel, checkpoint: Path) -> LongTail:
    """Return the class counts of a model's training set as its folder has them; its data set is not needed.

    Args:
        trained: The model.
        checkpoint: Its folder; its logits of validation images, if there are any, also have the counts of the complete
            training list, on which groups are based.
    """
    scores = ModelFolder(checkpoint).scores_file
    return Predictions.load(scores).tail if is_there(scores) else LongTail(tuple(trained.checkpoint.context["counts"]))
