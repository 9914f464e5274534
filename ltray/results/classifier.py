"""A trained model that classifies images: files, arrays or tensors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltray.data.beton.changes import names_differ
from ltray.data.beton.presence import open_if_present
from ltray.data.image_file import fitted, read_image
from ltray.engine.evaluation import scores_of
from ltray.errors import UsageError, shown
from ltray.files import is_there
from ltray.long_tail import LongTail
from ltray.methods.temperature import best_temperature
from ltray.model_folder import ModelFolder
from ltray.results.class_prior import Adaptation, ClassPrior, estimated_prior, score_prior
from ltray.results.conformal import ConformalSets
from ltray.results.predictions import Predictions, TrainedModel
from ltray.stage import ScorePrior

BATCH = 64
NOT_CALIBRATED = "not calibrated"
COLDEST, HOTTEST = 0.01, 100.0  # the range that is searched for the temperature, as in the method `temperature`

Image = str | Path | np.ndarray | Tensor
"""A file, or an RGB image: an array (H, W, 3) or a tensor (3, H, W), both uint8 with levels of 0 to 255."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: The file; None for an image that was given as an array or tensor.
        classes: Names, the most probable first; empty if the file could not be read.
        probabilities: Probabilities of these classes, from 0 to 1.
        error: The reason why the file could not be read, or "".
        kept: The classes of the prediction set, the most probable first; None where no coverage was asked for.
    """

    path: Path | None
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""
    kept: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Classifier:
    """A trained model with the temperature of its probabilities.

    Attributes:
        trained: The model.
        checkpoint: The folder from which it was read.
    """

    trained: TrainedModel
    checkpoint: Path

    @classmethod
    def open(cls, checkpoint: Path, device: torch.device) -> "Classifier":
        """Read a checkpoint folder.

        Raises:
            UsageError: It is damaged, or its class names differ from those of the data set on this machine.
        """
        trained = TrainedModel.open(checkpoint, device)
        check_class_names(trained)
        return cls(trained, checkpoint)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names in label order (K)."""
        return tuple(self.trained.checkpoint.context["class_names"])

    @cached_property
    def calibration(self) -> tuple[float, str]:
        """The temperature of the softmax, and its source as text; see `temperature_of`."""
        return temperature_of(self.trained, self.checkpoint)

    @cached_property
    def adaptation(self) -> Adaptation:
        """What adapts the scores to other class shares.

        Raises:
            UsageError: The scores are not posteriors of a known class prior.
        """
        trained = self.trained
        prior = score_prior(trained.stages, LongTail(tuple(trained.checkpoint.context["counts"])))
        if prior is None:
            methods = " + ".join(method.name for method in trained.experiment.methods)
            raise UsageError(
                f"The scores of {methods} cannot be adapted to other class shares: the class prior under which they "
                "are posteriors is not known (see docs/protocol.md)."
            )
        return Adaptation(*temperature_of(trained, self.checkpoint, prior), prior)

    def conformal_sets(self, coverage: float) -> ConformalSets:
        """Calibrate prediction sets on the validation images, by their saved logits where there are any.

        The temperature is not used: it is chosen on the same images, so that the coverage would not be exact.

        Args:
            coverage: In (0, 1).

        Raises:
            UsageError: The coverage is not in (0, 1), or there are no validation images.
        """
        if not 0.0 < coverage < 1.0:
            raise UsageError(f"`coverage` is {shown(coverage)}, but must be above 0 and below 1.")
        scores = ModelFolder(self.checkpoint).scores_file
        if not is_there(scores) and self.trained.experiment.selection != "val":
            known = None
        else:
            known = Predictions.load(scores) if is_there(scores) else self.trained.on_selection()
        if known is None or known.split != "val":
            raise UsageError(
                f"`coverage` {coverage} needs validation images, but this model was selected on test images (protocol "
                "paper); train it with `dataset.protocol=honest`."
            )
        return ConformalSets.of(torch.softmax(known.logits.double(), dim=1), known.labels, coverage)

    def predict(
        self,
        images: Image | Sequence[Image],
        *,
        top: int = 5,
        sets: ConformalSets | None = None,
        five_crops: bool = False,
    ) -> list[Prediction]:
        """Classify images, as `ltray.predict` does.

        Args:
            images: One image or a sequence of them; an array (N, H, W, 3) or a tensor (N, 3, H, W) is a sequence.
            top: Number of classes to list, at least 1.
            sets: What `conformal_sets` returned, to predict a set of classes for each image; None: no sets.
            five_crops: Whether the scores of an image are the mean of those of five crops. Temperature and sets are
                those of single images.

        Returns:
            A prediction for each image, in their order. For a file that is not an image, the prediction contains an
            error.

        Raises:
            UsageError: An array or tensor has another shape or type, or `top` is less than 1.
        """
        given = _given(images, top)
        temperature = self.calibration[0]
        return list(predict(self.trained, given, temperature=temperature, top=top, sets=sets, five_crops=five_crops))

    def predict_adapted(
        self,
        images: Image | Sequence[Image],
        prior: ClassPrior | None = None,
        *,
        top: int = 5,
        sets: ConformalSets | None = None,
        five_crops: bool = False,
    ) -> tuple[list[Prediction], ClassPrior]:
        """Classify images whose classes have other shares than the training images.

        Args:
            images: As for `predict`.
            prior: The shares; None: they are estimated from these images.
            top: Number of classes to list, at least 1.
            sets: As for `predict`; they hold for any shares of the classes and are not adapted.
            five_crops: As for `predict`.

        Returns:
            The predictions, and the shares.

        Raises:
            UsageError: See `adaptation` and `predict`; or there are too few images for an estimate.
        """
        adaptation, given = self.adaptation, _given(images, top)
        rows = list(scored(self.trained, given, five_crops=five_crops))
        logits = [row for row in rows if isinstance(row, Tensor)]
        if prior is None:
            there = torch.stack(logits) if logits else torch.empty(0, len(self.class_names))
            prior = estimated_prior(there, adaptation)
        adapted = partial(adaptation.scores, shares=prior.shares)
        return list(_predictions(self.trained, given, rows, adapted, top=top, sets=sets)), prior


