"""The data set of one training of a cross-validation: all training images but those of a fold, which validate."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from ltray.data.dataset import ImageData
from ltray.data.unaugmented import UnaugmentedTrainingSet
from ltray.stage import View


class FoldData(ImageData):
    """A data set without the images of a fold, which are its validation images.

    Features of frozen networks are those of the whole data set, so that all folds compute them once.

    Args:
        whole: The data set of all training images.
        fold: 0 to K − 1.
    """

    def __init__(self, whole: ImageData, fold: int) -> None:
        super().__init__(whole.definition, whole._opened, whole.device, splits=whole.splits.of_fold(fold))
        self._whole = whole
        self._fold = fold

    @property
    def digest(self) -> str:
        """The digest of the whole data set."""
        return self._whole.digest

    @cached_property
    def _without_augmentation(self) -> "FoldTrainingSet":  # type: ignore[override]
        folds = torch.from_numpy(self._whole.splits.folds).to(self.device)
        rows = [part.nonzero().flatten() for part in (folds != self._fold, folds == self._fold)]
        return FoldTrainingSet(self._whole._without_augmentation, train=rows[0], held_out=rows[1])


class FoldTrainingSet:
    """The training images of a fold without augmentation, as rows of the features of all images.

    Args:
        whole: All training images.
        train: Positions of the fold's training images among them (n,).
        held_out: Positions of its validation images (m,).
    """

    def __init__(self, whole: UnaugmentedTrainingSet, *, train: Tensor, held_out: Tensor) -> None:
        self._whole, self._train, self._held_out = whole, train, held_out

    @property
    def labels(self) -> Tensor:
        """Labels of its training images (n,), int64."""
        return self._whole.labels[self._train]

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes in label order (K)."""
        return self._whole.class_names

    def features(self, network: nn.Module) -> Tensor:
        """Return features (n, d) of its training images; see `UnaugmentedTrainingSet.features`."""
        return self._whole.features(network)[self._train]

    def selection_features(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return features (m, d) and labels (m,) of its validation images."""
        return self._whole.features(network)[self._held_out], self._whole.labels[self._held_out]

    def augmented_features(self, network: nn.Module, view: View, number: int) -> Tensor:
        """Return features (n, d) of an augmented pass over all training images, of its own ones."""
        return self._whole.augmented_features(network, view, number)[self._train]

    def file(self, network: nn.Module, augmented: tuple[View, int] | None = None) -> Path | None:
        """Return the file of the features of all training images; None where none is kept."""
        return self._whole.file(network, augmented)
