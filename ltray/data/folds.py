"""Stratified folds of the training images, each of which is the validation set of one training."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ltray.errors import UsageError

NEVER = -1  # the fold of an image that is in the training set of every fold


def folds_of(counts: Sequence[int], folds: int, *, name: str) -> NDArray[np.int64]:
    """Return the fold of each training image, with the images class by class, each class in random order.

    The numbers of images of a class in two folds differ by at most one. A class with fewer images than folds has one
    image in each of the first folds: the first fold has images of every class that is validated, so that its value
    compares trials by all classes. The further images of the other classes are in the smallest folds. The only image
    of a class is in all training sets: without it, no model knows the class.

    Args:
        counts: Training images of each class.
        folds: Number of folds K, at least 2.
        name: The data set's name, for the error.

    Returns:
        (N,), 0 to K − 1, or `NEVER`.

    Raises:
        UsageError: A fold would have no image.
    """
    of_class: dict[int, list[int]] = {}
    sizes = np.zeros(folds, dtype=np.int64)
    for label in sorted(range(len(counts)), key=lambda label: counts[label] >= folds):  # small classes first; stable
        count = counts[label]
        if count == 1:
            of_class[label] = [NEVER]
            continue
        each, more = divmod(count, folds)
        further = range(more) if not each else np.argsort(sizes, kind="stable")[:more].tolist()
        of_class[label] = [*range(folds)] * each + sorted(further)
        sizes += np.bincount(of_class[label], minlength=folds)
    if not sizes.all():
        raise UsageError(
            f"{name}: `folds: {folds}` needs at least one class with {folds} images, but the largest has "
            f"{max(counts)}; lower it."
        )
    return np.array([fold for label in range(len(counts)) for fold in of_class[label]], dtype=np.int64)
