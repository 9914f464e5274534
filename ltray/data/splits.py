"""Which images train, validate and test: index lists, seeded, without a look at pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError

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
    """A data set cut up.

    Attributes:
        train: Class by class in label order, as the official CIFAR-LT code stores it.
        validation: Balanced and disjoint from the others; None under the `paper` protocol.
        test: What final models are evaluated on.
    """

    train: Split
    validation: Split | None
    test: Split


def cut(definition: DatasetDefinition, labels: Mapping[str, Indices], classes: int) -> Splits:
    """Cut a data set into training, validation and test images.

    Args:
        definition: Imbalance, seeds, validation and test sizes, protocol.
        labels: Labels of each pool the source has; "train" at least.
        classes: Number of classes K.

    Raises:
        UsageError: A class has too few images for what the definition asks for.
    """
    pool = labels["train"]
    originals = [np.flatnonzero(pool == label) for label in range(classes)]
    originals, tests = _cut_test(definition, originals)
    kept = _long_tailed(definition, originals)
    validation = None
    if definition.protocol == "honest" and "validation" in labels:
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
        raise UsageError(f"{definition.name}: the source has no test set of its own; set `test_per_class`.")
    if definition.protocol == "honest" and validation is None:
        raise UsageError(
            f"{definition.name}: `protocol: honest` needs validation images; set `validation_per_class`, "
            "or `protocol: paper` to select on the test set."
        )
    return Splits(Split("train", train, pool[train]), validation, test)


def _whole(pool: str, labels: Mapping[str, Indices]) -> Split:
    return Split(pool, np.arange(len(labels[pool])), labels[pool])


def _cut_test(definition: DatasetDefinition, originals: list[Indices]) -> tuple[list[Indices], Indices | None]:
    """Take the last `test_per_class` of each class, whatever `data_seed` is: tests stay comparable."""
    count = definition.test_per_class
    if not count:
        return originals, None
    _check_enough(definition.name, originals, count + 1, "test_per_class")
    tests = np.concatenate([order[-count:] for order in originals])
    return [order[:-count] for order in originals], tests


def _long_tailed(definition: DatasetDefinition, originals: list[Indices]) -> list[int]:
    """Shuffle each class in place and return how many of its first images the subset keeps.

    Source: Cao et al., LDAM-DRW, `IMBALANCECIFAR10` (the same in ResCom, PaCo and BCL): numpy's
    legacy generator, seeded once, shuffles the classes' indices in label order.
    """
    random = np.random.RandomState(definition.data_seed)
    if definition.imbalance_kind == "natural":
        kept = [len(order) for order in originals]
    else:
        largest = definition.largest_class or min(len(order) for order in originals)
        kept = class_counts(
            definition.imbalance_kind, largest=largest, classes=len(originals), factor=definition.imbalance_factor
        )
    for label, order in enumerate(originals):
        random.shuffle(order)
        if len(order) < kept[label]:
            raise UsageError(
                f"{definition.name}: class {label} should keep {kept[label]} images, but the source has {len(order)}; "
                "lower `largest_class`."
            )
    return kept


def class_counts(kind: str, *, largest: int, classes: int, factor: float) -> list[int]:
    """Return the training images n_k of each class, the head first.

    "exp": n_k = ⌊n_max · μ^(k/(K−1))⌋ with μ = 1/IF; "step": the first half of the classes
    has n_max, the second ⌊n_max · μ⌋. Source: Cui et al. 2019; Cao et al. 2019.

    Raises:
        UsageError: A class would be left without images.
    """
    ratio = 1.0 / factor
    if kind == "exp":
        counts = [int(largest * ratio ** (label / (classes - 1.0))) for label in range(classes)]
    else:
        counts = [largest] * (classes // 2) + [int(largest * ratio)] * (classes - classes // 2)
    if min(counts) < 1:
        raise UsageError(
            f"`imbalance_factor: {factor:g}` leaves classes without images where the largest has {largest}; "
            f"at most {largest} works."
        )
    return counts


def _cut_validation(
    definition: DatasetDefinition, *, originals: list[Indices], kept: list[int]
) -> tuple[list[int], Indices]:
    """Take the images that follow the kept ones; where too few follow, the last kept ones too."""
    wanted = definition.validation_per_class
    _check_enough(definition.name, originals, wanted + 1, "validation_per_class")
    starts = [min(count, len(order) - wanted) for order, count in zip(originals, kept, strict=True)]
    chosen = [order[start : start + wanted] for order, start in zip(originals, starts, strict=True)]
    return starts, np.concatenate(chosen)


def _check_enough(name: str, originals: list[Indices], needed: int, knob: str) -> None:
    for label, order in enumerate(originals):
        if len(order) < needed:
            raise UsageError(
                f"{name}: `{knob}` needs {needed} images of every class (one stays for training), "
                f"but class {label} has {len(order)}; lower it."
            )
