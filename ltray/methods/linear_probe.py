"""Linear probe: a linear classifier on the frozen features of a network with given weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ltray.knobs import Value
from ltray.long_tail import LongTail
from ltray.parts.precision import full_precision
from ltray.recipe import Recipe
from ltray.stage import Batch, BuildContext, Losses, Method, ScorePrior, Stage
from ltray.stages.second_stage import FrozenBackboneKnobs, FrozenBackboneStage, untrained_network


@dataclass(frozen=True)
class LinearProbeKnobs(FrozenBackboneKnobs):
    """Our recipe: features of plain images, computed once, so that epochs cost little."""

    epochs: int = Recipe.redeclared("epochs", 50)
    milestones: tuple[int, ...] = Recipe.redeclared("milestones", (30, 40))
    learning_rate: float = Recipe.redeclared("learning_rate", 0.1, search=(0.01, 10.0))
    weight_decay: float = Recipe.redeclared("weight_decay", 1e-5, search=(1e-6, 1e-2))
    label_smoothing: float = Recipe.redeclared("label_smoothing", 0.0, refused="")
    features: str = FrozenBackboneKnobs.redeclared("features", "cached")

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        "default": dict(),
        "cifar10_lt": dict(),
        "cifar100_lt": dict(),
        "imagenet_lt": dict(),
        "places_lt": dict(),
        "inat18": dict(),
        "digits_lt": dict(batch_size=32),
    }


class LinearProbe(FrozenBackboneStage):
    """Cross-entropy on a linear classifier; classes are not balanced."""

    def trained(self) -> Sequence[nn.Module]:
        """Train the classifier."""
        return [self.network.classifier]

    def forward(self, batch: Batch) -> Losses:
        """Return the classification term."""
        return {"classification": self._loss(self.scores(batch), batch.labels)}

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = full_precision(F.cross_entropy)(scores, labels, label_smoothing=self.recipe.label_smoothing)
        return loss

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the training set."""
        return ScorePrior(tail.prior().log())


def _stages(knobs: LinearProbeKnobs, context: BuildContext) -> Sequence[Stage]:
    network = untrained_network(context, "linear")
    return [LinearProbe(knobs, replace(context, start=network), network.classifier)]


METHOD = Method(
    name="linear_probe",
    paper="Baseline for pretrained weights: cross-entropy on their frozen features",
    knobs=LinearProbeKnobs,
    stages=_stages,
    train={profile: "head" for profile in LinearProbeKnobs.paper_values},
)
