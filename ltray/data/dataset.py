"""A data set as the engine sees it: splits, views and loaders over FFCV files or over memory."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ltray.data.beton.changes import fingerprint_of
from ltray.data.beton.in_use import Hold
from ltray.data.beton.left_out import usable
from ltray.data.beton.presence import open_if_present
from ltray.data.beton.reader import library
from ltray.data.beton.store import Check, Converted, converted, converted_already, folder_of
from ltray.data.data_folder import data_folder
from ltray.data.definition import DatasetDefinition
from ltray.data.feature_cache import FeatureCache
from ltray.data.loaders import AugmentedPass, EvaluationFeatures, EvaluationImages, FeatureLoader, ImageLoader
from ltray.data.memory import keep_freed_memory
from ltray.data.pin import Pin
from ltray.data.plan import Plan
from ltray.data.pools import ImagePool, decode_originals
from ltray.data.sampling import Sampling
from ltray.data.sources.lists import reference_counts
from ltray.data.sources.registry import open_source
from ltray.data.splits import Indices, Split, Splits, cut
from ltray.data.unaugmented import UnaugmentedTrainingSet
from ltray.data.views import ViewMaker
from ltray.errors import UsageError, chosen
from ltray.long_tail import LongTail
from ltray.program import called
from ltray.stage import Loader, Stage, TrainingData, View

PASS_SEED = 0  # of the augmentation of kept features, which runs of all seeds share


@dataclass(frozen=True)
class Opened:
    """An opened data set.

    Attributes:
        class_names: Names in label order.
        labels: Labels of each pool.
        fingerprint: Returns the digest of the originals' names, labels and contents.
        images: Opens the images of a split.
        origin: Where they are read from, as text.
        features: The cache of features of its images.
        left_out: Number of images that a conversion left out.
        stored: Digest of the converted images of all pools; "" if none were converted.
        notes: Further remarks for the user, in sentences.
        lock: The lock that prevents conversions from replacing the files while the data set is in use.
    """

    class_names: tuple[str, ...]
    labels: Mapping[str, Indices]
    fingerprint: Callable[[], str]
    images: Callable[[Split], ImagePool]
    origin: str
    features: FeatureCache | None = None
    left_out: int = 0
    stored: str = ""
    notes: tuple[str, ...] = ()
    lock: Hold | None = None


class ImageData:
    """The `Data` for the engine. Each split is decoded when it is used for the first time.

    Args:
        definition: The definition of the data set.
        opened: Its images.
        device: The device on which views are created.
        splits: Its splits; None: those of the definition.
    """

    def __init__(
        self, definition: DatasetDefinition, opened: Opened, device: torch.device, *, splits: Splits | None = None
    ) -> None:
        self.definition = definition
        self.device = device
        self.class_names = opened.class_names
        self._opened = opened
        self.splits: Splits = splits or cut(
            definition, opened.labels, len(opened.class_names), reference_counts(definition, opened.class_names)
        )
        self._labels = torch.from_numpy(self.splits.train.labels)
        self._tail = self.splits.tail

    @property
    def tail(self) -> LongTail:
        """Class counts of the training set."""
        return self._tail

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the originals' fingerprint and of every split's indices and labels."""
        found = hashlib.sha256(self._opened.fingerprint().encode())
        for split in (self.splits.train, self.splits.validation, self.splits.test):
            if split is not None:
                found.update(split.pool.encode())
                found.update(split.indices.astype("<i8").tobytes())
                found.update(split.labels.astype("<i8").tobytes())
        if self.splits.folds is not None:
            found.update(self.splits.folds.astype("<i8").tobytes())
        return found.hexdigest()

    @property
    def pin(self) -> Pin:
        """The digests with which other processes of the same command compare their data."""
        return Pin(self.digest, self._opened.stored)

    def check_pin(self, pin: Pin) -> None:
        """Compare the data with those of the command that started this process.

        Raises:
            UsageError: They differ.
        """
        pin.check(self.pin, name=self.definition.name, place=self._opened.origin)

    def check_digest(self, digest: str) -> None:
        """Compare the data with those of a run.

        Args:
            digest: The digest that the run has recorded; "" if it has none.

        Raises:
            UsageError: They differ.
        """
        if digest and self.digest != digest:
            raise UsageError(
                f"{self.definition.name}: the run was trained on different data, or by an earlier version of ltray "
                f"that computed the digest differently: the run's digest is {digest[:12]}…, the current one "
                f"{self.digest[:12]}…. "
                "Restore the originals and convert them again, or begin a new run in another folder."
            )

    @cached_property
    def _train_images(self) -> ImagePool:
        return self._opened.images(self.splits.train)

    def training_images(self, positions: Indices) -> ImagePool:
        """Open some training images only.

        Args:
            positions: Their positions in the training set (n,).
        """
        train = self.splits.train
        chosen_images = replace(train, indices=train.indices[positions], labels=train.labels[positions])
        return self._opened.images(chosen_images)

    def training(self, stage: Stage, selected: Tensor | None, *, seed: int) -> Loader:
        """Return the loader of a stage's views, shuffled by `seed`.

        Args:
            stage: Its recipe, views, source and sampling define a batch.
            selected: Training positions to use, or None for all.
            seed: Non-negative.

        Raises:
            UsageError: A batch cannot be divided equally among the workers, or the stage has an unknown source or
                sampling.
        """
        loader = chosen(stage.source, LOADERS, f"an input of a stage (`source` of {type(stage).__name__})")
        batch = stage.recipe.batch_size
        plan = Plan.of(self._labels, selected, sampling=Sampling.of(stage), seed=seed, batch=batch)
        return loader(self, stage, plan, seed)

    def _of_images(self, stage: Stage, plan: Plan, seed: int) -> Loader:
        labels, views = self._labels.to(self.device), ViewMaker(stage.views, self.definition, seed)
        return ImageLoader(self._train_images, labels, plan=plan, views=views)

    def _of_features(self, stage: Stage, plan: Plan, seed: int) -> Loader:
        network, passes, view = stage.feature_network(), stage.feature_passes, stage.views[0]

        @cache
        def of_pass(number: int) -> Tensor:
            training_set = self._without_augmentation
            return (
                training_set.features(network)
                if passes == 1
                else training_set.augmented_features(network, view, number)
            )

        return FeatureLoader(
            lambda epoch: of_pass(epoch % passes), self._labels.to(self.device), plan=plan, views=stage.views
        )

    def selection_features(self, stage: Stage) -> EvaluationFeatures:
        """The features, under the stage's frozen network, of the images that models are compared on."""
        features, _ = self._without_augmentation.selection_features(stage.feature_network())
        return EvaluationFeatures(features, self.selection())

    def feature_files(self, stage: Stage) -> list[Path]:
        """Return the files that keep the training features of a stage with its weights; [] where none are kept."""
        if stage.source != "features":
            return []
        training_set, network, passes = self._without_augmentation, stage.feature_network(), stage.feature_passes
        views = [None] if passes == 1 else [(stage.views[0], number) for number in range(passes)]
        return [path for view in views if (path := training_set.file(network, view))]

    @property
    def selection_counts(self) -> tuple[int, ...]:
        """Number of images of each class among those on which epochs and trials are compared; decodes none."""
        return tuple(np.bincount(self.splits.selection.labels, minlength=len(self.class_names)).tolist())

    def selection(self) -> EvaluationImages:
        """The images on which epochs and trials are compared: validation, or test under `paper`.

        With folds, these are the images of all folds, among which only the model of a fold has validation images.
        """
        return self.test() if self.splits.selection is self.splits.test else self._selection

    def test(self) -> EvaluationImages:
        """The test set; read once, for final models."""
        return self._test

    def without_augmentation(self) -> TrainingData:
        """The training set without augmentation."""
        return self._without_augmentation

    @cached_property
    def _without_augmentation(self) -> UnaugmentedTrainingSet:
        labels = self._labels.to(self.device)

        def images() -> EvaluationImages:
            return EvaluationImages(self._train_images, labels, self.definition)

        def augmented(view: View, number: int) -> AugmentedPass:
            return AugmentedPass(
                self._train_images, labels, views=ViewMaker((view,), self.definition, PASS_SEED), number=number
            )

        return UnaugmentedTrainingSet(
            labels,
            class_names=self.class_names,
            definition=self.definition,
            images=images,
            selection=self.selection if self.splits.folds is None else _no_validation_images,
            augmented=augmented,
            digest=self.digest,
            cache=self._opened.features,
        )

    @cached_property
    def _selection(self) -> EvaluationImages:
        return self._evaluation(self.splits.selection)

    @cached_property
    def _test(self) -> EvaluationImages:
        return self._evaluation(self.splits.test)

    def _evaluation(self, split: Split) -> EvaluationImages:
        labels = torch.from_numpy(split.labels).to(self.device)
        return EvaluationImages(self._opened.images(split), labels, self.definition)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user on the opening of the data set, in sentences."""
        return self._opened.notes

    def describe(self) -> str:
        """Return the lines that commands print about the data set."""
        counts = self.tail.counts
        selected, images = self.definition.selected_how, f"{len(self.splits.selection.indices):,}"
        selected += f" of {images} images" if self.splits.folds is not None else ""
        if self.splits.validation:
            selected = f"on {images} validation images"
        left_out = f" ({self._opened.left_out:,} left out)" if self._opened.left_out else ""
        return "\n".join(
            (
                f"{self.definition.name}: {self.tail.classes} classes, {self.tail.total:,} training images "
                f"({max(counts):,} to {min(counts):,} per class; {self.tail.in_groups()})",
                f"{self.definition.imbalance()}; data seed {self.definition.data_seed}; "
                f"protocol {self.definition.protocol}: selected {selected}, "
                f"{len(self.splits.test.indices):,} test images; read from {self._opened.origin}{left_out}",
                *self.notes,
            )
        )


def _no_validation_images() -> EvaluationImages:
    raise UsageError(
        "The final training of a cross-validation uses all images and has no validation images; a stage that chooses "
        "values on them must define `adopt`, see ltray.stage.Stage."
    )


LOADERS: Mapping[str, Callable[[ImageData, Stage, Plan, int], Loader]] = {
    "images": ImageData._of_images,
    "features": ImageData._of_features,
}
"""Builders of a stage's loader, by the name in `Stage.source`."""


