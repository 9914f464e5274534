"""The training, validation and test images: seeded index lists, computed without reading pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.data.folds import NEVER, folds_of
from ltray.data.imbalance import KINDS, CountRequest
from ltray.errors import UsageError
from ltray.long_tail import LongTail

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images of one pool.

    Attributes:
        pool: "train", "test", ….
        indices: Their positions in the pool (n,).
        labels: Their labels (n,).
    """

    pool: str
    indices: Indices
    labels: Indices


@dataclass(frozen=True)
class Splits:
    """A data set divided into training, validation and test images.

    Attributes:
        train: Class by class in label order, as the official CIFAR-LT code stores it.
        validation: Balanced and disjoint from the others; None under the `paper` protocol and with folds.
        test: The images on which final models are evaluated.
        listed: Images of each class in the complete training list, before validation images were taken from it.
        folds: The fold of each training image (n,), or `NEVER`; None without cross-validation.
    """

    train: Split
    validation: Split | None
    test: Split
    listed: tuple[int, ...]
    folds: Indices | None = None

    @property
    def tail(self) -> LongTail:
        """The class counts of the training set, and of its complete list."""
        counts = np.bincount(self.train.labels, minlength=len(self.listed))
        return LongTail(tuple(counts.tolist()), self.listed)

    @property
    def selection(self) -> Split:
        """The images on which epochs and trials are compared; with folds, every image that is in one."""
        if self.folds is not None:
            return self._of_train(self.folds != NEVER)
        return self.validation or self.test

    def of_fold(self, fold: int) -> "Splits":
        """Return the data set of a training whose validation images are those of a fold.

        Args:
            fold: 0 to K − 1.
        """
        assert self.folds is not None
        return replace(
            self, train=self._of_train(self.folds != fold), validation=self._of_train(self.folds == fold), folds=None
        )

    def _of_train(self, chosen: NDArray[np.bool_]) -> Split:
        return Split(self.train.pool, self.train.indices[chosen], self.train.labels[chosen])


def cut(
    definition: DatasetDefinition, labels: Mapping[str, Indices], classes: int, reference: Sequence[int] = ()
) -> Splits:
    """Divide a data set into training, validation and test images.

    Args:
        definition: Imbalance, seeds, validation and test sizes, protocol.
        labels: Labels of each pool the source has; "train" at least.
        classes: Number of classes K.
        reference: The class counts to which `imbalance_kind: power` applies γ.

    Raises:
        UsageError: A class has too few images for the definition.
    """
    pool = labels["train"]
    originals = [np.flatnonzero(pool == label) for label in range(classes)]
    originals, tests = _cut_test(definition, originals)
    kept = _long_tailed(definition, originals, reference)
    listed = tuple(kept)
    validation = None
    if definition.folds:
        _check_no_validation(definition, labels)
    elif definition.protocol == "honest" and "validation" in labels:
        validation = _whole("validation", labels)
    elif definition.protocol == "honest" and definition.validation_per_class:
        kept, chosen = _cut_validation(definition, originals=originals, kept=kept)
        validation = Split("train", chosen, pool[chosen])
    train = np.concatenate([order[:count] for order, count in zip(originals, kept, strict=True)])
    if tests is not None:
        test = Split("train", tests, pool[tests])
    elif "test" in labels:
        test = _whole("test", labels)
    else:
        raise UsageError(f"{definition.name}: the source has no test set; set `test_per_class`.")
    if definition.folds:
        folds = folds_of(kept, definition.folds, name=definition.name)
        return Splits(Split("train", train, pool[train]), None, test, listed, folds)
    if definition.protocol == "honest" and validation is None:
        raise UsageError(
            f"{definition.name}: `protocol: honest` needs validation images; set `validation_per_class`, "
            "`folds` for cross-validation, or `protocol: paper` to select on the test set."
        )
    return Splits(Split("train", train, pool[train]), validation, test, listed)


