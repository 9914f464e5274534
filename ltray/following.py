"""Defaults that follow the data at hand: a knob declares a rule, and a value that nobody stated obeys it.

The papers' values are those of the papers' data sets. Elsewhere some of them are illegal (more mined negatives than
a queue of four classes holds) or make no sense (two steps an epoch). A rule leaves a value alone where the data allow
it, so that the papers' own data sets keep the papers' values exactly; what a user states is never changed.
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
class World:
    """What defaults can follow.

    Attributes:
        classes: Number of classes, K.
        images: Number of training images, N; None where it is not known.
        largest: Training images of the largest class; None where it is not known.
        workers: Worker processes that share a batch.
    """

    classes: int
    images: int | None = None
    largest: int | None = None
    workers: int = 1

    @classmethod
    def of(cls, tail: LongTail, *, workers: int = 1) -> Self:
        """Return the world of a training set."""
        return cls(tail.classes, tail.total, max(tail.counts), workers)


@dataclass(frozen=True)
class Facts:
    """What a rule may look at.

    Attributes:
        world: The data and the workers.
        usual: The values before any rule, by knob.
        now: The same with the rules of the knobs declared earlier applied.
    """

    world: World
    usual: Mapping[str, Any]
    now: Mapping[str, Any]


@dataclass(frozen=True)
class Follow:
    """How a knob's default follows the data.

    Attributes:
        words: The rule in words, for tables: "at most half of the number of training images".
        rule: Returns the value for (usual value, facts); it must return legal values unchanged.
        of: Says what decided, for messages: "567 training images".
    """

    words: str
    rule: Callable[[Any, Facts], Any]
    of: Callable[[Facts], str]


def images_of(facts: Facts) -> str:
    """Return the number of training images in words."""
    return _number_of(facts.world.images or 0, "training image")


def classes_of(facts: Facts) -> str:
    """Return the number of classes in words."""
    return _number_of(facts.world.classes, "class", "classes")


def epochs_of(facts: Facts) -> str:
    """Return the number of epochs in words."""
    return _number_of(facts.now["epochs"], "epoch")


def _number_of(number: int, one: str, several: str = "") -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _shared_batch(facts: Facts) -> str:
    workers = facts.world.workers
    sharing = f"{workers} workers" if workers > 1 else ""
    return " and ".join(filter(None, (images_of(facts) if facts.world.images else "", sharing)))


def at_most_images(words: str, most: Callable[[int, Facts], float], *, instead: int | None = None) -> Follow:
    """Return a rule "no more than `most(N, facts)`", which is at least 1.

    Args:
        words: The rule in words.
        most: The largest value that stays as it is.
        instead: What becomes of a larger one; None: the largest.
    """

    def rule(value: Any, facts: Facts) -> Any:
        if facts.world.images is None:
            return value
        largest = max(int(most(facts.world.images, facts)), 1)
        return value if value <= largest else largest if instead is None else instead

    return Follow(words, rule, images_of)


def at_most_classes(words: str, most: Callable[[int, Facts], float]) -> Follow:
    """Return a rule "no more than `most(K, facts)`", which is at least 1."""
    return Follow(words, lambda value, facts: min(value, max(int(most(facts.world.classes, facts)), 1)), classes_of)


def batch(steps: int = STEPS) -> Follow:
    """Return the rule of a batch: an epoch has some steps.

    A batch that is too large becomes the largest power of two that is not, 4 at least, made a multiple of the workers.
    The learning rate stays: N/B, by which the noise of SGD grows, stays below that of the papers' data sets.
    """

    def rule(value: int, facts: Facts) -> int:
        images, workers = facts.world.images, facts.world.workers
        most = value if images is None else max(images // steps, SMALLEST_BATCH)
        if value <= most:
            return value  # also where the workers cannot share it: that is an error, as it is for the papers' data
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
    images = facts.world.images
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
    """Return how many divisions in turn, each of a share of what is left, keep at least `least` images each."""
    if images * proportion < least:
        return 1
    return 1 + int(math.log(least / (images * proportion)) / math.log(1.0 - proportion))
