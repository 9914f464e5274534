"""LWS: the classifier is frozen; one factor per class is learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import nn

from ltray.knobs import Value
from ltray.parts.adjusted_classifiers import ScaledClassifier
from ltray.parts.precision import full_precision
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, Stage
from ltray.stages.second_stage import SecondStage, SecondStageKnobs


@dataclass(frozen=True)
class LWSKnobs(SecondStageKnobs):
    """cRT's recipe with half its epochs."""

    epochs: int = Recipe.redeclared("epochs", 5)
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (3, 4))

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        profile: dict(values, epochs=5) for profile, values in SecondStageKnobs.paper_values.items()
    }


class LearnableWeightScaling(SecondStage):
    """Cross-entropy on s_k·z_k, where only the factors s are trained."""

    def __init__(self, knobs: LWSKnobs, context: BuildContext) -> None:
        classifier = ScaledClassifier(context.continued().classifier, context.tail.classes)
        super().__init__(knobs, context, classifier)
        self.scale = classifier.scale

    def trained(self) -> Sequence[nn.Module]:
        """Train the factors."""
        return [self.scale]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        return {"classification": full_precision(F.cross_entropy)(self.scores(batch), batch.labels)}


def _stages(knobs: LWSKnobs, context: BuildContext) -> Sequence[Stage]:
    return [LearnableWeightScaling(knobs, context)]


METHOD = Method(
    name="lws",
    paper="Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020 "
    "(arXiv:1910.09217), LWS",
    knobs=LWSKnobs,
    stages=_stages,
    needs_network=True,
)
