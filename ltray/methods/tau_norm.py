"""Tau-normalisation: the classifier's weight vectors are shortened to |w|^(1−τ)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.knobs import knob
from ltray.parts.exact_search import correct_range, most_correct
from ltray.stage import BuildContext, Method, Stage, TrainingData
from ltray.stages.post_hoc import ROWS, PostHoc, PostHocKnobs


@dataclass(frozen=True)
class TauNormKnobs(PostHocKnobs):
    """The range in which τ is searched; equal ends fix it."""

    tau_from: float = knob(0.0, "τ", "smallest τ allowed", low=0.0, high=4.0, at_most="tau_to")
    tau_to: float = knob(2.0, "τ", "largest τ allowed", low=0.0, high=4.0)
    tau_step: float = knob(0.0, "", "step of a grid, 0.1 in the paper; 0 finds the best τ exactly", low=0.0, high=1.0)


def normalised(weight: Tensor, tau: float | Tensor) -> Tensor:
    """Return w_k / |w_k|^τ, (K, d).

    Source: Kang et al., ICLR 2020 (arXiv:1910.09217), eq. 3; the bias is dropped (official code).

    Args:
        weight: Weight vectors (K, d).
        tau: 0 keeps them, 1 makes them unit vectors.
    """
    norms: Tensor = weight.norm(dim=1, keepdim=True)
    return weight / norms**tau


def tau_ranges(projections: Tensor, norms: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the intervals of τ on which x·w_k/|w_k|^τ is largest for the label.

    The logarithms of the scores are lines in τ: those of the positive scores where the label's is
    positive, minus those of the absolute values where all are negative.

    Args:
        projections: x·w_k (M, K), float64.
        norms: |w_k| (K,), float64.
        labels: Class indices (M,).

    Returns:
        low (M,) and high (M,); see `correct_range`.
    """
    tiny = torch.finfo(projections.dtype).tiny
    size, slope = projections.abs().clamp_min(tiny).log(), norms.clamp_min(tiny).log()
    positive = projections >= 0
    above = correct_range(size.masked_fill(~positive, -torch.inf), slope, labels)
    below = correct_range((-size).masked_fill(positive, torch.inf), -slope, labels)
    own = positive.gather(1, labels.unsqueeze(1)).squeeze(1)
    return torch.where(own, above[0], below[0]), torch.where(own, above[1], below[1])


class TauNorm(PostHoc):
    """A linear classifier without bias; its τ is the best on the validation images."""

    symbol = "τ"
    tau: Tensor

    def __init__(self, knobs: TauNormKnobs, context: BuildContext) -> None:
        width, classes = context.continued().backbone.width, context.tail.classes
        super().__init__(knobs, context, nn.Linear(width, classes, bias=False))
        self.knobs = knobs
        self.register_buffer("tau", torch.zeros((), dtype=torch.float64))
        self._weight()

    @torch.no_grad()
    def choose(self, data: TrainingData) -> float:
        """Return the best τ."""
        weight = self._weight().double()
        features, labels = data.selection_features(self.network.backbone)
        parts = [
            tau_ranges(rows.double() @ weight.T, weight.norm(dim=1), own)
            for rows, own in zip(torch.split(features, ROWS), torch.split(labels, ROWS), strict=True)
        ]
        low, high = (torch.cat(ends) for ends in zip(*parts, strict=True))
        knobs = self.knobs
        return most_correct(low, high, start=knobs.tau_from, stop=knobs.tau_to, step=knobs.tau_step)

    @torch.no_grad()
    def set_value(self, value: float) -> None:
        """Write the normalised weights."""
        self.tau.fill_(value)
        assert isinstance(self.network.classifier, nn.Linear)
        self.network.classifier.weight.copy_(normalised(self._weight().double(), self.tau))

    def chosen(self) -> dict[str, float]:
        """Return τ."""
        return {"τ": float(self.tau)}

    def _weight(self) -> Tensor:
        weight = getattr(self.original, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            kind = type(self.original).__name__
            raise UsageError(f"`tau_norm` needs one weight vector per class, but the network's classifier is {kind}.")
        return weight.detach()


def _stages(knobs: TauNormKnobs, context: BuildContext) -> Sequence[Stage]:
    return [TauNorm(knobs, context)]


METHOD = Method(
    name="tau_norm",
    paper="Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR 2020 "
    "(arXiv:1910.09217), τ-normalised",
    knobs=TauNormKnobs,
    stages=_stages,
    needs_network=True,
)
