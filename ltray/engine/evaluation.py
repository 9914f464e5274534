"""Top-1 accuracy over all classes and over the many-, medium- and few-shot groups."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltray.distributed import total
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.stage import EvaluationLoader, Stage

ACCURACIES = ("acc_all", "acc_many", "acc_medium", "acc_few")


@dataclass(frozen=True)
class Evaluation:
    """Correct and seen images of each class.

    Attributes:
        correct: Correctly classified images by class (K,), int64, on the CPU.
        seen: Images by class (K,), int64, on the CPU.
    """

    correct: Tensor
    seen: Tensor

    def per_class(self) -> Tensor:
        """Accuracy of each class (K,), float64; NaN for a class without images."""
        return self.correct.double() / self.seen.double()

    def metrics(self, tail: LongTail, prefix: str) -> dict[str, float]:
        """Return `<prefix>/acc_all` and `<prefix>/acc_<group>` as shares of 1.

        `acc_all` is over images (micro average); a group's is the mean of its classes'
        accuracies, as the official scripts compute it. A group without classes, or without
        a single evaluated image, is absent.

        Args:
            tail: Training counts, which decide a class's group.
            prefix: "val" or "test".
        """
        found = {f"{prefix}/acc_all": int(self.correct.sum()) / int(self.seen.sum())}
        accuracy = self.per_class()
        for group, labels in tail.groups().items():
            known = accuracy[labels][self.seen[labels] > 0]
            if len(known):
                found[f"{prefix}/acc_{group}"] = float(known.mean())
        return found

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "Evaluation":
        """Count from logits (N, K) and labels (N,)."""
        hits, classes = logits.argmax(dim=1) == labels, logits.shape[1]
        return cls(torch.bincount(labels[hits], minlength=classes), torch.bincount(labels, minlength=classes))

    def as_lists(self) -> dict[str, Any]:
        """Return the counts as plain lists, for JSON."""
        return {"correct": self.correct.tolist(), "seen": self.seen.tolist()}


def check_objective(objective: str, groups: Collection[str]) -> None:
    """Check that the data has the classes which an objective is about.

    Args:
        objective: One of `ACCURACIES`, or what is no accuracy.
        groups: Those of many, medium and few that have classes.

    Raises:
        UsageError: It has not.
    """
    group = objective.removeprefix("acc_")
    if objective in ACCURACIES[1:] and group not in groups:
        raise UsageError(
            f"The objective `{objective}` does not exist: no class of this data is {group}-shot. "
            f"There are: {', '.join(groups)}."
        )


@torch.no_grad()
def evaluate(stage: Stage, images: EvaluationLoader, *, classes: int, device: torch.device) -> Evaluation:
    """Classify every image once, over all workers, and leave the stage as it was.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: This worker's share.
        classes: Number of classes K.
        device: Where the stage lives.
    """
    correct = torch.zeros(classes, dtype=torch.int64, device=device)
    seen = torch.zeros(classes, dtype=torch.int64, device=device)
    with _in_evaluation_mode(stage):
        for views, labels in images:
            hits = stage.logits(views).argmax(dim=1) == labels
            seen += torch.bincount(labels, minlength=classes)
            correct += torch.bincount(labels[hits], minlength=classes)
    return Evaluation(total(correct).cpu(), total(seen).cpu())


@torch.no_grad()
def classify(stage: Stage, images: EvaluationLoader) -> tuple[Tensor, Tensor]:
    """Return this worker's logits (n, K), float32, and labels (n,), on the CPU; the stage stays as it was.

    Args:
        stage: Its `logits` are evaluated, in evaluation mode.
        images: At least one batch.
    """
    with _in_evaluation_mode(stage):
        parts = [(stage.logits(views).float().cpu(), labels.cpu()) for views, labels in images]
    logits, labels = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(labels)


@contextmanager
def _in_evaluation_mode(stage: Stage) -> Iterator[None]:
    modes = [(module, module.training) for module in stage.modules()]
    stage.eval()
    yield
    for module, mode in modes:
        module.training = mode
