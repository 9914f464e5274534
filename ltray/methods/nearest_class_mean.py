"""Nearest class mean: the class whose mean feature has the smallest angle to the image's; nothing is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from ltray.knobs import Value
from ltray.long_tail import LongTail
from ltray.parts.heads import CosineClassifier
from ltray.parts.mean_features import class_means
from ltray.stage import BuildContext, Method, ScorePrior, Stage, TrainingData
from ltray.stages.post_hoc import PostHoc, PostHocKnobs
from ltray.stages.second_stage import untrained_network

SCALE = 25.0  # of the cosines, as in LIFT; it changes confidences, not the predicted class


@dataclass(frozen=True)
class NearestClassMeanKnobs(PostHocKnobs):
    """A recipe without epochs."""

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {
        name: dict()
        for name in ("default", "cifar10_lt", "cifar100_lt", "imagenet_lt", "places_lt", "inat18", "digits_lt")
    }


class NearestClassMean(PostHoc):
    """A cosine classifier whose rows are the class means of the plain training images."""

    @torch.no_grad()
    def prepare(self, data: TrainingData) -> None:
        """Compute the class means."""
        classifier = self.network.classifier
        assert isinstance(classifier, CosineClassifier)
        features = data.features(self.network.backbone)
        labels = data.labels.to(features.device)
        classifier.weight.copy_(class_means(features, labels, classes=len(classifier.weight)))

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return the uniform one: class sizes have no effect."""
        return ScorePrior(torch.zeros(tail.classes, dtype=torch.float64))


def _stages(knobs: NearestClassMeanKnobs, context: BuildContext) -> Sequence[Stage]:
    network = untrained_network(context, "cosine")
    assert isinstance(network.classifier, CosineClassifier)
    network.classifier.scale = SCALE
    return [NearestClassMean(knobs, replace(context, start=network), network.classifier)]


METHOD = Method(
    name="nearest_class_mean",
    paper="Baseline for pretrained weights: the class means of their features, as LIFT starts from them (Shi et al., "
    "ICML 2024, arXiv:2309.10019)",
    knobs=NearestClassMeanKnobs,
    stages=_stages,
    train={profile: "head" for profile in NearestClassMeanKnobs.paper_values},
)
