"""Post-hoc curves of τ, exact and from saved logits: no training, no image read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.assessment import Assessment
from ltray.parts.exact_search import correct_range, most_correct
from ltray.parts.losses import log_prior
from ltray.parts.post_hoc import ROWS

HIGHEST, POINTS = 3.0, 151  # the range that `post_hoc_adjustment` searches


@dataclass(frozen=True)
class TauCurve:
    """Accuracy of scores z − τ·log π.

    Attributes:
        split: The images it is computed on, "val" or "test".
        lines: (τ, share) by "all", "many", "medium", "few".
        best: The τ with the most correct images; the middle of the widest such interval.
        accuracy: Share of correct images there.
        plain: Share of correct images at τ = 0.
    """

    split: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    best: float
    accuracy: float
    plain: float


def tau_curve(scores: Assessment) -> TauCurve:
    """Compute the curve of post-hoc logit adjustment.

    Each image is right on one interval of τ, so that every point is exact, and so is the best τ.

    Source: Menon et al., ICLR 2021 (arXiv:2007.07314), eq. 9.

    Args:
        scores: Logits of a model that was not adjusted yet.
    """
    slopes = log_prior(scores.tail).double()
    pairs = zip(torch.split(scores.logits, ROWS), torch.split(scores.labels, ROWS), strict=True)
    parts = [correct_range(rows.double(), slopes, own) for rows, own in pairs]
    low, high = (torch.cat(ends) for ends in zip(*parts, strict=True))
    taus = torch.linspace(0.0, HIGHEST, POINTS, dtype=torch.float64)
    inside = (low < taus[:, None]) & (taus[:, None] < high)
    lines = {"all": _line(taus, inside.double().mean(dim=1))}
    for group, labels in scores.tail.groups().items():
        share = _class_mean(inside, scores.labels, labels)
        if share is not None:
            lines[group] = _line(taus, share)
    best = most_correct(low, high, start=0.0, stop=HIGHEST)
    accuracy = float(((low < best) & (best < high)).double().mean())
    plain = float((scores.logits.argmax(dim=1) == scores.labels).double().mean())
    return TauCurve(scores.split, lines, best, accuracy, plain)


def _class_mean(inside: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor | None:
    """Return the mean over classes of their images' shares (points,); None of no image."""
    known = [inside[:, labels == label].double().mean(dim=1) for label in classes if bool((labels == label).any())]
    return torch.stack(known).mean(dim=0) if known else None


def _line(taus: Tensor, share: Tensor) -> list[tuple[float, float]]:
    return list(zip(taus.tolist(), share.tolist(), strict=True))