def _given(images: Image | Sequence[Image], top: int) -> list[Image]:
    """Return images as a list.

    Raises:
        UsageError: `top` is less than 1.
    """
    if top < 1:
        raise UsageError(f"`top` is {shown(top)}, but must be at least 1.")
    single = isinstance(images, str | Path) or (isinstance(images, np.ndarray | Tensor) and images.ndim == 3)
    given: Any = [images] if single else images
    return list(given)


def _path_of(image: Image) -> Path | None:
    return Path(image) if isinstance(image, str | Path) else None


def best_device() -> torch.device:
    """Return the default device of a model: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_class_names(trained: TrainedModel) -> None:
    """Compare the model's class names with those of the originals, if these are on this machine.

    Raises:
        UsageError: The names differ.
    """
    dataset, names = trained.experiment.dataset, tuple(trained.checkpoint.context["class_names"])
    try:
        source = open_if_present(dataset)
    except UsageError:
        return  # the data set is not on this machine: nothing to compare with
    if source is not None and source.class_names != names:
        raise UsageError(
            f"{dataset.name}: since the model was trained, {names_differ(names, source.class_names)}; restore the "
            "names, or train again."
        )


def temperature_of(trained: TrainedModel, checkpoint: Path, prior: ScorePrior | None = None) -> tuple[float, str]:
    """Return the temperature by which scores are divided before the softmax, and its source.

    The scores of a model that ends with the method `temperature` are already divided by it. For other models
    it is the best temperature on the validation logits in the checkpoint. The order of classes does not change.

    Args:
        trained: The model.
        checkpoint: Its folder.
        prior: Of its scores; the temperature is then the best one for scores that are adapted to the class shares of
            the validation images. None: they are not adapted.
    """
    own = "T" in trained.stage.chosen()
    file = ModelFolder(checkpoint).scores_file
    known = Predictions.load(file) if is_there(file) and (prior or not own) else None
    if known is None or known.split != "val":
        return 1.0, "the model's own temperature" if own else NOT_CALIBRATED
    scores, shift = known.logits, None
    if prior is not None:
        scores, shift = scores.double() - prior.added, _log_shares(known) - prior.log_prior
    source = "validation images" if known.folds is None else "the cross-validation"
    return best_temperature(scores, known.labels, lowest=COLDEST, highest=HOTTEST, shift=shift), source


def _log_shares(known: Predictions) -> Tensor:
    """Return the log shares of the classes among labelled images (K,); −inf for a class without images."""
    return (torch.bincount(known.labels, minlength=known.logits.shape[1]) / len(known.labels)).double().log()


def predict(
    trained: TrainedModel,
    images: Sequence[Image],
    *,
    temperature: float,
    top: int,
    sets: ConformalSets | None = None,
    five_crops: bool = False,
) -> Iterator[Prediction]:
    """Classify images in the given order.

    Args:
        trained: The model.
        images: The images; for a file that is not an image, the `Prediction` contains an error.
        temperature: T of the softmax.
        top: Number of classes to list.
        sets: Which classes are in prediction sets, or None.
        five_crops: Whether the scores of an image are the mean of those of five crops.

    Raises:
        UsageError: An array or tensor is not an image.
    """
    rows = scored(trained, images, five_crops=five_crops)
    return _predictions(trained, images, rows, lambda row: row / temperature, top=top, sets=sets)


def _predictions(
    trained: TrainedModel,
    images: Sequence[Image],
    rows: Iterable[Tensor | str],
    logits_of: Callable[[Tensor], Tensor],
    *,
    top: int,
    sets: ConformalSets | None,
) -> Iterator[Prediction]:
    """Yield the prediction for each image from its scores, or its error; sets are those of the scores themselves."""
    for image, row in zip(images, rows, strict=True):
        if isinstance(row, str):
            yield Prediction(_path_of(image), error=row)
            continue
        best = _best(_path_of(image), torch.softmax(logits_of(row), dim=0), trained, top)
        yield replace(best, kept=_kept(row, trained, sets)) if sets else best


@torch.no_grad()
def scored(trained: TrainedModel, images: Sequence[Image], *, five_crops: bool = False) -> Iterator[Tensor | str]:
    """Yield the scores (K,), float64, of each image in the given order; of a file that is not one, the error.

    Args:
        trained: The model.
        images: The images.
        five_crops: Whether the scores of an image are the mean of those of five crops.

    Raises:
        UsageError: An array or tensor is not an image.
    """
    trained.stage.eval()
    margin = trained.margin if five_crops else None
    for start in range(0, len(images), BATCH):
        read = [_read(image, trained, margin) for image in images[start : start + BATCH]]
        found = [image for image in read if isinstance(image, Tensor)]
        scores = scores_of(trained.stage, torch.stack(found).to(trained.device)).double().cpu() if found else None
        rows = iter(scores if scores is not None else ())
        for image in read:
            yield image if isinstance(image, str) else next(rows)


def _read(image: Image, trained: TrainedModel, margin: int | None) -> Tensor | str:
    if not isinstance(image, str | Path):
        return fitted(_pixels(image), trained.experiment.dataset, margin=margin)
    try:
        return read_image(Path(image), trained.experiment.dataset, margin=margin)
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__


def _pixels(image: object) -> np.ndarray:
    """Return an image's levels (H, W, 3), uint8.

    Raises:
        UsageError: It is not a valid image.
    """
    if isinstance(image, Tensor):
        form, pixels = "a tensor (3, H, W)", image.detach().cpu().numpy()
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(image, np.ndarray):
        form, pixels = "an array (H, W, 3)", image
    else:
        raise UsageError(f"An image must be a path, an array or a tensor, but is {shown(image)}.")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape or pixels.dtype != np.uint8:
        shape = tuple(image.shape)
        raise UsageError(f"An image must be {form} of type uint8, but has the shape {shape} and type {image.dtype}.")
    return pixels


def _best(path: Path | None, shares: Tensor, trained: TrainedModel, top: int) -> Prediction:
    names = trained.checkpoint.context["class_names"]
    values, labels = torch.sort(shares, descending=True, stable=True)
    kept = min(top, len(names))
    return Prediction(path, tuple(names[k] for k in labels[:kept]), tuple(values[:kept].tolist()))


def _kept(scores: Tensor, trained: TrainedModel, sets: ConformalSets) -> tuple[str, ...]:
    names = trained.checkpoint.context["class_names"]
    return tuple(names[label] for label in sets.members(torch.softmax(scores, dim=0)))
