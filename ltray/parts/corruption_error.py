"""Errors on corrupted images, as ImageNet-C reports them.

Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations, ICLR 2019 (arXiv:1903.12261).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.92264,
    "defocus_blur": 0.81988,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.79836,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.71784,
    "jpeg_compression": 0.6065,
}
"""AlexNet's error by corruption, mean of the five severities."""


def mean_corruption_error(errors: Tensor) -> float:
    """Return the mean error over corruptions and severities; ResCom's column "mCE" in percent.

    Args:
        errors: Error rates (15, severities) in the order of `ALEXNET`.
    """
    return float(errors.to(torch.float64).mean())


def normalised_corruption_error(errors: Tensor) -> float:
    """Return Hendrycks' mCE: each corruption's error divided by AlexNet's; ResCom's column "NmCE".

    Args:
        errors: Error rates (15, severities) in the order of `ALEXNET`.
    """
    reference = torch.tensor(list(ALEXNET.values()), dtype=torch.float64)
    return float((errors.to(torch.float64).mean(dim=1).cpu() / reference).mean())
