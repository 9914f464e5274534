"""A new linear classifier on a frozen backbone: DSCL's second stage, and probes."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, View
from ltray.stages.second_stage import SecondStage, SecondStageKnobs

DEVIATION = 0.01  # of the initial weights; biases start at 0


class LinearClassifier(SecondStage):
    """Cross-entropy on class-balanced batches: a class is drawn uniformly, then one of its images.

    Source: the linear evaluation of MoCo and DSCL.

    Args:
        knobs: The recipe, and whether BatchNorm statistics of the backbone are updated.
        context: `start` is the network whose backbone it uses.
        augmentation: Policy of the one view; without effect on cached features.
    """

    sampling = "class_balanced"

    def __init__(self, knobs: SecondStageKnobs, context: BuildContext, *, augmentation: str = "standard") -> None:
        classifier = nn.Linear(context.continued().backbone.width, context.tail.classes)
        nn.init.normal_(classifier.weight, std=DEVIATION)
        nn.init.zeros_(classifier.bias)
        super().__init__(knobs, context, classifier)
        if self.source == "images":
            self.views = (View("image", augmentation),)

    def trained(self) -> Sequence[nn.Module]:
        """Train the classifier."""
        return [self.network.classifier]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        return {"classification": full_precision(F.cross_entropy)(self.scores(batch), batch.labels)}
