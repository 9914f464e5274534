"""Mixup and CutMix: each image of a batch is blended with another one, the same way with any number of workers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

from ltray.distributed import from_first, gather, own_rows, world_size


@dataclass(frozen=True)
class Blended:
    """Images that show two classes each.

    Attributes:
        images: (B, 3, H, W).
        labels: The two labels of each image (B,).
        share: λ, the weight of the first label, in [0, 1], a scalar in float64.
    """

    images: Tensor
    labels: tuple[Tensor, Tensor]
    share: Tensor

    def weighted(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the weighted sum of the losses under the two labels."""
        return mix(first, second, self.share)


def blend(images: Tensor, labels: Tensor, *, mixup: float, cutmix: float) -> Blended:
    """Blend each image with one of the batch of all workers: one λ, one permutation and one rectangle for the batch.

    All draws are rank 0's. With both, each batch is drawn to be blended in one of the two ways, as timm's Mixup does
    in its mode "batch".

    Args:
        images: (B, 3, H, W).
        labels: Class indices (B,).
        mixup: α of λ ~ Beta(α, α) for mixup; 0: none.
        cutmix: α of λ for CutMix; 0: none. One of both is above 0.
    """
    device = labels.device
    cut = cutmix > 0.0
    if cut and mixup > 0.0:
        cut = bool(from_first(torch.rand(()).to(device)) < 0.5)
    share = from_first(share_of(cutmix if cut else mixup).to(device))
    mine = own_rows(torch.randperm(len(labels) * world_size()).to(device))
    partners, both = gather(images)[mine], (labels, gather(labels)[mine])
    if not cut:
        return Blended(mix(images, partners, share), both, share)
    centre = from_first(torch.rand(2, dtype=torch.float64).to(device))
    pasted, share = paste(images, partners, share, centre)
    return Blended(pasted, both, share)


def share_of(alpha: float) -> Tensor:
    """Draw λ ~ Beta(α, α), a scalar in float64."""
    concentration = torch.tensor(alpha, dtype=torch.float64)
    share: Tensor = Beta(concentration, concentration, validate_args=False).sample()  # checks would read the values
    return share


def mix(images: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """λ·x + (1 − λ)·x', with one λ for the batch: of images, or of their losses.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018 (arXiv:1710.09412).

    Args:
        images: (B, 3, H, W), or of any shape.
        partners: What is blended in, of the same shape.
        share: λ in [0, 1], a scalar.
    """
    share = share.to(images.dtype)
    return share * images + (1.0 - share) * partners


def paste(images: Tensor, partners: Tensor, share: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Replace one rectangle of every image by that of its partner.

    Source: Yun et al., CutMix, ICCV 2019 (arXiv:1905.04899): sides √(1 − λ) of the image's, centred anywhere in it,
    cut off at its borders.

    Args:
        images: (B, 3, H, W).
        partners: (B, 3, H, W).
        share: λ in [0, 1], a scalar: the share of the image that is to remain.
        centre: The rectangle's centre, (y, x) in [0, 1).

    Returns:
        The images, and the share that remains of each in fact, a scalar in float64.
    """
    height, width = images.shape[-2:]
    side = (1.0 - float(share)) ** 0.5
    spans = []
    for length, place in zip((height, width), centre.tolist(), strict=True):
        middle, half = int(place * length), int(length * side) // 2
        spans.append((max(middle - half, 0), min(middle + half, length)))
    (top, bottom), (left, right) = spans
    pasted = images.clone()
    pasted[..., top:bottom, left:right] = partners[..., top:bottom, left:right]
    remains = 1.0 - (bottom - top) * (right - left) / (height * width)
    return pasted, torch.tensor(remains, dtype=torch.float64, device=share.device)
