"""The number of training images of each class: the shapes of long tails."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ltray.errors import UsageError


def exp_counts(largest: int, classes: int, factor: float) -> list[int]:
    """Return n_k = ⌊n_max · μ^(k/(K−1))⌋ with μ = 1/IF.

    Source: Cui et al. 2019, Class-Balanced Loss; the code of Cao et al. 2019, LDAM-DRW.
    """
    ratio = 1.0 / factor
    return [int(largest * ratio ** (label / (classes - 1.0))) for label in range(classes)]


def step_counts(largest: int, classes: int, factor: float) -> list[int]:
    """Return n_max for the first half of the classes, ⌊n_max · μ⌋ for the second.

    Source: Cao et al. 2019, LDAM-DRW.
    """
    return [largest] * (classes // 2) + [int(largest * (1.0 / factor))] * (classes - classes // 2)


def pareto_counts(largest: int, classes: int, factor: float, shape: float) -> list[int]:
    """Return the quantiles of a shifted Pareto (Lomax) distribution, the head first.

    n_k is linear in (1 − u)^(−1/a) at u = (k − ½)/K, such that the head has n_max and the tail
    n_max / IF. ImageNet-LT (Liu et al. 2019) is a sample of it with a = 6.
    """
    smallest = largest / factor
    heights = [((label + 0.5) / classes) ** (-1.0 / shape) for label in range(classes)]  # u falls from the head on
    scale = (largest - smallest) / (heights[0] - heights[-1])
    return [int(smallest + scale * (height - heights[-1]) + 1e-9) for height in heights]


def power_counts(reference: Sequence[int], exponent: float) -> list[int]:
    """Return n'_k = round(c · n_k^γ) with c such that their sum is that of n_k; ⌊N/K⌋ for γ = 0.

    The variants A (γ = 0.8), B (0.4) and C (0) of ImageNet-LT.
    """
    counts = np.asarray(reference, dtype=np.float64)
    if exponent == 0.0:
        return [int(counts.sum() // len(counts))] * len(counts)
    powered = counts**exponent
    return [int(count) for count in np.round(counts.sum() / powered.sum() * powered)]


@dataclass(frozen=True)
class CountRequest:
    """The inputs from which class counts are computed.

    Attributes:
        available: Training images of each class of the source.
        largest: n_max if `largest_class` sets it; 0: the source determines it.
        factor: The imbalance factor IF = n_max / n_min, at least 1.
        shape: a of "pareto".
        exponent: γ of "power".
        reference: The class counts to which "power" applies γ.
    """

    available: Sequence[int]
    largest: int = 0
    factor: float = 1.0
    shape: float = 6.0
    exponent: float = 1.0
    reference: Sequence[int] = ()

    def capped(self, counts: Iterable[int]) -> list[int]:
        """Return counts with none above `largest`."""
        return [min(count, self.largest or count) for count in counts]


def _by_factor(shape_of: Callable[[int, int, CountRequest], list[int]]) -> Callable[[CountRequest], list[int]]:
    """Return a function of class counts that fall from n_max to n_max / IF.

    Raises:
        UsageError: A class would have no images.
    """

    def counts_of(wanted: CountRequest) -> list[int]:
        largest = wanted.largest or min(wanted.available)
        counts = shape_of(largest, len(wanted.available), wanted)
        if min(counts) < 1:
            raise UsageError(
                f"`imbalance_factor: {wanted.factor:g}` leaves classes without images, because the largest class has "
                f"{largest}; use at most {largest}."
            )
        return counts

    return counts_of


@dataclass(frozen=True)
class ImbalanceKind:
    """A kind of class counts.

    Attributes:
        counts: Returns the training images n_k of each class, in label order.
        uses: The fields of `CountRequest` that have an effect, in addition to the source's counts and the largest
            class.
    """

    counts: Callable[[CountRequest], list[int]]
    uses: tuple[str, ...] = ()

    @property
    def made(self) -> bool:
        """Whether the long tail is a subset of the source, instead of the source's distribution."""
        return bool(self.uses)

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the class counts of another list."""
        return "reference" in self.uses

    @property
    def by_factor(self) -> bool:
        """Whether it depends on the imbalance factor."""
        return "factor" in self.uses


KINDS: Mapping[str, ImbalanceKind] = {
    "natural": ImbalanceKind(lambda wanted: wanted.capped(wanted.available)),
    "exp": ImbalanceKind(_by_factor(lambda largest, classes, w: exp_counts(largest, classes, w.factor)), ("factor",)),
    "step": ImbalanceKind(_by_factor(lambda largest, classes, w: step_counts(largest, classes, w.factor)), ("factor",)),
    "pareto": ImbalanceKind(
        _by_factor(lambda largest, classes, w: pareto_counts(largest, classes, w.factor, w.shape)), ("factor", "shape")
    ),
    "power": ImbalanceKind(
        lambda wanted: wanted.capped(power_counts(wanted.reference, wanted.exponent)), ("reference", "exponent")
    ),
}
"""Every kind of class counts by its name in `imbalance_kind`."""


def kinds_by(use: str) -> tuple[str, ...]:
    """Return the names of the kinds on which a field of `CountRequest` has an effect."""
    return tuple(name for name, kind in KINDS.items() if use in kind.uses)