def open_data(
    definition: DatasetDefinition,
    *,
    device: torch.device,
    source: Literal["ffcv", "memory"] = "ffcv",
    progress: bool = False,
    check: Check = "convert",
) -> ImageData:
    """Open a data set for training and evaluation.

    Args:
        definition: The definition of the data set.
        device: The device on which views are created.
        source: "ffcv": the .beton files, converted first if they are missing; "memory":
            the originals, decoded into memory without FFCV.
        progress: Whether a conversion shows its progress bar.
        check: The treatment of originals that have changed since they were converted.

    Raises:
        UsageError: The data cannot be found or converted, their digests differ, or FFCV is missing.
    """
    if device.type == "cpu":
        keep_freed_memory()
    if source == "memory":
        return ImageData(definition, _from_originals(definition, device), device)
    library()
    if check == "look":
        opened = _as_they_are(definition, device)
    else:
        opened = _from_betons(definition, device, progress, check)
    return ImageData(definition, opened, device)


def _from_originals(definition: DatasetDefinition, device: torch.device) -> Opened:
    described = open_source(definition)
    pools = {name: read() for name, read in described.pools.items()}
    return Opened(
        class_names=described.class_names,
        labels={name: pool.labels for name, pool in pools.items()},
        fingerprint=lambda: fingerprint_of(described.class_names, pools),
        images=lambda split: decode_originals(pools[split.pool], split.indices, definition.storage, device),
        origin=described.origin,
    )


