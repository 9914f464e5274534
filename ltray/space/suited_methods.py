"""The methods of a choice that suit a data set: `methods: {among: […], only: suited}`.

The rules leave out methods that cannot be the best or cost too much, and give the reason; docs/searching.md lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ltray.data.encoding import SMALL
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.parts.fine_tuning import ALL, HEAD
from ltray.run_settings import RANDOM
from ltray.space.method_choice import Alternative

BALANCED = 2.0
"""Imbalance factor below which losses that adjust for the class counts are close to cross-entropy."""
ADJUSTED = ("balanced_softmax", "logit_adjustment", "class_balanced", "post_hoc_adjustment")
"""Methods that differ from cross-entropy by the class counts alone."""


@dataclass(frozen=True)
class Situation:
    """The inputs of the rules.

    Attributes:
        tail: Class counts of the training set.
        gpu: Whether trials have a GPU.
    """

    tail: LongTail
    gpu: bool

    def unsuited(self, experiment: Experiment) -> str:
        """Return why the methods of an experiment are left out, as a phrase; "" if they are suited."""
        names = [method.name for method in experiment.methods]
        network, side = experiment.network, experiment.dataset.image_size
        pretrained, slow = network.weights != RANDOM, side > SMALL and not self.gpu
        if experiment.methods[0].train.get(experiment.dataset.profile) == HEAD and not pretrained:
            return "it computes a classifier on fixed features, which needs pretrained weights (docs/backbones.md)"
        if self.tail.imbalance_factor < BALANCED and any(name in ADJUSTED for name in names):
            return f"imbalance factor {self.tail.imbalance_factor:.3g}, almost the same as cross-entropy"
        if slow and (views := experiment.views(self.tail)) > 1:
            return f"{views} views of {side} pixels for each image, without a GPU"
        if slow and pretrained and network.train == ALL:
            return f"it trains the complete network on {side} pixels, without a GPU"
        return ""


def suited(alternatives: Sequence[Alternative], situation: Situation) -> tuple[tuple[Alternative, ...], list[str]]:
    """Return the suited alternatives, and a line for each of the others.

    Args:
        alternatives: The choice.
        situation: The inputs of the rules.

    Raises:
        UsageError: None is suited.
    """
    reasons = [situation.unsuited(alternative.base) for alternative in alternatives]
    kept = tuple(one for one, reason in zip(alternatives, reasons, strict=True) if not reason)
    lines = [f"{' + '.join(a.methods)} left out: {why}" for a, why in zip(alternatives, reasons, strict=True) if why]
    if not kept:
        raise UsageError(f"No method of `methods` is suited to the data: {'; '.join(lines)}. Remove `only: suited`.")
    return kept, lines
