"""Post-hoc logit adjustment: τ·log π is subtracted from the scores of a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.knobs import knob
from ltray.long_tail import LongTail
from ltray.parts.adjusted_classifiers import ShiftedClassifier
from ltray.parts.exact_search import correct_range, most_correct
from ltray.parts.losses import log_prior
from ltray.stage import BuildContext, Method, ScorePrior, Stage, TrainingData
from ltray.stages.post_hoc import ROWS, PostHoc, PostHocKnobs


@dataclass(frozen=True)
class PostHocAdjustmentKnobs(PostHocKnobs):
    """The range in which τ is searched; equal ends fix it, at 1 as in the paper's main tables."""

    tau_from: float = knob(0.0, "τ", "smallest τ allowed", low=0.0, high=10.0, at_most="tau_to")
    tau_to: float = knob(3.0, "τ", "largest τ allowed", low=0.0, high=10.0)
    tau_step: float = knob(0.0, "", "step of a grid; 0 finds the best τ exactly", low=0.0, high=1.0)


class PostHocAdjustment(PostHoc):
    """Scores z − τ·log π, with the τ that is best on the validation images."""

    symbol = "τ"
    tau: Tensor
    log_prior: Tensor

    def __init__(self, knobs: PostHocAdjustmentKnobs, context: BuildContext) -> None:
        start = context.continued()
        super().__init__(knobs, context, ShiftedClassifier(start.classifier, context.tail.classes))
        self.knobs = knobs
        self.register_buffer("log_prior", log_prior(context.tail), persistent=False)
        self.register_buffer("tau", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def choose(self, data: TrainingData) -> float:
        """Return the best τ."""
        features, labels = data.selection_features(self.network.backbone)
        parts = [
            correct_range(self.original(rows).double(), self.log_prior, own)
            for rows, own in zip(torch.split(features, ROWS), torch.split(labels, ROWS), strict=True)
        ]
        low, high = (torch.cat(ends) for ends in zip(*parts, strict=True))
        knobs = self.knobs
        return most_correct(low, high, start=knobs.tau_from, stop=knobs.tau_to, step=knobs.tau_step)

    @torch.no_grad()
    def set_value(self, value: float) -> None:
        """Write the shift."""
        self.tau.fill_(value)
        assert isinstance(self.network.classifier, ShiftedClassifier)
        self.network.classifier.shift.copy_(self.tau * self.log_prior)

    def chosen(self) -> dict[str, float]:
        """Return τ."""
        return {"τ": float(self.tau)}

    def score_prior(self, tail: LongTail, before: ScorePrior | None) -> ScorePrior | None:
        """Return that of the preceding scores, with −τ·log π added."""
        if before is None:
            return None
        return ScorePrior(before.log_prior, before.added - self.tau.cpu() * self.log_prior.cpu())


def _stages(knobs: PostHocAdjustmentKnobs, context: BuildContext) -> Sequence[Stage]:
    return [PostHocAdjustment(knobs, context)]


METHOD = Method(
    name="post_hoc_adjustment",
    paper="Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021 (arXiv:2007.07314), eq. 9",
    knobs=PostHocAdjustmentKnobs,
    stages=_stages,
    needs_network=True,
)
