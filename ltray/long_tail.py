"""Class counts of a training set, and values computed from them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltray.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

MANY_ABOVE = 100
FEW_BELOW = 20


@dataclass(frozen=True)
class LongTail:
    """The number of training images of each class.

    Attributes:
        counts: The positive number of training images of each class, in label order.
        listed: The images of each class in the complete training list, including those that are taken from it for
            validation; empty if there are none. Papers count groups on this list.

    Raises:
        UsageError: There are fewer than two classes, a class has no training images, or the list has another number of
            classes.
    """

    counts: tuple[int, ...]
    listed: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.counts) < 2:
            raise UsageError(f"At least two classes are needed, but got counts={list(self.counts)}.")
        empty = [label for label, count in enumerate(self.counts) if count < 1]
        if empty:
            raise UsageError(f"Every class needs a training image, but classes {empty[:10]} have none.")

        if self.listed and len(self.listed) != len(self.counts):
            raise UsageError(f"the training images have {len(self.counts)} classes, but {len(self.listed)} are listed.")

    @property
    def classes(self) -> int:
        """Number of classes, K."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Number of training images, N."""
        return sum(self.counts)

    @property
    def imbalance_factor(self) -> float:
        """Largest count over smallest."""
        return max(self.counts) / min(self.counts)

    def count_tensor(self) -> "Tensor":
        """Counts n_k, float64, shape (K,)."""
        import torch  # imported here: a conversion needs counts, but not torch

        return torch.tensor(self.counts, dtype=torch.float64)

    def prior(self) -> "Tensor":
        """Class frequencies π_k = n_k / N, float64, shape (K,)."""
        counts = self.count_tensor()
        return counts / counts.sum()

    def effective_number(self, beta: float) -> "Tensor":
        """E_k = (1 − β^n_k) / (1 − β), float64, shape (K,); n_k is returned for β = 1.

        Source: Cui et al., Class-Balanced Loss, eq. 2. float32 would lose 1 % at β = 0.999999.
        """
        counts = self.count_tensor()
        if beta == 1.0:
            return counts
        return (1.0 - beta**counts) / (1.0 - beta)

    def groups(self) -> dict[str, list[int]]:
        """Classes with many (> 100), medium (20 to 100) and few (< 20) images in the complete training list.

        Empty groups are left out. All code that prints or averages groups uses this method.
        """
        of = {"many": [], "medium": [], "few": []}  # type: dict[str, list[int]]
        for label, count in enumerate(self.listed or self.counts):
            name = "many" if count > MANY_ABOVE else "few" if count < FEW_BELOW else "medium"
            of[name].append(label)
        return {name: labels for name, labels in of.items() if labels}

    def group_of(self) -> list[str]:
        """Return the name of each class's group, in label order."""
        names = {label: name for name, labels in self.groups().items() for label in labels}
        return [names[label] for label in range(self.classes)]

    def in_groups(self) -> str:
        """Return the sizes of the groups as text, and the list that was counted if it is not the training set."""
        named = ", ".join(f"{name} {len(labels)}" for name, labels in self.groups().items())
        if not self.listed or self.listed == self.counts:
            return f"{named} classes"
        return f"{named} classes, counted on the complete training list of {sum(self.listed):,} images"
