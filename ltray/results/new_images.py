"""Evaluation of a trained model on new labelled images, matched with its classes by name."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltray.data.decoding import decode
from ltray.data.image_file import fitted
from ltray.data.originals import Originals
from ltray.data.sources.class_names import some
from ltray.data.sources.new_images import open_new_images
from ltray.engine.evaluation import classify
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.printable import printable
from ltray.quantities import plural
from ltray.results.predictions import Predictions, TrainedModel

SPLIT = "new"
"""Prefix of the metrics of new images."""
BATCH = 64


@dataclass(frozen=True)
class NewImagesEvaluated:
    """The new images of an evaluation.

    Attributes:
        place: The folder or file.
        notes: The assumed form and the classes without images, as sentences.
        unusable: Name and reason of each image that cannot be used; it is not counted.
    """

    place: Path
    notes: tuple[str, ...]
    unusable: tuple[str, ...]


def evaluate_new_images(
    trained: TrainedModel, place: Path, settings: Mapping[str, Any], *, tail: LongTail, five_crops: bool = False
) -> tuple[Predictions, NewImagesEvaluated]:
    """Classify labelled images that are not part of the model's data set.

    Args:
        trained: The model.
        place: A folder with a folder for each class, a table, a zip file or a Parquet file.
        settings: Fields of a data-set file that decide which form it has; see `open_new_images`.
        tail: The counts of the model's training set, for its groups.
        five_crops: Whether the scores of an image are the mean of those of five crops.

    Raises:
        UsageError: The form cannot be used, a class is not one of the model's, or no image can be used.
    """
    classes = tuple(trained.checkpoint.context["class_names"])
    found = open_new_images(place, settings, classes)
    labels = _matched(found.names, classes, place)
    images = _Images(trained, found.originals, labels, margin=trained.margin if five_crops else None)
    try:
        predictions = Predictions(SPLIT, *classify(trained.stage, images), tail)
    except _NoUsableImage:
        raise UsageError(
            f"{printable(place)}: none of its {plural(len(labels), 'image')} can be used; the first one: "
            f"{images.unusable[0]}."
        ) from None
    notes = [*found.notes, *_classes_without_images(found.names, classes)]
    notes += _in_own_folder(found.originals, len(labels), trained)
    return predictions, NewImagesEvaluated(place, tuple(notes), tuple(images.unusable))


def _matched(names: Sequence[str], classes: Sequence[str], place: Path) -> list[int]:
    """Return the label of each image.

    Raises:
        UsageError: A class is not one of the model's.
    """
    label = {name: number for number, name in enumerate(classes)}
    strangers = sorted(set(names) - set(classes))
    if strangers:
        folded = {name.casefold(): name for name in classes}
        near = [
            folded.get(name.casefold()) or next(iter(get_close_matches(name, classes, n=1)), "") for name in strangers
        ]
        listed = [
            f"`{name}`" + (f" (perhaps `{one}`)" if one else "") for name, one in zip(strangers, near, strict=True)
        ]
        images = plural(sum(name in strangers for name in names), "image")
        count = f"{len(strangers):,} {'class' if len(strangers) == 1 else 'classes'}"
        raise UsageError(
            f"{printable(place)}: {images} of {count} that the model does not have: {some(listed)}; rename or remove "
            f"them. The model has: {some(list(classes))}."
        )
    return [label[name] for name in names]


def _classes_without_images(names: Collection[str], classes: Sequence[str]) -> Iterator[str]:
    there = set(names)
    missing = [name for name in classes if name not in there]
    if missing:
        yield (
            f"no image of {len(missing):,} of {len(classes):,} classes, which are left out of means over classes: "
            f"{some(missing)}"
        )


def _in_own_folder(originals: Originals, count: int, trained: TrainedModel) -> Iterator[str]:
    """Yield a note if images are in the folder of the model's own data set."""
    own = trained.experiment.dataset.folder
    if not own:
        return
    root = os.path.realpath(os.path.expanduser(own))
    inside = sum(Path(os.path.realpath(originals.place(index)[0])).is_relative_to(root) for index in range(count))
    if inside:
        yield (
            f"{plural(inside, 'image')} in the folder of the data set that the model was trained on, "
            f"{printable(root)}: the accuracy on training images is not that on new images"
        )


class _NoUsableImage(Exception):
    """No image can be used."""


class _Images:
    """Images in batches, prepared for an evaluation; those that cannot be used are left out and listed.

    Args:
        trained: The model.
        originals: The images.
        labels: Their labels.
        margin: Of the five crops of each image; None: no crops.
    """

    def __init__(
        self, trained: TrainedModel, originals: Originals, labels: Sequence[int], *, margin: int | None
    ) -> None:
        self.unusable: list[str] = []
        self._margin = margin
        self._trained, self._originals, self._labels = trained, originals, labels

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, 3, S, S) and labels (B,), at least one batch.

        Raises:
            _NoUsableImage: There is none.
        """
        kept: list[tuple[Tensor, int]] = []
        some_kept = False
        for index, label in enumerate(self._labels):
            image = self._read(index)
            if image is not None:
                kept.append((image, label))
                some_kept = True
            if len(kept) == BATCH:
                yield self._batch(kept)
                kept = []
        if kept:
            yield self._batch(kept)
        if not some_kept:
            raise _NoUsableImage

    def _read(self, index: int) -> Tensor | None:
        dataset = self._trained.experiment.dataset
        try:
            decoded = decode(self._originals.read(index), longest=dataset.storage.cap)
        except (OSError, ValueError) as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__
            self.unusable.append(f"{printable(self._originals.name(index))} ({why})")
            return None
        return fitted(decoded.pixels, dataset, margin=self._margin)

    def _batch(self, kept: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        images = torch.stack([image for image, _ in kept]).to(self._trained.device)
        return images, torch.tensor([label for _, label in kept], device=self._trained.device)
