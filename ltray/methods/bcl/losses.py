"""Balanced contrastive learning: its loss and the losses its ablations compare, as pure functions.

In all of them u are unit rows, s_ij = ⟨u_i, u_j⟩ / τ, anchors are view rows and never
prototypes, an anchor is never its own key, and the result is the mean over anchors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ltray.parts.contrast import ContrastBatch, similarity
from ltray.parts.counts import class_counts


def contrast(batch: ContrastBatch, prototypes: Tensor | None, *, temperature: float, averaging: str) -> Tensor:
    """Return the contrastive loss with the given class averaging.

    Args:
        batch: Anchors and keys; at least two rows of each class in it.
        prototypes: Unit class prototypes (K, d), the class complement; None for none.
        temperature: τ.
        averaging: "none" (supervised contrast), "L1" (BCL with prototypes), "L2", or "L3",
            which needs prototypes.
    """
    if averaging == "L3":
        assert prototypes is not None
        return F.cross_entropy(similarity(batch.anchors, prototypes, temperature=temperature), batch.labels)
    if averaging == "L2":
        return averaged_inside(batch, prototypes, temperature=temperature)
    return averaged_outside(batch, prototypes, temperature=temperature, averaged=averaging == "L1")


def averaged_outside(
    batch: ContrastBatch, prototypes: Tensor | None, *, temperature: float, averaged: bool = True
) -> Tensor:
    """Supervised contrast in which every class counts once in the denominator.

    With P_i the other rows of the anchor's class and c_j the number of rows of class j,
    the anchor not counted:

        L_i = log Σ_j (1/c_j) Σ_{k in class j} exp(s_ik) − mean_{p in P_i} s_ip

    Source: BCL, eq. 9 with the remark under eq. 8 (official `BalSCL`); without prototypes
    eq. 6 (L1), without averaging supervised contrast, eq. 1. Dividing by c_j is subtracting
    its logarithm from a column, so no tensor of pairs is built for it, the prototypes are
    never copied next to the keys, and the (A, K) scores are the only large tensor.

    Args:
        batch: Anchors and keys.
        prototypes: Unit rows (K, d), one more member of each class, or None.
        temperature: τ.
        averaged: Whether c_j is as above, or 1.
    """
    anchors, labels = batch.anchors, batch.labels
    classes = int(batch.key_labels.max()) + 1 if prototypes is None else prototypes.shape[0]
    members = class_counts(batch.key_labels, classes) + (prototypes is not None)
    log_count = members.to(anchors.dtype).log() if averaged else anchors.new_zeros(classes)
    log_own = (members - 1).to(anchors.dtype).log()[labels] if averaged else anchors.new_zeros(len(labels))

    positives, count = batch.positives(), members[labels] - 1
    pairs = similarity(anchors, batch.keys, temperature=temperature)
    attracted = pairs.masked_fill(~positives, 0.0).sum(1)
    shift = torch.where(positives, log_own[:, None], log_count[batch.key_labels])
    log_sum = (pairs - shift).scatter(1, batch.own[:, None], -torch.inf).logsumexp(1)
    if prototypes is not None:
        scores, own = similarity(anchors, prototypes, temperature=temperature), labels[:, None]
        # In place: the gradient of the product needs only its factors.
        scores = scores.sub_(log_count).scatter_add_(1, own, (log_count[labels] - log_own)[:, None])
        attracted = attracted + scores.gather(1, own)[:, 0] + log_own
        log_sum = torch.logaddexp(log_sum, scores.logsumexp(1))
    return (log_sum - attracted / count).mean()


def averaged_inside(batch: ContrastBatch, prototypes: Tensor | None, *, temperature: float) -> Tensor:
    """Softmax over the classes' mean similarities: eq. 7 (L2).

        L_i = log Σ_j exp(mean_{k in class j} s_ik) − mean_{p in P_i} s_ip

    A class without rows is left out; the anchor does not count in its own class.

    Args:
        batch: Anchors and keys.
        prototypes: Unit rows (K, d), one more member of each class, or None.
        temperature: τ.
    """
    own = batch.labels[:, None]
    classes = int(batch.key_labels.max()) + 1 if prototypes is None else prototypes.shape[0]
    members = class_counts(batch.key_labels, classes) + (prototypes is not None)
    pairs = similarity(batch.anchors, batch.keys, temperature=temperature).scatter(1, batch.own[:, None], 0.0)
    sums = pairs.new_zeros(pairs.shape[0], classes).index_add(1, batch.key_labels, pairs)
    if prototypes is not None:
        sums = sums + similarity(batch.anchors, prototypes, temperature=temperature)
    means = sums / members.clamp(min=1)
    means = means.scatter(1, own, sums.gather(1, own) / (members - 1)[own])
    return F.cross_entropy(means.masked_fill(members == 0, -torch.inf), batch.labels)
