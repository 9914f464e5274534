"""Post-hoc curves of τ, computed exactly from saved logits, without training or reading images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.methods.tau_norm import tau_ranges
from ltray.parts.exact_search import correct_range, most_correct
from ltray.parts.losses import log_prior
from ltray.results.predictions import Predictions
from ltray.stages.post_hoc import ROWS

POINTS = 151
HIGHEST_SHIFT, HIGHEST_NORM = 3.0, 2.0  # the ranges in which the methods search


@dataclass(frozen=True)
class TauCurve:
    """Accuracy of a classifier over τ, on the images on which τ is chosen.

    Attributes:
        split: Split of these images, "val" or "test".
        lines: (τ, share) by "all", "many", "medium", "few".
        best: The τ with the most correct images: the middle of the widest such interval.
        accuracy: Share of correct images there.
        plain: Share of correct images of the model without τ.
    """

    split: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    best: float
    accuracy: float
    plain: float


def adjustment_curve(scores: Predictions) -> TauCurve:
    """Compute the curve of post-hoc logit adjustment, scores z − τ·log π.

    Each image is classified correctly on one interval of τ, so every point and the best τ are exact.

    Source: Menon et al., ICLR 2021 (arXiv:2007.07314), eq. 9.

    Args:
        scores: Logits of a model without adjustment.
    """
    slopes = log_prior(scores.tail)
    ends = [correct_range(rows.double(), slopes, own) for rows, own in _parts(scores.logits, scores.labels)]
    return _curve(scores, ends, highest=HIGHEST_SHIFT)


def norm_curve(scores: Predictions) -> TauCurve | None:
    """Compute the curve of τ-normalisation, scores x·w_k / |w_k|^τ without bias; None without a linear classifier.

    Source: Kang et al., ICLR 2020 (arXiv:1910.09217), eq. 3.
    """
    if scores.norms is None or scores.bias is None:
        return None
    norms, bias = scores.norms.double(), scores.bias.double()
    ends = [tau_ranges(rows.double() - bias, norms, own) for rows, own in _parts(scores.logits, scores.labels)]
    return _curve(scores, ends, highest=HIGHEST_NORM)


def _parts(logits: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(torch.split(logits, ROWS), torch.split(labels, ROWS), strict=True))


def _curve(scores: Predictions, ends: Sequence[tuple[Tensor, Tensor]], *, highest: float) -> TauCurve:
    low, high = (torch.cat(values) for values in zip(*ends, strict=True))
    taus = torch.linspace(0.0, highest, POINTS, dtype=torch.float64)
    inside = (low < taus[:, None]) & (taus[:, None] < high)
    lines = {"all": _line(taus, inside.double().mean(dim=1))}
    for group, labels in scores.tail.groups().items():
        share = _class_mean(inside, scores.labels, labels)
        if share is not None:
            lines[group] = _line(taus, share)
    best = most_correct(low, high, start=0.0, stop=highest)
    accuracy = float(((low < best) & (best < high)).double().mean())
    plain = float((scores.logits.argmax(dim=1) == scores.labels).double().mean())
    return TauCurve(scores.split, lines, best, accuracy, plain)


def _class_mean(inside: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor | None:
    """Return the mean over classes of their shares of correct images (points,); None without images."""
    known = [inside[:, labels == label].double().mean(dim=1) for label in classes if bool((labels == label).any())]
    return torch.stack(known).mean(dim=0) if known else None


def _line(taus: Tensor, share: Tensor) -> list[tuple[float, float]]:
    return list(zip(taus.tolist(), share.tolist(), strict=True))
