"""Defaults that are adapted to the data: a knob declares a rule, which applies to a value that the user did not set.

The papers' values are those of the papers' data sets. On other data, some of them are illegal (more mined negatives
than the queue of four classes contains) or make no sense (two steps per epoch). A rule does not change a value that the
data allow, so that the papers' data sets have exactly the papers' values; a value set by the user is never changed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from ltray.long_tail import LongTail

STEPS = 10
SMALLEST_BATCH = 4
PASSES = 200_000_000


@dataclass(frozen=True)
class TrainingSize:
    """Size of a training set, and the number of workers: the inputs of the rules.

    Attributes:
        classes: Number of classes, K.
        images: Number of training images, N; None if it is not known.
        largest: Training images of the largest class; None if it is not known.
        workers: Worker processes that share a batch.
    """

    classes: int
    images: int | None = None
    largest: int | None = None
    workers: int = 1

    @classmethod
    def of(cls, tail: LongTail, *, workers: int = 1) -> Self:
        """Return the size of a training set."""
        return cls(tail.classes, tail.total, max(tail.counts), workers)


@dataclass(frozen=True)
class Facts:
    """Inputs of a rule.

    Attributes:
        size: Size of the training set, and the number of workers.
        usual: The values before any rule, by knob.
        now: The same with the rules of the knobs declared earlier applied.
    """

    size: TrainingSize
    usual: Mapping[str, Any]
    now: Mapping[str, Any]


@dataclass(frozen=True)
class Follow:
    """Rule by which a knob's default is adapted to the data.

    Attributes:
        description: The rule as a phrase, for tables: "at most half of the number of training images".
        rule: Returns the value for (usual value, facts); it must return legal values unchanged.
        of: Returns the cause of the value, for messages: "567 training images".
    """

    description: str
    rule: Callable[[Any, Facts], Any]
    of: Callable[[Facts], str]


def images_of(facts: Facts) -> str:
    """Return the number of training images as text."""
    return _number_of(facts.size.images or 0, "training image")


def classes_of(facts: Facts) -> str:
    """Return the number of classes as text."""
    return _number_of(facts.size.classes, "class", "classes")


def epochs_of(facts: Facts) -> str:
    """Return the number of epochs as text."""
    return _number_of(facts.now["epochs"], "epoch")


def _number_of(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _shared_batch(facts: Facts) -> str:
    workers = facts.size.workers
    sharing = f"{workers} workers" if workers > 1 else ""
    return " and ".join(filter(None, (images_of(facts) if facts.size.images else "", sharing)))


def at_most_images(description: str, most: Callable[[int, Facts], float], *, instead: int | None = None) -> Follow:
    """Return a rule "no more than `most(N, facts)`", which is at least 1.

    Args:
        description: The rule as a phrase.
        most: The largest value that is not changed.
        instead: The replacement of a larger value; None: the largest value.
    """

    def rule(value: Any, facts: Facts) -> Any:
        if facts.size.images is None:
            return value
        largest = max(int(most(facts.size.images, facts)), 1)
        return value if value <= largest else largest if instead is None else instead

    return Follow(description, rule, images_of)


def at_most_classes(description: str, most: Callable[[int, Facts], float]) -> Follow:
    """Return a rule "no more than `most(K, facts)`", which is at least 1."""
    return Follow(
        description, lambda value, facts: min(value, max(int(most(facts.size.classes, facts)), 1)), classes_of
    )


def batch(steps: int = STEPS) -> Follow:
    """Return the rule of a batch: an epoch has at least some steps.

    A batch that is too large is replaced with the largest smaller power of two that is not, at least 4, rounded to a
    multiple of the workers. The learning rate does not change: N/B is below that of the papers' data sets.
    """

    def rule(value: int, facts: Facts) -> int:
        images, workers = facts.size.images, facts.size.workers
        most = value if images is None else max(images // steps, SMALLEST_BATCH)
        if value <= most:
            return value  # also if it cannot be divided among the workers, which is an error, as for the papers' data
        return max((1 << (most.bit_length() - 1)) // workers, 1) * workers

    return Follow(
        f"an epoch has at least {steps} steps (and a batch at least {SMALLEST_BATCH} images)", rule, _shared_batch
    )


def scaled_with(batch_size: str) -> Follow:
    """Return the rule of a learning rate that is proportional to a batch size which follows the data."""

    def rule(value: float, facts: Facts) -> float:
        share = facts.now[batch_size] / facts.usual[batch_size]
        return value if share == 1.0 else float(f"{value * share:.6g}")

    return Follow(f"in proportion to `{batch_size}`", rule, _shared_batch)


def _run_length(value: int, facts: Facts) -> int:
    images = facts.size.images
    return value if images is None or value * images <= PASSES else min(value, max(PASSES // images, 10))


def _within_run(value: tuple[int, ...], facts: Facts) -> tuple[int, ...]:
    if facts.now["schedule"] != "step":
        return value
    return tuple(epoch for epoch in value if epoch < facts.now["epochs"])


EPOCHS = Follow(
    f"at most {PASSES:,} images in total, but at least 10 epochs; the schedule is scaled", _run_length, images_of
)
BATCH = batch()
MILESTONES = Follow("milestones within the run", _within_run, epochs_of)
BEFORE_THE_END = Follow(
    "before the last epoch", lambda value, facts: min(value, max(facts.now["epochs"] - 1, 1)), epochs_of
)
HALF_THE_IMAGES = at_most_images("at most half of the number of training images", lambda images, facts: images / 2)


def divisions(images: int, proportion: float, least: int) -> int:
    """Return the number of successive divisions, each of a share of the rest, with at least `least` images each."""
    if images * proportion < least:
        return 1
    return 1 + int(math.log(least / (images * proportion)) / math.log(1.0 - proportion))
