"""The decoupled supervised contrastive loss and patch-based self-distillation, as pure functions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ltray.parts.contrast import ContrastBatch, similarity
from ltray.parts.pairs import class_similarity, floored, log_sum_exp_of, positive_similarity
from ltray.parts.precision import full_precision


@dataclass(frozen=True)
class AnchorSums:
    """The sums over an anchor's contrast set that the decoupled loss needs.

    Attributes:
        own: Similarity to the anchor's own key, the other view of its image, over τ (B,).
        others: Sum of the similarities to P, the contrast set's other rows of its class (B,).
        count: |P| (B,).
        log_z: Logarithm of the sum of exponentials over the complete contrast set (B,).
    """

    own: Tensor
    others: Tensor
    count: Tensor
    log_z: Tensor


def sums_with_batch(contrast: ContrastBatch, own_keys: Tensor, *, temperature: float, classes: int) -> AnchorSums:
    """Return the sums over batch and queue: every query but the anchor, every key, the queue.

    Source: the official code.

    Args:
        contrast: Anchors (B, d); its keys are the queries, the momentum keys and the queue.
        own_keys: Own key of each anchor (B, d), one of the contrast's keys.
        temperature: τ.
        classes: Number of classes K.
    """
    log_z = floored(*log_sum_exp_of(contrast, temperature=temperature))
    positives, count = positive_similarity(contrast, temperature=temperature, classes=classes)
    own = (contrast.anchors * own_keys).sum(dim=1) / temperature
    return AnchorSums(own, positives - own, count - 1.0, log_z)


def sums_with_queue(
    contrast: ContrastBatch,
    own_keys: Tensor,
    memory: tuple[Tensor, Tensor],
    *,
    temperature: float,
    classes: int,
) -> AnchorSums:
    """Return the sums over the own key and the queue alone, as the paper writes its loss.

    Args:
        contrast: Anchors (B, d) and their labels; its keys are not used.
        own_keys: Own key of each anchor (B, d).
        memory: The queue's keys (M, d) and labels (M,).
        temperature: τ.
        classes: Number of classes K.
    """
    own = (contrast.anchors * own_keys).sum(dim=1) / temperature
    rest = similarity(contrast.anchors, memory[0], temperature=temperature).logsumexp(dim=1)
    others, count = class_similarity(
        contrast.anchors, contrast.labels, memory, temperature=temperature, classes=classes
    )
    return AnchorSums(own, others, count, torch.logaddexp(own, rest))


def decoupled_loss(
    sums: AnchorSums, alpha: float | Tensor, *, alone: str = "own_key", weight: Tensor | None = None
) -> Tensor:
    """DSCL: the target α for the own key, 1 − α shared by all other positives.

    The loss of an anchor is −α log p(own) − (1−α)/|P| Σ_{t∈P} log p(t), with p the softmax
    over its contrast set. With α = 1/(1+|P|) it is SupCon.

    Source: the paper's decoupled loss; the official code writes it with β = (1−α)/α.

    Args:
        sums: See `AnchorSums`.
        alpha: α in (0, 1], one for all or one per anchor (B,).
        alone: Where P is empty: "own_key" gives the own key the complete target (the code),
            "alpha" leaves it at α and assigns the rest of the target to no key (the paper's formula,
            whose weights multiply the similarities, taken literally).
        weight: Weight of each anchor (B,), None for 1.

    Returns:
        The mean over the anchors, a scalar.
    """
    share = torch.as_tensor(alpha, dtype=sums.own.dtype, device=sums.own.device)
    if alone == "own_key":
        share = torch.where(sums.count == 0, 1.0, share)
    mean = torch.where(sums.count == 0, 0.0, sums.others / sums.count.clamp(min=1.0))
    losses = sums.log_z - share * sums.own - (1.0 - share) * mean
    if weight is not None:
        losses = weight.to(losses.dtype) * losses
    return losses.mean()


def decoupled_targets(positives: Tensor, own_view: Tensor, alpha: float | None, *, alone: str = "own_key") -> Tensor:
    """Return the target of each key in `decoupled_loss` (A, M).

    Args:
        positives: Which keys are of the anchor's class (A, M), bool, with the own key.
        own_view: Column of the own key (A,).
        alpha: α; None for supervised contrast.
        alone: See `decoupled_loss`.
    """
    others = positives.scatter(1, own_view[:, None], False)
    count = others.sum(dim=1, keepdim=True)
    share = 1.0 / (1.0 + count) if alpha is None else torch.full_like(count, alpha, dtype=torch.float32)
    if alone == "own_key":
        share = torch.where(count == 0, 1.0, share)
    return ((1.0 - share) * others / count.clamp(min=1)).scatter(1, own_view[:, None], share)


@full_precision
def region_features(feature_map: Tensor, boxes: Tensor, *, stride: int) -> Tensor:
    """Pool each box of a feature map into one feature: 2 x 2 bins, then their mean.

    Source: DSCL's official code, `torchvision.ops.roi_align` with its defaults; a box narrower
    than one cell is widened to one.

    Args:
        feature_map: Feature maps of the views (B, d, H/stride, W/stride).
        boxes: Boxes (B, L, 4) in pixels of the views, x1 y1 x2 y2.
        stride: Pixels per cell.

    Returns:
        Features (B, L, d).
    """
    from torchvision.ops import roi_align  # here: its import takes seconds; only DSCL needs it

    rows = list(boxes.to(feature_map.dtype))  # full precision: bfloat16 cannot represent 223
    pooled: Tensor = roi_align(feature_map, rows, output_size=2, spatial_scale=1.0 / stride)
    return pooled.mean(dim=(2, 3)).view(*boxes.shape[:2], -1)


def self_distillation_loss(
    teacher: Tensor, student: Tensor, keys: Tensor, *, memory: Tensor, temperature: float
) -> Tensor:
    """PBSD: trains a patch to have the same similarities to the bank as its region of the view.

    The mean over patches of −Σ_t P_t(teacher) log P_t(student), P the softmax of the
    similarities over τ to the image's own key and the queue; labels are not used. As
    Σ_t P_t s·b_t = s·(Σ_t P_t b_t), the teacher is kept as its expected bank row, and the
    bank's softmaxes are never all in memory.

    Source: the paper's PBSD loss as in the official code: cross-entropy, not KL; the target is
    detached and has the student's temperature.

    Args:
        teacher: Unit embeddings of the regions (B, L, d); no gradient reaches them.
        student: Unit embeddings of the patches (B, L, d).
        keys: Own momentum key of each image (B, d).
        memory: The queue (M, d).
        temperature: τ.

    Returns:
        A scalar.
    """
    losses = []
    for target, patch in zip(teacher.unbind(1), student.unbind(1), strict=True):
        expected = _expected_row(target.detach(), keys, memory, temperature=temperature)
        own = (patch * keys).sum(dim=1) / temperature
        rest = similarity(patch, memory, temperature=temperature).logsumexp(dim=1)
        losses.append(torch.logaddexp(own, rest) - (patch * expected).sum(dim=1) / temperature)
    return torch.stack(losses).mean()


@torch.no_grad()
@full_precision
def _expected_row(target: Tensor, keys: Tensor, memory: Tensor, *, temperature: float) -> Tensor:
    """Return Σ_t P_t b_t, the bank's mean row under the target's softmax (B, d)."""
    own = (target * keys).sum(dim=1, keepdim=True) / temperature
    shares = torch.cat([own, similarity(target, memory, temperature=temperature)], dim=1).softmax(dim=1)
    return shares[:, :1] * keys + shares[:, 1:] @ memory
