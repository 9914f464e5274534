"""Class counts of a training set, and everything that follows from them."""

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
        counts: One positive count a class, in label order.

    Raises:
        UsageError: Fewer than two classes, or a class without training images.
    """

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) < 2:
            raise UsageError(f"At least two classes are needed, but got counts={list(self.counts)}.")
        empty = [label for label, count in enumerate(self.counts) if count < 1]
        if empty:
            raise UsageError(f"Every class needs a training image, but classes {empty[:10]} have none.")

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
        import torch  # here: a conversion counts, and does without torch

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
        """Classes with many (> 100), medium (20 to 100) and few (< 20) training images.

        An empty group is absent.
        """
        of = {"many": [], "medium": [], "few": []}  # type: dict[str, list[int]]
        for label, count in enumerate(self.counts):
            name = "many" if count > MANY_ABOVE else "few" if count < FEW_BELOW else "medium"
            of[name].append(label)
        return {name: labels for name, labels in of.items() if labels}
