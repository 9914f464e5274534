"""An exact search, without a grid, for the value of one parameter that classifies the most images correctly.

Scores a_k − τ·s_k are lines in τ: an image is classified correctly on one interval of τ, and
the number of correct images changes only at the intervals' ends.
"""

import math

import torch
from torch import Tensor


def correct_range(intercepts: Tensor, slopes: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the open interval of τ in which a_k − τ·s_k is largest for the label.

    Args:
        intercepts: a (M, K), float64; −inf for a class that never has the largest score.
        slopes: s (K,), float64, finite.
        labels: Class indices (M,).

    Returns:
        low (M,) and high (M,), −inf and inf where there is no bound; empty where low >= high.
        Of identical lines, that of the first class counts, as in `argmax`.
    """
    own = labels.unsqueeze(1)
    lead = intercepts.gather(1, own) - intercepts  # the label's score is higher than that of class k if lead > τ·fall
    fall = slopes[labels].unsqueeze(1) - slopes
    bound = lead / fall
    low = bound.masked_fill(fall >= 0, -math.inf).amax(dim=1)
    high = bound.masked_fill(fall <= 0, math.inf).amin(dim=1)
    classes = torch.arange(len(slopes), device=labels.device)
    never = (fall == 0) & ((lead < 0) | ((lead == 0) & (classes < own)))
    return low.masked_fill(never.any(dim=1), math.inf), high


def most_correct(low: Tensor, high: Tensor, *, start: float, stop: float, step: float = 0.0) -> float:
    """Return the τ in [start, stop] that is inside the most intervals.

    Args:
        low: Lower ends (M,), float64.
        high: Upper ends (M,).
        start: Smallest τ allowed.
        stop: Largest τ allowed.
        step: Step of the grid start, start + step, … that is searched, as in the papers; with 0,
            all τ are searched, and the result is the middle of the widest best interval.
    """
    real = low < high
    low, high = low[real].sort().values, high[real].sort().values
    if step > 0.0:
        points = start + step * torch.arange(math.floor((stop - start) / step + 1e-9) + 1, dtype=low.dtype)
        return float(points[_inside(low, high, points.to(low.device)).argmax()])
    ends = torch.unique(torch.cat([low, high, low.new_tensor([start, stop])]).clamp(start, stop))
    if len(ends) == 1:
        return start
    middles, widths = (ends[1:] + ends[:-1]) / 2, ends[1:] - ends[:-1]
    counts = _inside(low, high, middles)
    return float(middles[widths.masked_fill(counts < counts.max(), -1.0).argmax()])


def _inside(low: Tensor, high: Tensor, points: Tensor) -> Tensor:
    """Count, for each point, the intervals around it; lower and upper ends are sorted separately."""
    return torch.searchsorted(low, points) - torch.searchsorted(high, points, right=True)
