"""cRT: a new classifier is trained on class-balanced batches; the backbone is frozen."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from ltray.parts.precision import full_precision
from ltray.stage import Batch, BuildContext, Losses, Method, Stage
from ltray.stages.second_stage import SecondStage, SecondStageKnobs


class ClassifierRetraining(SecondStage):
    """Cross-entropy on a new linear classifier."""

    def __init__(self, knobs: SecondStageKnobs, context: BuildContext) -> None:
        width = context.continued().backbone.width
        super().__init__(knobs, context, nn.Linear(width, context.tail.classes))

    def trained(self) -> Sequence[nn.Module]:
        """Train the classifier."""
        return [self.network.classifier]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        return {"classification": full_precision(F.cross_entropy)(self.scores(batch), batch.labels)}


def _stages(knobs: SecondStageKnobs, context: BuildContext) -> Sequence[Stage]:
    return [ClassifierRetraining(knobs, context)]


METHOD = Method(
    name="crt",
    paper="Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020 "
    "(arXiv:1910.09217), cRT",
    knobs=SecondStageKnobs,
    stages=_stages,
    needs_network=True,
)
