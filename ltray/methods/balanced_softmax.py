"""Balanced Softmax: cross-entropy of scores to which the logarithm of the class prior is added in training."""

from collections.abc import Sequence

from ltray.methods.cross_entropy import OneView, SoftLabelKnobs
from ltray.parts.losses import log_prior
from ltray.stage import BuildContext, Method, Stage


def _stages(knobs: SoftLabelKnobs, context: BuildContext) -> Sequence[Stage]:
    # log n_k of eq. 4 and log π_k differ by log N for every class, which softmax cancels.
    return [OneView(knobs, context, log_prior(context.tail))]


METHOD = Method(
    name="balanced_softmax",
    paper="Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020 (arXiv:2007.10740)",
    knobs=SoftLabelKnobs,
    stages=_stages,
)