def _as_they_are(definition: DatasetDefinition, device: torch.device) -> Opened:
    """Open the data set, converted or not, without writing anything."""
    from ltray.data.sampled import open_sampled  # imported here, because it needs FFCV

    found = converted_already(definition)
    if found is not None:
        return _of_converted(definition, found, device)
    described = open_if_present(definition)
    if described is None:
        raise UsageError(
            f"{definition.name}: the data set is not converted, its originals are not on this machine, and a dry run "
            f"writes nothing. Convert it first: {called('convert')}."
        )
    every = {name: read() for name, read in described.pools.items()}
    pools = usable(definition, described, folder_of(definition))
    return Opened(
        class_names=described.class_names,
        labels={name: pool.labels for name, pool in pools.items()},
        fingerprint=lambda: fingerprint_of(described.class_names, every),
        images=lambda split: open_sampled(
            pools[split.pool], split.indices, definition.storage, view=definition.image_size, device=device
        ),
        origin=f"{described.origin}, not yet converted in its current state",
        left_out=sum(len(every[name].labels) - len(pool.labels) for name, pool in pools.items()),
    )


def _from_betons(definition: DatasetDefinition, device: torch.device, progress: bool, check: Check) -> Opened:
    found = converted(definition, progress=progress, check=check)
    return replace(
        _of_converted(definition, found, device), features=FeatureCache(data_folder() / "features"), lock=found.lock
    )


def _of_converted(definition: DatasetDefinition, found: Converted, device: torch.device) -> Opened:
    # Imported here, because reading from memory does not need FFCV.
    from ltray.data.ffcv_pool import open_beton

    pools = found.pools
    any_pool = pools["train"]
    return Opened(
        class_names=any_pool.class_names,
        labels={name: np.asarray(pool.labels, dtype=np.int64) for name, pool in pools.items()},
        fingerprint=lambda: any_pool.fingerprint,
        images=lambda split: open_beton(pools[split.pool], split.indices, view=definition.image_size, device=device),
        origin=str(any_pool.beton.parent),
        left_out=sum(pool.skipped for pool in pools.values()),
        stored=hashlib.sha256(repr([(name, pools[name].content) for name in sorted(pools)]).encode()).hexdigest(),
        notes=found.notes,
    )
