"""What an analysis returns: numbers beside their theory, data, and a figure; or why it does not apply."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ltray.long_tail import LongTail


@dataclass(frozen=True)
class Quantity:
    """A measured number beside that of the theory.

    Attributes:
        quantity: Its name.
        value: The measured value; NaN if it has none.
        theory: The value according to the theory, or None.
        source: Paper and equation or figure.
    """

    quantity: str
    value: float
    theory: float | None
    source: str

    def as_json(self) -> dict[str, Any]:
        """Return the attributes as plain values."""
        return {"quantity": self.quantity, "measured": self.value, "theory": self.theory, "source": self.source}


@dataclass(frozen=True)
class TheoryResult:
    """The result of an analysis.

    Attributes:
        title: Its subject.
        rows: The numbers.
        data: Plain values from which the figure is drawn.
        draw: Draws the figure.
    """

    title: str
    rows: Sequence[Quantity]
    data: Mapping[str, Any]
    draw: Callable[[], Figure]

    def as_json(self) -> dict[str, Any]:
        """Return title, numbers and data as plain values."""
        return {"title": self.title, "rows": [row.as_json() for row in self.rows], "data": dict(self.data)}


@dataclass(frozen=True)
class NotApplicable:
    """An analysis that has no meaning for a model.

    Attributes:
        reason: Why, as a sentence.
    """

    reason: str


def by_group(values: Tensor, tail: LongTail) -> dict[str, float]:
    """Return the mean over the classes of all and of each group; classes without a value (NaN) do not count.

    Args:
        values: A value of each class (K,).
        tail: The groups.
    """
    groups = {"all": list(range(tail.classes)), **tail.groups()}
    return {name: float(values[labels].nanmean()) for name, labels in groups.items()}


def class_means_of(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean value of each class (K,), float64; NaN for a class without finite values.

    Args:
        values: A value of each anchor (A,).
        labels: Class of each anchor (A,).
        classes: K.
    """
    used = values.isfinite()
    sums = values.new_zeros(classes).double().index_add(0, labels[used], values[used].double())
    counts = values.new_zeros(classes).double().index_add(0, labels[used], values[used].double() * 0.0 + 1.0)
    means: Tensor = sums / counts
    return means
