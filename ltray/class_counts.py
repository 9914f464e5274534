"""Numbers of evaluated, predicted and correctly classified images of each class, and the metrics computed from them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassCounts:
    """Counts of evaluated images, of the classes that have any; values and their errors are fractions of 1.

    The model for the errors: the images of a class are classified correctly independently of each other, with the
    probability (c + 1) / (n + 2) if c of n were correct, so that three correct images of three do not give an error
    of 0. For macro-F1 and the geometric mean the delta method is used, with Poisson counts of wrong predictions.

    Attributes:
        correct: Correctly classified images of each class (k,), int64.
        seen: Images of each class (k,), int64, all above 0.
        predicted: Images that were classified as each class (k,), int64.
    """

    correct: "Tensor"
    seen: "Tensor"
    predicted: "Tensor"

    def recall(self) -> "Tensor":
        """Accuracy of each class (k,), float64."""
        return self.correct.double() / self.seen.double()

    def recall_variance(self) -> "Tensor":
        """Squared standard error of each class's recall (k,), float64."""
        share = self._share()
        return share * (1 - share) / self.seen.double()

    def accuracy(self) -> float:
        """Fraction of all images that are classified correctly."""
        return int(self.correct.sum()) / int(self.seen.sum())

    def accuracy_error(self) -> float:
        """Standard error of `accuracy`."""
        right, seen = self.correct.double().sum(), self.seen.double().sum()
        share = (right + 1) / (seen + 2)
        return float((share * (1 - share) / seen).sqrt())

    def mean_recall(self) -> float:
        """Mean of the classes' recalls."""
        return float(self.recall().mean())

    def mean_recall_error(self) -> float:
        """Standard error of `mean_recall`."""
        return self._error_of_mean(self.recall_variance())

    def mean_f1(self) -> float:
        """Mean of the classes' F1 = 2 TP / (n + TP + FP)."""
        return float((2 * self.correct.double() / (self.seen + self.predicted)).mean())

    def mean_f1_error(self) -> float:
        """Standard error of `mean_f1`."""
        right, seen = self.correct.double(), self.seen.double()
        wrong = self.predicted.double() - right
        below = (seen + right + wrong) ** 2
        by_right, by_wrong = 2 * (seen + wrong) / below, 2 * right / below
        return self._error_of_mean(by_right**2 * self.recall_variance() * seen**2 + by_wrong**2 * (wrong + 1))

    def lowest_recall(self) -> float:
        """Recall of the worst class."""
        return float(self.recall().min())

    def lowest_recall_error(self) -> float:
        """Standard error of the worst class's recall, for a fixed class."""
        return float(self.recall_variance()[self.recall().argmin()].sqrt())

    def geometric_mean(self) -> float:
        """Geometric mean of the classes' recalls; 0 if one of them is 0."""
        return float(self.recall().log().mean().exp())

    def geometric_mean_error(self) -> float:
        """Standard error of `geometric_mean`."""
        share = self._share()
        return float(share.log().mean().exp() * (self.recall_variance() / share**2).sum().sqrt()) / len(share)

    def _share(self) -> "Tensor":
        return (self.correct.double() + 1) / (self.seen.double() + 2)

    def _error_of_mean(self, variance: "Tensor") -> float:
        return float(variance.sum().sqrt()) / len(variance)
