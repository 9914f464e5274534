"""Calibration: the difference between a classifier's confidence and its accuracy."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Reliability:
    """Accuracy and confidence in bins of equal width, as in a reliability diagram.

    Attributes:
        accuracy: Share of correct images of each bin (bins,), float64; 0 for an empty bin.
        confidence: Mean confidence of each bin (bins,), float64; 0 for an empty bin.
        count: Images of each bin (bins,), int64.
    """

    accuracy: Tensor
    confidence: Tensor
    count: Tensor

    @property
    def gaps(self) -> Tensor:
        """Absolute difference of accuracy and confidence by bin (bins,)."""
        return (self.accuracy - self.confidence).abs()

    @property
    def expected_error(self) -> float:
        """ECE: the gaps, weighted by the bins' shares of the images."""
        return float((self.count * self.gaps).sum() / self.count.sum())

    @property
    def largest_error(self) -> float:
        """MCE: the largest gap."""
        return float(self.gaps.max())


def reliability(confidence: Tensor, correct: Tensor, *, bins: int = 15) -> Reliability:
    """Sort predictions into bins (lo, hi] of confidence.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599),
    eq. 3; bins as in MiSLAS's official code.

    Args:
        confidence: Largest softmax probability of each image (N,), in (0, 1].
        correct: Whether the prediction is correct (N,), bool.
        bins: Number of bins.
    """
    confidence = confidence.to(torch.float64)
    # NumPy's edges, as in the official code: torch's differ from them in the last digit.
    upper = torch.from_numpy(np.linspace(0.0, 1.0, bins + 1)[1:]).to(confidence.device)
    place = torch.bucketize(confidence, upper).clamp_max(bins - 1)  # a rounded softmax may exceed 1
    count = torch.bincount(place, minlength=bins)
    filled = count.clamp_min(1)
    right = torch.bincount(place, weights=correct.to(torch.float64), minlength=bins)
    return Reliability(right / filled, torch.bincount(place, weights=confidence, minlength=bins) / filled, count)
