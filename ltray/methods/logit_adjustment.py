"""Logit adjustment while training: Balanced Softmax is its case τ = 1, cross-entropy τ = 0."""

from collections.abc import Sequence
from dataclasses import dataclass

from ltray.knobs import knob
from ltray.methods.cross_entropy import OneView, SoftLabelKnobs
from ltray.parts.losses import log_prior
from ltray.stage import BuildContext, Method, Stage


@dataclass(frozen=True)
class LogitAdjustmentKnobs(SoftLabelKnobs):
    """The baselines' recipe, and the strength τ of the adjustment."""

    adjustment: float = knob(
        1.0, "τ", "factor of log π in the training scores", low=0.0, high=10.0, search=(0.25, 2.0), tried=(1.0,)
    )


def _stages(knobs: LogitAdjustmentKnobs, context: BuildContext) -> Sequence[Stage]:
    return [OneView(knobs, context, knobs.adjustment * log_prior(context.tail))]


METHOD = Method(
    name="logit_adjustment",
    paper="Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021 (arXiv:2007.07314), eq. 10",
    knobs=LogitAdjustmentKnobs,
    stages=_stages,
)