def _check_no_validation(definition: DatasetDefinition, labels: Mapping[str, Indices]) -> None:
    """Raise an error for validation images of the source, which folds of the training images would not use."""
    if "validation" in labels:
        raise UsageError(
            f"{definition.name}: with `folds: {definition.folds}`, the {len(labels['validation']):,} validation images "
            "of the source would not be used; set folds=0, or move them to the training images."
        )


def _whole(pool: str, labels: Mapping[str, Indices]) -> Split:
    return Split(pool, np.arange(len(labels[pool])), labels[pool])


def _cut_test(definition: DatasetDefinition, originals: list[Indices]) -> tuple[list[Indices], Indices | None]:
    """Take the last `test_per_class` images of each class for any `data_seed`, so that results stay comparable."""
    if not definition.test_per_class:
        return originals, None
    counts = _spared(definition, originals, wanted=definition.test_per_class, knob="test_per_class", share=3)
    starts = [len(order) - count for order, count in zip(originals, counts, strict=True)]
    tests = np.concatenate([order[start:] for order, start in zip(originals, starts, strict=True)])
    return [order[:start] for order, start in zip(originals, starts, strict=True)], tests


def _long_tailed(definition: DatasetDefinition, originals: list[Indices], reference: Sequence[int]) -> list[int]:
    """Shuffle each class in place and return how many of its first images the subset keeps.

    Source: Cao et al., LDAM-DRW, `IMBALANCECIFAR10` (the same in ResCom, PaCo and BCL): numpy's
    legacy generator, seeded once, shuffles the classes' indices in label order.
    """
    random = np.random.RandomState(definition.data_seed)
    kept = _wanted(definition, [len(order) for order in originals], reference)
    for label, order in enumerate(originals):
        random.shuffle(order)
        if len(order) < kept[label]:
            raise UsageError(
                f"{definition.name}: class {label} should keep {kept[label]} images, but the source has {len(order)}; "
                "lower `largest_class` or convert a larger source."
            )
    return kept


def _wanted(definition: DatasetDefinition, available: list[int], reference: Sequence[int]) -> list[int]:
    """Return the training images each class should keep."""
    kind = KINDS[definition.imbalance_kind]
    if kind.needs_reference and len(reference) != len(available):
        raise UsageError(
            f"{definition.name}: `reference_list` has {len(reference)} classes, the source {len(available)}."
        )
    return kind.counts(
        CountRequest(
            available,
            largest=definition.largest_class,
            factor=definition.imbalance_factor,
            shape=definition.imbalance_shape,
            exponent=definition.imbalance_exponent,
            reference=reference,
        )
    )


def _cut_validation(
    definition: DatasetDefinition, *, originals: list[Indices], kept: list[int]
) -> tuple[list[int], Indices]:
    """Take the images after the kept ones; if these are too few, also the last kept ones."""
    wanted = definition.validation_per_class
    counts = _spared(definition, originals, wanted=wanted, knob="validation_per_class", share=2)
    starts = [min(count, len(order) - take) for count, order, take in zip(kept, originals, counts, strict=True)]
    chosen = [order[start : start + take] for order, start, take in zip(originals, starts, counts, strict=True)]
    return starts, np.concatenate(chosen)


def _spared(
    definition: DatasetDefinition, originals: list[Indices], *, wanted: int, knob: str, share: int
) -> list[int]:
    """Return the number of validation images of each class: `wanted`, or one in `share` of a small natural class.

    A class of a natural tail may have fewer images than a balanced set would take, and most of
    them are needed for training. If the tail is a subset of a balanced source, every class has enough.

    Raises:
        UsageError: The tail is a subset of a source that has too few images.
    """
    if not KINDS[definition.imbalance_kind].made:
        return [min(wanted, len(order) // share) for order in originals]
    for label, order in enumerate(originals):
        if len(order) <= wanted:
            raise UsageError(
                f"{definition.name}: `{knob}: {wanted}` needs {wanted + 1} images of every class (one stays for "
                f"training), but class {label} has {len(order)}; lower it."
            )
    return [wanted] * len(originals)
