"""Temperature scaling: the same predictions, with calibrated confidences."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.knobs import knob
from ltray.long_tail import LongTail
from ltray.parts.adjusted_classifiers import ShiftedClassifier
from ltray.stage import BuildContext, Method, ScorePrior, Stage, TrainingData
from ltray.stages.post_hoc import ROWS, PostHoc, PostHocKnobs

HALVINGS = 60  # of the logarithm's range: the digits of a float64


@dataclass(frozen=True)
class TemperatureKnobs(PostHocKnobs):
    """The range in which T is searched; equal ends fix it."""

    lowest: float = knob(0.01, "T", "smallest temperature allowed", low=1e-4, high=1e4, log=True, at_most="highest")
    highest: float = knob(100.0, "T", "largest temperature allowed", low=1e-4, high=1e4, log=True)


def best_temperature(
    scores: Tensor, labels: Tensor, *, lowest: float, highest: float, shift: Tensor | None = None
) -> float:
    """Return the T in [lowest, highest] with the smallest mean cross-entropy of scores / T + shift.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017
    (arXiv:1706.04599), sec. 4.2. Cross-entropy is convex in 1/T, so that the sign of its
    derivative gives the side of the optimum.

    Args:
        scores: Logits (M, K).
        labels: Class indices (M,).
        lowest: Smallest T, above 0; returned if the loss has no minimum above it.
        highest: Largest T.
        shift: Added to each class's score (K,), such as the log prior of the images minus that of the scores; None: 0.
    """
    ends = torch.tensor([lowest, highest], dtype=torch.float64).log()
    for _ in range(HALVINGS):
        middle = ends.mean()
        too_cold = _slope(scores, labels, 1.0 / middle.exp(), shift) > 0
        ends[0 if too_cold else 1] = middle
    return float(ends.mean().exp())


def _slope(scores: Tensor, labels: Tensor, inverse: Tensor, shift: Tensor | None) -> Tensor:
    """Derivative of the summed cross-entropy by 1/T: expected score minus the label's."""
    slope = torch.zeros((), dtype=torch.float64, device=scores.device)
    for rows, own in zip(torch.split(scores, ROWS), torch.split(labels, ROWS), strict=True):
        wide = rows.double()
        shifted = wide * inverse.to(wide.device) + (0.0 if shift is None else shift.to(wide))
        expected = (torch.softmax(shifted, dim=1) * wide).sum(dim=1)
        slope += (expected - wide.gather(1, own.unsqueeze(1)).squeeze(1)).sum()
    return slope


class Temperature(PostHoc):
    """Scores z / T, with the T that fits the validation images best."""

    symbol = "T"

    def __init__(self, knobs: TemperatureKnobs, context: BuildContext) -> None:
        start = context.continued()
        super().__init__(knobs, context, ShiftedClassifier(start.classifier, context.tail.classes))
        self.knobs = knobs

    @torch.no_grad()
    def choose(self, data: TrainingData) -> float:
        """Return the best T."""
        features, labels = data.selection_features(self.network.backbone)
        scores = torch.cat([self.original(rows) for rows in torch.split(features, ROWS)])
        return best_temperature(scores, labels, lowest=self.knobs.lowest, highest=self.knobs.highest)

    @torch.no_grad()
    def set_value(self, value: float) -> None:
        """Write T."""
        assert isinstance(self.network.classifier, ShiftedClassifier)
        self.network.classifier.temperature.fill_(value)

    def chosen(self) -> dict[str, float]:
        """Return T."""
        assert isinstance(self.network.classifier, ShiftedClassifier)
        return {"T": float(self.network.classifier.temperature)}

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the preceding scores, whose added part is also divided by T."""
        return None if before is None else ScorePrior(before.log_prior, before.added / self.chosen()["T"])


def _stages(knobs: TemperatureKnobs, context: BuildContext) -> Sequence[Stage]:
    return [Temperature(knobs, context)]


METHOD = Method(
    name="temperature",
    paper="Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599)",
    knobs=TemperatureKnobs,
    stages=_stages,
    needs_network=True,
)
