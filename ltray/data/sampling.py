"""The order of the training positions in an epoch, as a function of (seed, epoch)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltray.errors import chosen
from ltray.stage import Stage

Ints = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How a stage draws its epochs.

    Attributes:
        kind: A key of `SAMPLINGS`.
        class_run: Number of consecutive images of a class under "class_aware".
        long_epoch: Whether an epoch of "class_aware" has n_max·K draws instead of n.
        epochs: Epochs of the stage, T, over which "progressive" changes.
    """

    kind: str = "natural"
    class_run: int = 1
    long_epoch: bool = False
    epochs: int = 1

    @classmethod
    def of(cls, stage: Stage) -> "Sampling":
        """Return the sampling that a stage declares."""
        return cls(stage.sampling, stage.class_run, stage.long_epoch, stage.recipe.epochs)


def epoch_order(sampling: Sampling, labels: Tensor, *, seed: int, epoch: int) -> Tensor:
    """Return the positions of one epoch, int64: (draws, 1), or (draws, 2) for "pairs".

    Every worker computes the same order and takes its own slices of it, so that sampling is
    exact under any number of workers.

    Args:
        sampling: How the stage draws.
        labels: Label of each position (n,), on the CPU.
        seed: Non-negative.
        epoch: From 0.

    Raises:
        UsageError: No sampling has this name.
    """
    order = chosen(sampling.kind, SAMPLINGS, "a sampling of epochs")
    random = np.random.default_rng([seed, epoch])
    return torch.from_numpy(order(labels.numpy(), sampling, epoch, random))


@dataclass(frozen=True)
class _ByClass:
    """Positions sorted by class; those of the j-th class are the `counts[j]` positions from `starts[j]` on."""

    by_class: Ints
    starts: Ints
    counts: Ints

    @classmethod
    def of(cls, labels: Ints) -> "_ByClass":
        by_class = np.argsort(labels, kind="stable")
        _, starts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
        return cls(by_class, starts, counts)

    def images(self, classes: Ints, random: np.random.Generator) -> Ints:
        """Draw an image of each given class (any shape), with replacement."""
        within = (random.random(classes.shape) * self.counts[classes]).astype(np.int64)
        images: Ints = self.by_class[self.starts[classes] + within]
        return images


Order = Callable[[Ints, Sampling, int, np.random.Generator], Ints]
"""Draws an epoch, (draws, views), from the labels (n,), the stage's sampling, the epoch and a separate generator."""


def _natural(labels: Ints, sampling: Sampling, epoch: int, random: np.random.Generator) -> Ints:
    return random.permutation(len(labels))[:, None]


def _weighted(weights_of: Callable[[Weights, float], Weights]) -> Order:
    """Return the order that draws a class by its weight, then one of its images uniformly, both with replacement.

    Args:
        weights_of: Unnormalised probability of a class, from its count n_k > 0 and the share t/T of epochs done.
    """

    def order(labels: Ints, sampling: Sampling, epoch: int, random: np.random.Generator) -> Ints:
        classes = _ByClass.of(labels)
        weights = weights_of(classes.counts.astype(np.float64), epoch / sampling.epochs)
        drawn = random.choice(len(classes.counts), size=len(labels), p=weights / weights.sum())
        return classes.images(drawn, random)[:, None]

    return order


def _pairs(labels: Ints, sampling: Sampling, epoch: int, random: np.random.Generator) -> Ints:
    """Draw two different classes uniformly and an image of each (draws, 2)."""
    classes, draws = _ByClass.of(labels), len(labels)
    present = len(classes.counts)
    first = random.integers(present, size=draws)
    second = (first + random.integers(1, max(present, 2), size=draws)) % present
    return classes.images(np.stack([first, second], axis=1), random)


def _class_aware(labels: Ints, sampling: Sampling, epoch: int, random: np.random.Generator) -> Ints:
    """Pass through the classes in shuffled order, `class_run` images each; the images are shuffled too."""
    classes, run = _ByClass.of(labels), sampling.class_run
    draws = int(classes.counts.max()) * len(classes.counts) if sampling.long_epoch else len(labels)
    runs = -(-draws // run)
    drawn = np.repeat(_passes(len(classes.counts), runs, random), run)[:draws]
    order = np.empty(draws, dtype=np.int64)
    ends = np.bincount(drawn, minlength=len(classes.counts)).cumsum()[:-1]
    each = np.split(np.argsort(drawn, kind="stable"), ends)
    for label, (count, places) in enumerate(zip(classes.counts, each, strict=True)):
        order[places] = classes.by_class[classes.starts[label] + _passes(int(count), len(places), random)]
    return order[:, None]


def _passes(count: int, length: int, random: np.random.Generator) -> Ints:
    """Return `length` numbers below `count`: one permutation after the other."""
    repeats = -(-length // count)
    if not repeats:
        return np.empty(0, dtype=np.int64)
    return np.concatenate([random.permutation(count) for _ in range(repeats)])[:length]


SAMPLINGS: Mapping[str, Order] = {
    "natural": _natural,
    "class_balanced": _weighted(lambda counts, done: np.ones_like(counts)),
    "square_root": _weighted(lambda counts, done: np.sqrt(counts)),
    "progressive": _weighted(lambda counts, done: (1.0 - done) * counts / counts.sum() + done / len(counts)),
    "reversed": _weighted(lambda counts, done: 1.0 / counts),
    "class_aware": _class_aware,
    "pairs": _pairs,
}
"""Every order of an epoch by its name.

* `natural`: each image once.
* `class_balanced`: every class is equally probable, then every image of it (Kang et al. 2020).
* `square_root`: a class's probability is proportional to √n_k (Mahajan et al. 2018).
* `progressive`: it is (1 − t/T)·n_k/N + (t/T)/K in epoch t (Kang et al. 2020, eq. 2).
* `reversed`: it is proportional to 1/n_k (BBN, Zhou et al. 2020).
* `class_aware`: classes in shuffled passes, `class_run` consecutive images of each (Shen et al. 2016).
* `pairs`: two different classes uniformly and an image of each, for the stage's two views.
"""
